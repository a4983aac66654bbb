// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What becomes of a stream when something goes wrong below it, or at the other end.

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "tests/tls/ssl_pairs.h"
#include "tests/tls/tls_testing.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"

namespace weft::fibers {
namespace {

using testing::assert_checkpoints;
using testing::MemoryStream;
using testing::wait_all_tasks_blocked;

MemoryStream& transport(SSLStream& stream) {
  return stream.transport_stream<MemoryStream>();
}

void fail() {
  throw std::out_of_range("the transport's own error");
}

// Counts how often the halves of the transport are closed.
void count_closings(SSLStream& stream, int& count) {
  transport(stream).send_stream.close_hook = [&] { ++count; };
  transport(stream).receive_stream.close_hook = [&] { ++count; };
}

// trio: test_ssl.py::test_send_all_fails_in_the_middle
FIBER_TEST(SSLErrorsTest, FailureInTheMiddleOfSendingBreaksTheStream) {
  auto [client, server] = ssl_memory_pair();
  shake_hands(client, server);
  int closings = 0;
  count_closings(client, closings);
  transport(client).send_stream.send_all_hook = fail;
  EXPECT_THROW(client.send_all("x"), std::out_of_range);
  EXPECT_THROW(client.wait_send_all_might_not_block(), BrokenResourceError);
  EXPECT_THROW(client.send_all("x"), BrokenResourceError);
  EXPECT_THROW(client.receive_some(), BrokenResourceError);
  EXPECT_THROW(client.unwrap(), BrokenResourceError);
  client.aclose();
  EXPECT_EQ(closings, 2);
}

FIBER_TEST(SSLErrorsTest, CancellationInTheMiddleOfSendingBreaksTheStream) {
  auto pair = ssl_lockstep_pair();
  shake_hands(pair.first, pair.second);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { pair.first.send_all("x"); });
    wait_all_tasks_blocked();
    nursery.cancel_scope().cancel();
  });
  EXPECT_THROW(pair.first.send_all("x"), BrokenResourceError);
}

// trio: test_ssl.py::test_ssl_bad_shutdown
FIBER_TEST(SSLErrorsTest, EndWithoutAGoodbyeIsBroken) {
  for (const TLSVersion version : {TLSVersion::kTls12, TLSVersion::kTls13}) {
    auto pair = ssl_memory_pair({.version = version});
    shake_hands(pair.first, pair.second);
    aclose_forcefully(pair.first);
    const std::string why = broken_because<SSLEOFError>([&] { pair.second.receive_some(10); });
    expect_contains(why, "without a goodbye");
    EXPECT_THROW(pair.second.receive_some(10), BrokenResourceError);
    pair.second.aclose();
  }
}

// trio: test_ssl.py::test_ssl_bad_shutdown_but_its_ok
FIBER_TEST(SSLErrorsTest, EndWithoutAGoodbyeIsAnEndForHttps) {
  for (const TLSVersion version : {TLSVersion::kTls12, TLSVersion::kTls13}) {
    auto pair = ssl_memory_pair({.version = version, .https_compatible = true});
    shake_hands(pair.first, pair.second);
    aclose_forcefully(pair.first);
    EXPECT_EQ(pair.second.receive_some(10), "");
    EXPECT_EQ(pair.second.receive_some(10), "");
    pair.second.aclose();
  }
}

// trio: test_ssl.py::test_ssl_https_compatibility_disagreement
FIBER_TEST(SSLErrorsTest, OnlyOneSideThinksThatGoodbyesAreNotNeeded) {
  auto [a, b] = testing::memory_stream_pair();
  SSLStream client(std::move(a), test_client_context(), {.server_hostname = "example.org"});
  SSLStream server(std::move(b), test_server_context(),
                   {.server_side = true, .https_compatible = true});
  shake_hands(client, server);
  together([&] { EXPECT_THROW(client.receive_some(10), BrokenResourceError); },
           [&] { server.aclose(); });
}

// trio: test_ssl.py::test_https_mode_eof_before_handshake
FIBER_TEST(SSLErrorsTest, EndBeforeTheHandshakeIsAnEndForHttps) {
  auto pair = ssl_memory_pair({.https_compatible = true});
  together([&] { pair.first.aclose(); }, [&] { EXPECT_EQ(pair.second.receive_some(10), ""); });
  EXPECT_EQ(pair.second.receive_some(10), "");
  pair.second.aclose();
}

FIBER_TEST(SSLErrorsTest, EndBeforeTheHandshakeIsBrokenOtherwise) {
  WEFT_NOT_ALLOCATION_SWEPT("its other side waits for what is never sent");
  auto pair = ssl_memory_pair();
  aclose_forcefully(pair.first);
  broken_because<SSLEOFError>([&] { pair.second.receive_some(10); });
  // Forget what was wrong with TLS: the stream stays broken.
  EXPECT_THROW(pair.second.do_handshake(), BrokenResourceError);
}

// trio: test_ssl.py::test_ssl_handshake_failure_during_aclose
FIBER_TEST(SSLErrorsTest, ClosingReportsAFailedHandshakeAndCloses) {
  WEFT_NOT_ALLOCATION_SWEPT("its other side waits for what is never sent");
  auto [a, b] = testing::memory_stream_pair();
  // Trusts nobody.
  SSLStream client(std::move(a), SSLContext::client({.system_trust_store = false}),
                   {.server_hostname = "example.org"});
  SSLStream server(std::move(b), test_server_context(), {.server_side = true});
  int closings = 0;
  count_closings(client, closings);
  together(
      [&] {
        assert_checkpoints(
            [&] { broken_because<SSLCertVerificationError>([&] { client.aclose(); }); });
      },
      [&] {
        // It is told why.
        expect_contains(broken_because<SSLError>([&] { server.do_handshake(); }), "unknown ca");
      });
  EXPECT_EQ(closings, 2);
  EXPECT_THROW(client.send_all("x"), ClosedResourceError);
}

// trio: test_ssl.py::test_ssl_only_closes_stream_once
FIBER_TEST(SSLErrorsTest, TransportIsClosedOnce) {
  auto [client, server] = ssl_memory_pair();
  shake_hands(client, server);
  int closings = 0;
  transport(client).send_stream.close_hook = [&] { ++closings; };
  client.aclose();
  client.aclose();
  EXPECT_EQ(closings, 1);
}

// trio: test_ssl.py::test_ssl_only_closes_stream_once
FIBER_TEST(SSLErrorsTest, TransportIsClosedOnceAfterAFailureToo) {
  auto [client, server] = ssl_memory_pair();
  shake_hands(client, server);
  int closings = 0;
  transport(client).send_stream.close_hook = [&] { ++closings; };
  transport(client).send_stream.send_all_hook = fail;
  EXPECT_THROW(client.aclose(), std::out_of_range);
  EXPECT_EQ(closings, 1);
  client.aclose();
  EXPECT_EQ(closings, 1);
}

// trio: test_ssl.py::test_send_error_during_handshake
FIBER_TEST(SSLErrorsTest, ErrorOfSendingEndsTheHandshake) {
  auto [client, server] = ssl_memory_pair();
  transport(client).send_stream.send_all_hook = fail;
  EXPECT_THROW(client.do_handshake(), std::out_of_range);
  EXPECT_THROW(client.do_handshake(), BrokenResourceError);
}

// trio: test_ssl.py::test_receive_error_during_handshake
FIBER_TEST(SSLErrorsTest, ErrorOfReceivingEndsTheHandshake) {
  auto pair = ssl_memory_pair();
  transport(pair.first).receive_stream.receive_some_hook = fail;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { pair.second.do_handshake(); });
    EXPECT_THROW(pair.first.do_handshake(), std::out_of_range);
    nursery.cancel_scope().cancel();
  });
  EXPECT_THROW(pair.first.do_handshake(), BrokenResourceError);
}

FIBER_TEST(SSLErrorsTest, TasksThatWaitForAHandshakeHearThatItFailed) {
  auto pair = ssl_memory_pair();
  SSLStream& client = pair.first;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(client.do_handshake(), BrokenResourceError); });
    wait_all_tasks_blocked();
    nursery.start_soon([&] { EXPECT_THROW(client.send_all("x"), BrokenResourceError); });
    nursery.start_soon([&] { EXPECT_THROW(client.receive_some(), BrokenResourceError); });
    wait_all_tasks_blocked();
    transport(pair.second).send_all("this is not TLS, but a printer.");
  });
}

FIBER_TEST(SSLErrorsTest, RubbishIsBroken) {
  auto pair = ssl_memory_pair();
  shake_hands(pair.first, pair.second);
  transport(pair.second).send_all("this is not TLS, but a printer.");
  expect_contains(broken_because<SSLError>([&] { pair.first.receive_some(); }), "wrong version");
}

FIBER_TEST(SSLErrorsTest, ChangedBytesAreNoticed) {
  auto pair = ssl_memory_pair();
  shake_hands(pair.first, pair.second);
  auto& out = transport(pair.first).send_stream;
  auto& in = transport(pair.second).receive_stream;
  out.send_all_hook = [&] {
    std::string data = out.get_data_nowait();
    data.back() = static_cast<char>(data.back() ^ 1);
    in.put_data(data);
  };
  pair.first.send_all("pay 1");
  expect_contains(broken_because<SSLError>([&] { pair.second.receive_some(); }), "bad record mac");
}

// What came before is not lost.
FIBER_TEST(SSLErrorsTest, DataBeforeRubbishIsReceived) {
  auto pair = ssl_memory_pair();
  shake_hands(pair.first, pair.second);
  pair.first.send_all("good");
  transport(pair.first).send_all("this is not TLS, but a printer.");
  EXPECT_EQ(pair.second.receive_some(), "good");
  EXPECT_THROW(pair.second.receive_some(), BrokenResourceError);
}

FIBER_TEST(SSLErrorsTest, UnwrappingWhileDataIsUnreadIsBroken) {
  auto pair = ssl_memory_pair();
  shake_hands(pair.first, pair.second);
  pair.first.send_all("unread");
  EXPECT_THROW(pair.second.unwrap(), BrokenResourceError);
}

FIBER_TEST(SSLErrorsTest, PeerThatIsGoneDoesNotDisturbClosing) {
  auto pair = ssl_socket_pair();
  shake_hands(pair.first, pair.second);
  aclose_forcefully(pair.second);
  pair.first.aclose();
}

FIBER_TEST(SSLErrorsTest, ClosingWakesATaskThatShakesHands) {
  auto pair = ssl_memory_pair();
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(pair.first.do_handshake(), ClosedResourceError); });
    nursery.start_soon([&] { EXPECT_THROW(pair.first.receive_some(), ClosedResourceError); });
    wait_all_tasks_blocked();
    aclose_forcefully(pair.first);
  });
}

}  // namespace
}  // namespace weft::fibers
