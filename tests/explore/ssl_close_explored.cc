// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Closing, and ending TLS alone.

#include <string>

#include "tests/explore/ssl_explored.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

using namespace ssl_explored;  // NOLINT: the helpers of these scenarios.

// explores: SSLStream.aclose
EXPLORE_TEST(SSLCloseExplored, BothSidesAtOnce) {
  ShakenPair pair;
  together([&] { pair.client.aclose(); }, [&] { pair.server.aclose(); });
  EXPECT_TRUE(pair.client_wire().closed());
  EXPECT_TRUE(pair.server_wire().closed());
}

// explores: SSLStream.aclose, SSLStream.receive_some
EXPLORE_TEST(SSLCloseExplored, TellsWhoWaitsToReceive) {
  ShakenPair pair;
  End end = End::kDone;
  at_moment(
      pair, any_number(2), [&] { pair.client.aclose(); },
      [&] { EXPECT_EQ(end_of([&] { pair.client.receive_some(); }), End::kClosed); },
      [&] { EXPECT_EQ(receive_to_end(pair.server, end), ""); });
  EXPECT_EQ(end, End::kDone);
}

// The second does not close the transport while the first says goodbye.
// explores: SSLStream.aclose
EXPLORE_TEST(SSLCloseExplored, TwoTasksOfOneSide) {
  ShakenPair pair(Below::kLockstep);
  End end = End::kDone;
  at_moment(
      pair, any_number(2), [&] { pair.client.aclose(); }, [&] { pair.client.aclose(); },
      [&] { EXPECT_EQ(receive_to_end(pair.server, end), ""); });
  EXPECT_EQ(end, End::kDone);
  EXPECT_FALSE(pair.client_wire().torn());
}

// Closed is closed, whoever has done it.
// explores: SSLStream.aclose, SSLStream.do_handshake
EXPLORE_TEST(SSLCloseExplored, TwoTasksOfOneSideOfWhichOneIsCancelledInTheHandshake) {
  Pair pair;
  CancelScope leaves;
  End first = End::kDone;
  End second = End::kDone;
  at_moment(
      pair, any_number(2), [&] { leaves.cancel(); },
      [&] { first = end_of(leaves, [&] { pair.client.aclose(); }); },
      [&] { second = end_of([&] { pair.client.aclose(); }); });
  EXPECT_EQ(first, End::kCancelled);
  EXPECT_EQ(second, End::kDone);
  EXPECT_TRUE(pair.client_wire().closed());
}

// explores: SSLStream.aclose, SSLStream.send_all
EXPLORE_TEST(SSLCloseExplored, TellsThePeerThatSends) {
  ShakenPair pair(Below::kLockstep);
  End end = End::kDone;
  at_moment(
      pair, any_number(2), [&] { pair.client.aclose(); },
      [&] { EXPECT_EQ(end_of([&] { pair.server.send_all("x"); }), End::kBroken); },
      [&] { EXPECT_EQ(receive_to_end(pair.server, end), ""); });
}

// There is no goodbye after a piece of something else, nor anybody who has to take it.
// explores: SSLStream.aclose, SSLStream.send_all
EXPLORE_TEST(SSLCloseExplored, OnlyClosesAStreamThatBreaksMeanwhile) {
  ShakenPair pair(Below::kLockstep);
  at_moment(
      pair, 1, [&] { pair.client.aclose(); },
      [&] {
        const auto send = [&] { pair.client.send_all("x"); };
        EXPECT_FALSE(move_on_after(std::chrono::milliseconds(500), send).finished());
      });
  EXPECT_TRUE(pair.client_wire().closed());
}

// Afterwards both may talk in the clear, and nothing of TLS is left on the way.
// explores: SSLStream.unwrap
EXPLORE_TEST(SSLUnwrapExplored, BothSidesAtOnce) {
  ShakenPair pair;
  const auto talk = [](SSLStream& stream, std::string_view ours, std::string_view theirs) {
    auto [transport, got] = stream.unwrap();
    transport->send_all(ours);
    if (got.empty()) got = transport->receive_some();
    EXPECT_EQ(got, theirs);
  };
  together([&] { talk(pair.client, "from the client", "from the server"); },
           [&] { talk(pair.server, "from the server", "from the client"); });
}

// The goodbye is answered, unless the peer is gone by then.
// explores: SSLStream.unwrap, SSLStream.aclose
EXPLORE_TEST(SSLUnwrapExplored, MeetsACloseOfTheOtherSide) {
  ShakenPair pair;
  Wire& wire = pair.client_wire();
  SSLStream::Unwrapped unwrapped;
  End end = End::kDone;
  at_moment(
      pair, any_number(3), [&] { pair.server.aclose(); },
      [&] { end = end_of([&] { unwrapped = pair.client.unwrap(); }); });
  EXPECT_EQ(unwrapped.transport_stream.get(), end == End::kDone ? &wire : nullptr);
  EXPECT_EQ(end, wire.torn() ? End::kBroken : End::kDone);
  EXPECT_EQ(unwrapped.trailing_bytes, "");
}

// explores: SSLStream.unwrap
EXPLORE_TEST(SSLUnwrapExplored, WhoIsCancelledGoesOnLater) {
  ShakenPair pair;
  CancelScope leaves;
  Wire& wire = pair.client_wire();
  SSLStream::Unwrapped unwrapped;
  std::string got;
  End ours = End::kDone;
  End theirs = End::kDone;
  const auto unwrap = [&] { unwrapped = pair.client.unwrap(); };
  at_moment(
      pair, any_number(3), [&] { leaves.cancel(); },
      [&] {
        leaves.run(unwrap);
        if (unwrapped.transport_stream == nullptr) ours = end_of(unwrap);
        if (ours != End::kDone) pair.client.aclose();
      },
      [&] { theirs = end_of([&] { got = pair.server.unwrap().trailing_bytes; }); });
  EXPECT_EQ(ours, wire.torn() ? End::kBroken : End::kDone);
  EXPECT_EQ(theirs, ours);
  EXPECT_EQ(got, "");
}

// Either the transport is closed, or it is the caller's, and nobody else is using it any more.
// explores: SSLStream.unwrap, SSLStream.aclose
EXPLORE_TEST(SSLUnwrapExplored, MeetsACloseOfTheSameSide) {
  ShakenPair pair;
  Wire& wire = pair.client_wire();
  End end = End::kDone;
  SSLStream::Unwrapped unwrapped;
  // The peer has said goodbye, and waits for the answer.
  move_on_after(std::chrono::seconds(1), [&] { pair.server.unwrap(); });
  at_moment(
      pair, any_number(3), [&] { pair.client.aclose(); },
      [&] {
        end = end_of([&] {
          unwrapped = pair.client.unwrap();
          EXPECT_FALSE(wire.in_use());
        });
      });
  EXPECT_EQ(end, unwrapped.transport_stream == nullptr ? End::kClosed : End::kDone);
  EXPECT_EQ(wire.closed(), end == End::kClosed);
}

}  // namespace
}  // namespace weft::fibers
