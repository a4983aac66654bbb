// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Shaking hands.

#include "tests/explore/ssl_explored.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

using namespace ssl_explored;  // NOLINT: the helpers of these scenarios.

// explores: SSLStream.do_handshake
EXPLORE_TEST(SSLHandshakeExplored, BothSidesAtOnce) {
  Pair pair(Below::kLockstep);
  together([&] { pair.client.do_handshake(); }, [&] { pair.server.do_handshake(); });
  EXPECT_EQ(pair.client.version(), "TLSv1.3");
  EXPECT_EQ(pair.server.version(), "TLSv1.3");
}

// They do it once, and both know when it is done.
// explores: SSLStream.do_handshake
EXPLORE_TEST(SSLHandshakeExplored, TwoTasksOfOneSide) {
  Pair pair;
  const auto shake = [&] {
    pair.client.do_handshake();
    EXPECT_EQ(pair.client.version(), "TLSv1.3");
  };
  together(shake, shake, [&] { pair.server.do_handshake(); });
}

// Only who is cut short in the middle of sending has broken the stream.
// explores: SSLStream.do_handshake
EXPLORE_TEST(SSLHandshakeExplored, WhoIsCancelledGoesOnLater) {
  Pair pair;
  CancelScope leaves;
  End client = End::kDone;
  End server = End::kDone;
  at_moment(
      pair, any_number(3), [&] { leaves.cancel(); },
      [&] {
        leaves.run([&] { pair.client.do_handshake(); });
        client = end_of([&] { pair.client.do_handshake(); });
        if (client != End::kDone) pair.client.aclose();
      },
      [&] { server = end_of([&] { pair.server.do_handshake(); }); });
  EXPECT_EQ(client, pair.client_wire().torn() ? End::kBroken : End::kDone);
  EXPECT_EQ(server, client);
}

// explores: SSLStream.do_handshake, SSLStream.receive_some
EXPLORE_TEST(SSLHandshakeExplored, AnotherTaskGoesOnWithTheHandshakeOfOneThatIsCancelled) {
  Pair pair;
  CancelScope leaves;
  End got = End::kDone;
  at_moment(
      pair, any_number(3), [&] { leaves.cancel(); },
      [&] { leaves.run([&] { pair.client.do_handshake(); }); },
      [&] {
        got = end_of([&] { EXPECT_EQ(pair.client.receive_some(), "x"); });
        if (got != End::kDone) pair.client.aclose();
      },
      [&] { end_of([&] { pair.server.send_all("x"); }); });
  EXPECT_EQ(got, pair.client_wire().torn() ? End::kBroken : End::kDone);
}

// explores: SSLStream.do_handshake
EXPLORE_TEST(SSLHandshakeExplored, APeerThatGoesIsAnError) {
  Pair pair(Below::kLockstep);
  CancelScope leaves;
  at_moment(
      pair, any_number(2), [&] { leaves.cancel(); },
      [&] { EXPECT_EQ(end_of([&] { pair.client.do_handshake(); }), End::kBroken); },
      [&] {
        leaves.run([&] { pair.server.do_handshake(); });
        pair.server_wire().aclose();
      });
}

}  // namespace
}  // namespace weft::fibers
