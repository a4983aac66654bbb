// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Sending and receiving.

#include <openssl/ssl.h>

#include <string>

#include "tests/explore/ssl_explored.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

using namespace ssl_explored;  // NOLINT: the helpers of these scenarios.

// With the next data the server asks the client to shake hands anew: so the client has to send in
// the middle of receiving.
void ask_for_a_handshake(const Pair& pair) {
  SSL* const ssl = pair.server.native_handle();
  EXPECT_EQ(SSL_renegotiate(ssl), 1);
  EXPECT_EQ(SSL_do_handshake(ssl), 1);
}

// explores: SSLStream.send_all, SSLStream.receive_some
EXPLORE_TEST(SSLDataExplored, BothWaysAtOnce) {
  ShakenPair pair(Below::kLockstep);
  together(
      [&] {
        pair.client.send_all("question");
        EXPECT_EQ(pair.client.receive_some(), "answer");
      },
      [&] { pair.server.send_all("answer"); },
      [&] { EXPECT_EQ(pair.server.receive_some(), "question"); });
}

// The first to send or to receive shakes hands for both.
// explores: SSLStream.send_all, SSLStream.receive_some
EXPLORE_TEST(SSLDataExplored, WhoComesFirstShakesHands) {
  Pair pair;
  together([&] { pair.client.send_all("question"); },
           [&] { EXPECT_EQ(pair.client.receive_some(), "answer"); },
           [&] { pair.server.send_all("answer"); });
  EXPECT_EQ(pair.server.receive_some(), "question");
}

// explores: SSLStream.receive_some
EXPLORE_TEST(SSLDataExplored, WhoIsCancelledHasReceivedNothing) {
  ShakenPair pair;
  CancelScope leaves;
  std::string got;
  at_moment(
      pair, any_number(3), [&] { leaves.cancel(); },
      [&] {
        pair.client.send_all("ab");
        pair.client.send_all("cd");
      },
      [&] {
        leaves.run([&] {
          for (;;) got += pair.server.receive_some(1);
        });
        while (got.size() < 4) got += pair.server.receive_some(3);
      });
  EXPECT_EQ(got, "abcd");
}

// Also where it is cancelled because it has to send, and waits for its turn.
// explores: SSLStream.receive_some, SSLStream.send_all
EXPLORE_TEST(SSLDataExplored, WhoIsCancelledWhileAnotherSendsHasReceivedNothing) {
  ShakenPair pair(Below::kPipe, TLSVersion::kTls12);
  CancelScope leaves;
  std::string got;
  End end = End::kDone;
  ask_for_a_handshake(pair);
  pair.server.send_all("abc");
  at_moment(
      pair, any_number(2), [&] { leaves.cancel(); }, [&] { pair.client.send_all("question"); },
      [&] {
        leaves.run([&] { got = pair.client.receive_some(2); });
        end_of([&] {
          while (got.size() < 3) got += pair.client.receive_some(2);
        });
      },
      [&] {
        // When the client's tasks wait for nothing else.
        sleep(std::chrono::seconds(2));
        end = end_of([&] { EXPECT_EQ(pair.server.receive_some(), "question"); });
      });
  if (!pair.client_wire().torn()) {
    EXPECT_EQ(got, "abc");
    EXPECT_EQ(end, End::kDone);
  }
}

// What has come for who was cancelled is still there to be received.
// explores: SSLStream.unwrap, SSLStream.receive_some
EXPLORE_TEST(SSLDataExplored, UnwrappingDoesNotDropWhatHasCome) {
  ShakenPair pair(Below::kPipe, TLSVersion::kTls12);
  CancelScope leaves;
  std::string got;
  ask_for_a_handshake(pair);
  pair.server.send_all("abc");
  const auto send = [&] { pair.client.send_all("question"); };
  at_moment(
      pair, any_number(3), [&] { leaves.cancel(); },
      [&] { end_of([&] { move_on_after(std::chrono::seconds(2), send); }); },
      [&] { leaves.run([&] { got = pair.client.receive_some(); }); });
  if (pair.client_wire().torn() || !got.empty()) return;
  // The handshake, if it has begun, comes to its end.
  together(send, [&] { EXPECT_TRUE(pair.server.receive_some().starts_with("question")); });
  EXPECT_EQ(end_of([&] { pair.client.unwrap(); }), End::kBroken);
}

// explores: SSLStream.send_all
EXPLORE_TEST(SSLDataExplored, WhoIsCancelledWhileSendingCanOnlyClose) {
  ShakenPair pair(Below::kLockstep);
  CancelScope leaves;
  std::string got;
  End sent = End::kDone;
  End end = End::kDone;
  at_moment(
      pair, any_number(3), [&] { leaves.cancel(); },
      [&] {
        sent = end_of(leaves, [&] { pair.client.send_all("ab"); });
        const End again = end_of([&] { pair.client.send_all("cd"); });
        EXPECT_EQ(again, pair.client_wire().torn() ? End::kBroken : End::kDone);
        pair.client.aclose();
      },
      [&] { got = receive_to_end(pair.server, end); });
  if (sent == End::kDone) {
    EXPECT_EQ(got, "abcd");
  }
  if (!pair.client_wire().torn()) {
    EXPECT_EQ(got, sent == End::kDone ? "abcd" : "cd");
    EXPECT_EQ(end, End::kDone);
  }
}

// Each has sent everything, or nothing.
// explores: SSLStream.send_all
EXPLORE_TEST(SSLDataExplored, OneTaskSends) {
  ShakenPair pair;
  std::string expected;
  const auto send = [&](const char* data) {
    return [&, data] {
      if (end_of([&] { pair.client.send_all(data); }) == End::kDone) expected += data;
    };
  };
  together(send("ab"), send("cd"), [&] {
    wait_turns(2);
    if (end_of([&] { pair.client.send_all("ef"); }) == End::kDone) expected += "ef";
  });
  pair.client.aclose();
  End end = End::kDone;
  EXPECT_EQ(receive_to_end(pair.server, end), expected);
  EXPECT_EQ(end, End::kDone);
  EXPECT_FALSE(expected.empty());
}

// explores: SSLStream.wait_send_all_might_not_block, SSLStream.send_all
EXPLORE_TEST(SSLDataExplored, WhoWaitsForRoomKeepsSendersOut) {
  ShakenPair pair(Below::kLockstep);
  End waited = End::kDone;
  End sent = End::kDone;
  std::string got;
  together(
      [&] {
        waited = end_of([&] { pair.client.wait_send_all_might_not_block(); });
        if (waited == End::kDone) pair.client.send_all("a");
      },
      [&] { sent = end_of([&] { pair.client.send_all("b"); }); },
      [&] { got = pair.server.receive_some(1); });
  // The receiver is content with one byte, so that whoever came second was there in time.
  EXPECT_TRUE((waited == End::kDone && sent == End::kBusy && got == "a") ||
              (waited == End::kBusy && sent == End::kDone && got == "b"))
      << got;
}

// explores: SSLStream.wait_send_all_might_not_block
EXPLORE_TEST(SSLDataExplored, WhoNoLongerWaitsForRoomHasDoneNothing) {
  ShakenPair pair(Below::kLockstep);
  CancelScope leaves;
  at_moment(
      pair, any_number(2), [&] { leaves.cancel(); },
      [&] {
        leaves.run([&] { pair.client.wait_send_all_might_not_block(); });
        pair.client.send_all("x");
      },
      [&] {
        wait_turns(2);
        EXPECT_EQ(pair.server.receive_some(), "x");
      });
}

// A goodbye waits for its turn, and whoever waits for room hears of it.
// explores: SSLStream.wait_send_all_might_not_block, SSLStream.aclose
EXPLORE_TEST(SSLDataExplored, ClosingTellsWhoWaitsForRoom) {
  ShakenPair pair(Below::kLockstep);
  End waited = End::kDone;
  End end = End::kDone;
  together([&] { waited = end_of([&] { pair.client.wait_send_all_might_not_block(); }); },
           [&] { pair.client.aclose(); }, [&] { EXPECT_EQ(receive_to_end(pair.server, end), ""); });
  EXPECT_EQ(end, End::kDone);
  EXPECT_TRUE(waited == End::kDone || waited == End::kClosed);
}

}  // namespace
}  // namespace weft::fibers
