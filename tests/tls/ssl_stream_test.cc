// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What streams do while all goes well. For what goes wrong: ssl_errors_test.cc.

#include "weft/tls/ssl_stream.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/tls/echo_peer.h"
#include "tests/tls/ssl_pairs.h"
#include "tests/tls/tls_testing.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/sequencer.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"

namespace weft::fibers {
namespace {

using testing::assert_checkpoints;
using testing::MemoryStream;
using testing::wait_all_tasks_blocked;

SSLContext client_context(TLSVersion version) {
  SSLContext context = test_client_context();
  context.set_maximum_version(version);
  return context;
}

// trio: test_ssl.py::test_ssl_client_basics
FIBER_TEST(SSLStreamTest, ClientTalksToAnotherImplementation) {
  for (const TLSVersion version : {TLSVersion::kTls12, TLSVersion::kTls13}) {
    EchoPeer peer(test_server_context(), {});
    SSLStream stream(peer.take_stream(), client_context(version),
                     {.server_hostname = "example.org"});
    EXPECT_FALSE(stream.server_side());
    stream.send_all("x");
    EXPECT_EQ(stream.receive_some(), "x");
    EXPECT_EQ(stream.version(), version == TLSVersion::kTls12 ? "TLSv1.2" : "TLSv1.3");
    stream.aclose();
    EXPECT_EQ(peer.wait_for_end(), "goodbye");
  }
}

// trio: test_ssl.py::test_ssl_server_basics
FIBER_TEST(SSLStreamTest, ServerTalksToAnotherImplementation) {
  for (const TLSVersion version : {TLSVersion::kTls12, TLSVersion::kTls13}) {
    EchoPeer peer(client_context(version), {.client = true});
    SSLStream stream(peer.take_stream(), test_server_context(), {.server_side = true});
    EXPECT_TRUE(stream.server_side());
    stream.send_all("x");
    EXPECT_EQ(stream.receive_some(), "x");
    stream.aclose();
    EXPECT_EQ(peer.wait_for_end(), "goodbye");
  }
}

// trio: test_ssl.py::test_full_duplex_basics
FIBER_TEST(SSLStreamTest, SendsAndReceivesAtOnce) {
  EchoPeer peer(test_server_context(), {});
  SSLStream stream(peer.take_stream(), test_client_context(), {.server_hostname = "example.org"});
  std::string sent;
  for (int i = 0; i < 30; ++i) sent += std::string(32768, static_cast<char>('A' + i));
  std::string received;
  together([&] { stream.send_all(sent); },
           [&] { received = receive_exactly(stream, sent.size()); });
  EXPECT_TRUE(received == sent);
  stream.aclose();
}

// trio: test_ssl.py::test_renegotiation_simple
FIBER_TEST(SSLStreamTest, PeerMayShakeHandsAnew) {
  EchoPeer peer(test_server_context(), {.renegotiate = true});
  SSLStream stream(peer.take_stream(), client_context(TLSVersion::kTls12),
                   {.server_hostname = "example.org"});
  for (const char* data : {"a", "!", "b", "!!", "c"}) {
    stream.send_all(data);
    EXPECT_EQ(receive_exactly(stream, std::string(data).size()), data);
  }
  stream.aclose();
  EXPECT_EQ(peer.wait_for_end(), "goodbye");
}

// Sending and receiving, in both orders, meet the new handshake at every stage. (OpenSSL itself
// does not allow more data than this to be under way meanwhile.)
// trio: test_ssl.py::test_renegotiation_randomized
FIBER_TEST(SSLStreamTest, PeerMayShakeHandsAnewWhileBothTasksAreBusy) {
  EchoPeer peer(test_server_context(), {.renegotiate = true});
  SSLStream stream(peer.take_stream(), client_context(TLSVersion::kTls12),
                   {.server_hostname = "example.org"});
  const auto send = [&](const char* data) { return [&stream, data] { stream.send_all(data); }; };
  const auto expect = [&](const char* data) {
    return [&stream, data] { EXPECT_EQ(receive_exactly(stream, 1), data); };
  };
  for (int i = 0; i < 30; ++i) {
    together(send("!"), expect("!"));
    i % 2 == 0 ? together(send("a"), expect("a")) : together(expect("a"), send("a"));
    for (int turns = 0; turns < i % 5; ++turns) checkpoint();
    together(expect("b"), send("b"));
  }
  stream.aclose();
  EXPECT_EQ(peer.wait_for_end(), "goodbye");
}

// trio: test_ssl.py::test_resource_busy_errors
// trio: test_ssl.py::test_PyOpenSSLEchoStream_gives_resource_busy_errors
FIBER_TEST(SSLStreamTest, OneTaskADirection) {
  auto pair = ssl_lockstep_pair();
  SSLStream& stream = pair.first;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { stream.send_all("x"); });
    nursery.start_soon([&] { stream.receive_some(); });
    wait_all_tasks_blocked();
    EXPECT_THROW(stream.send_all("x"), BusyResourceError);
    EXPECT_THROW(stream.wait_send_all_might_not_block(), BusyResourceError);
    EXPECT_THROW(stream.receive_some(), BusyResourceError);
    EXPECT_THROW(stream.unwrap(), BusyResourceError);
    nursery.cancel_scope().cancel();
  });
}

// trio: test_ssl.py::test_wait_writable_calls_underlying_wait_writable
FIBER_TEST(SSLStreamTest, WaitingForRoomIsTheTransports) {
  auto pair = ssl_memory_pair();
  int calls = 0;
  pair.first.transport_stream<MemoryStream>().send_stream.wait_send_all_might_not_block_hook = [&] {
    ++calls;
  };
  pair.first.wait_send_all_might_not_block();
  EXPECT_EQ(calls, 1);
}

// trio: test_ssl.py::test_checkpoints
FIBER_TEST(SSLStreamTest, EveryCallIsACheckpoint) {
  auto [client, server] = ssl_memory_pair();
  together([&, &client = client] { assert_checkpoints([&] { client.do_handshake(); }); },
           [&, &server = server] { assert_checkpoints([&] { server.do_handshake(); }); });
  assert_checkpoints([&, &client = client] { client.do_handshake(); });
  assert_checkpoints([&, &client = client] { client.wait_send_all_might_not_block(); });
  assert_checkpoints([&, &client = client] { client.send_all("xxx"); });
  assert_checkpoints([&, &server = server] { EXPECT_EQ(server.receive_some(1), "x"); });
  // The rest is there and decrypted.
  assert_checkpoints([&, &server = server] { EXPECT_EQ(server.receive_some(1), "x"); });
  together([&, &client = client] { assert_checkpoints([&] { client.unwrap(); }); },
           [&, &server = server] {
             EXPECT_EQ(server.receive_some(2), "x");
             assert_checkpoints([&] { EXPECT_EQ(server.receive_some(1), ""); });
             assert_checkpoints([&] { server.aclose(); });
           });
  assert_checkpoints([&, &server = server] { server.aclose(); });
}

// trio: test_ssl.py::test_send_all_empty_string
FIBER_TEST(SSLStreamTest, SendingNothingIsNotTheEnd) {
  auto [client, server] = ssl_memory_pair();
  shake_hands(client, server);
  client.send_all("");
  client.send_all("x");
  EXPECT_EQ(server.receive_some(), "x");
}

FIBER_TEST(SSLStreamTest, ReceivesSeveralRecordsAtOnce) {
  auto [client, server] = ssl_memory_pair();
  shake_hands(client, server);
  for (const char* data : {"a", "b", "c"}) client.send_all(data);
  EXPECT_EQ(server.receive_some(2), "ab");
  client.aclose();
  EXPECT_EQ(server.receive_some(), "c");
  EXPECT_EQ(server.receive_some(), "");
}

// Both sides send at first, and nobody receives: a server's tickets must not be in the way.
FIBER_TEST(SSLStreamTest, TicketsWaitForCompany) {
  auto [client, server] = ssl_memory_pair();
  int sent = 0;
  auto& transport = server.transport_stream<MemoryStream>().send_stream;
  const auto pump = transport.send_all_hook;
  shake_hands(client, server);
  transport.send_all_hook = [&] {
    ++sent;
    pump();
  };
  client.send_all("x");
  EXPECT_EQ(server.receive_some(), "x");
  EXPECT_EQ(sent, 0);
  server.send_all("y");
  EXPECT_EQ(sent, 1);
  EXPECT_EQ(client.receive_some(), "y");
}

FIBER_TEST(SSLStreamTest, CancelledHandshakeGoesOnLater) {
  auto [client, server] = ssl_memory_pair();
  for (SSLStream* stream : {&client, &server}) {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { stream->do_handshake(); });
      nursery.start_soon([&] { stream->receive_some(); });
      nursery.start_soon([&] { stream->send_all("lost"); });
      wait_all_tasks_blocked();
      nursery.cancel_scope().cancel();
    });
  }
  shake_hands(client, server);
  client.send_all("x");
  EXPECT_EQ(server.receive_some(), "x");
}

FIBER_TEST(SSLStreamTest, TaskGoesOnWithTheHandshakeOfOneThatWasCancelled) {
  auto pair = ssl_memory_pair();
  CancelScope first;
  std::string received;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { first.run([&] { pair.first.do_handshake(); }); });
    wait_all_tasks_blocked();
    nursery.start_soon([&] { received = pair.first.receive_some(); });
    wait_all_tasks_blocked();
    first.cancel();
    wait_all_tasks_blocked();
    pair.second.send_all("x");
  });
  EXPECT_TRUE(first.cancelled_caught());
  EXPECT_EQ(received, "x");
}

// trio: test_ssl.py::test_unwrap
FIBER_TEST(SSLStreamTest, UnwrapGivesBackTheTransportAndWhatFollowed) {
  for (const TLSVersion version : {TLSVersion::kTls12, TLSVersion::kTls13}) {
    auto pair = ssl_memory_pair({.version = version});
    SSLStream& client = pair.first;
    SSLStream& server = pair.second;
    const Stream* client_transport = &client.transport_stream();
    const Stream* server_transport = &server.transport_stream();
    testing::Sequencer sequencer;
    together(
        [&] {
          client.send_all("x");
          EXPECT_EQ(client.receive_some(1), "y");
          client.send_all("z");
          // Nothing goes out for a while: the server is to get the answer to its goodbye and what
          // follows it in one piece.
          auto& out = client.transport_stream<MemoryStream>().send_stream;
          auto hook = sequencer.seq(0, [&] { return std::exchange(out.send_all_hook, nullptr); });
          EXPECT_EQ(client.receive_some(1), "");
          EXPECT_EQ(&client.transport_stream(), client_transport);
          auto [transport, trailing] = client.unwrap();
          EXPECT_EQ(transport.get(), client_transport);
          EXPECT_EQ(trailing, "");
          EXPECT_THROW(client.transport_stream(), ClosedResourceError);
          transport->send_all("trailing");
          auto& same = dynamic_cast<MemoryStream&>(*transport);
          same.send_stream.send_all_hook = hook;
          hook();
          EXPECT_EQ(transport->receive_some(), "in the clear");
        },
        [&] {
          EXPECT_EQ(server.receive_some(1), "x");
          server.send_all("y");
          EXPECT_EQ(server.receive_some(1), "z");
          auto [transport, trailing] = sequencer.seq(1, [&] { return server.unwrap(); });
          EXPECT_EQ(transport.get(), server_transport);
          EXPECT_EQ(trailing, "trailing");
          transport->send_all("in the clear");
        });
    EXPECT_THROW(client.send_all("x"), ClosedResourceError);
    EXPECT_THROW(server.unwrap(), ClosedResourceError);
  }
}

// Whichever comes first: the transport is closed, or it is the caller's who unwrapped.
FIBER_TEST(SSLStreamTest, MayBeClosedWhileAnotherTaskUnwraps) {
  const auto yield = [](int times) {
    for (int i = 0; i < times; ++i) checkpoint();
  };
  int unwrapped = 0;
  int closed = 0;
  for (int turns = 0; turns < 25; ++turns) {
    auto pair = ssl_memory_pair();
    shake_hands(pair.first, pair.second);
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        try {
          EXPECT_NE(pair.first.unwrap().transport_stream, nullptr);
          ++unwrapped;
        } catch (const ClosedResourceError&) {
          ++closed;
        }
      });
      wait_all_tasks_blocked();
      nursery.start_soon([&] {
        yield(turns / 5);
        pair.second.aclose();
      });
      nursery.start_soon([&] {
        yield(turns % 5);
        pair.first.aclose();
      });
    });
  }
  EXPECT_GT(unwrapped, 0);
  EXPECT_GT(closed, 0);
  EXPECT_EQ(unwrapped + closed, 25);
}

// trio: test_ssl.py::test_closing_nice_case
FIBER_TEST(SSLStreamTest, ClosingIsTheEndForTheOther) {
  auto pair = ssl_memory_pair();
  SSLStream& client = pair.first;
  SSLStream& server = pair.second;
  together([&] { client.aclose(); },
           [&] {
             EXPECT_EQ(server.receive_some(10), "");
             server.aclose();
           });
  // Closed is closed, and closing again is fine.
  client.aclose();
  server.aclose();
  EXPECT_THROW(client.receive_some(10), ClosedResourceError);
  EXPECT_THROW(client.send_all("x"), ClosedResourceError);
  EXPECT_THROW(client.do_handshake(), ClosedResourceError);
  EXPECT_THROW(client.wait_send_all_might_not_block(), ClosedResourceError);
  EXPECT_THROW(client.transport_stream().send_all("x"), ClosedResourceError);
  EXPECT_THROW(server.receive_some(10), ClosedResourceError);
}

// trio: test_ssl.py::test_closing_nice_case
FIBER_TEST(SSLStreamTest, BothMayCloseAtOnce) {
  for (const bool shaken : {false, true}) {
    auto pair = ssl_memory_pair();
    if (shaken) shake_hands(pair.first, pair.second);
    together([&] { pair.first.aclose(); }, [&] { pair.second.aclose(); });
  }
}

// trio: test_ssl.py::test_ssl_over_ssl
FIBER_TEST(SSLStreamTest, GoesOverAnotherOne) {
  auto [outer_client, outer_server] = ssl_memory_pair();
  SSLStream client(std::move(outer_client), test_client_context(),
                   {.server_hostname = "example.org"});
  SSLStream server(std::move(outer_server), test_server_context(), {.server_side = true});
  together(
      [&] {
        client.send_all("hi");
        client.aclose();
      },
      [&] {
        EXPECT_EQ(server.receive_some(), "hi");
        EXPECT_EQ(server.receive_some(), "");
        server.aclose();
      });
}

FIBER_TEST(SSLStreamTest, CanBeMoved) {
  auto [client, server] = ssl_memory_pair();
  shake_hands(client, server);
  SSLStream moved(std::move(client));
  moved.send_all("x");
  EXPECT_EQ(server.receive_some(), "x");
  EXPECT_THROW(client.send_all("x"), ClosedResourceError);  // NOLINT(bugprone-use-after-move)
}

FIBER_TEST(SSLStreamTest, DestroyedStreamClosesItsTransport) {
  auto pair = ssl_socket_pair();
  shake_hands(pair.first, pair.second);
  { const SSLStream destroyed = std::move(pair.first); }
  EXPECT_THROW(pair.second.receive_some(), BrokenResourceError);
}

}  // namespace
}  // namespace weft::fibers
