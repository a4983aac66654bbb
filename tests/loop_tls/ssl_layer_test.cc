// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop_tls/ssl_layer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "tests/loop/server_testing.h"
#include "tests/loop_tls/loop_tls_testing.h"
#include "weft/fibers/errors.h"
#include "weft/tls/ssl_error.h"

namespace weft::loop {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

// --- Data. ---

FIBER_TEST(SSLLayerTest, TheProtocolsTalkAfterTheHandshake) {
  with_loop([](EventLoop& loop) {
    const auto [client, server, tls] = connected(loop, true);
    EXPECT_THAT(client->log, ElementsAre("made"));
    client->transport.write("hel");
    client->transport.writelines(std::vector<std::string_view>{"lo ", "there"});
    turn_until(loop, [&] { return client->received == "hello there"; });
    EXPECT_GT(tls.pipe.end_a().written, 11U) << "it is not sent as it is";
    client->transport.close();
    expect_set(client->ended);
    expect_set(server->ended);
    EXPECT_THAT(client->log, ElementsAre("made", "eof", "lost"));
    EXPECT_THAT(server->log, ElementsAre("made", "eof", "lost"));
  });
}

// asyncio: claims_tls::a_megabyte_is_echoed
FIBER_TEST(SSLLayerTest, EchoesAMegabyteIntoMemoryOfTheProtocolsOwn) {
  with_loop([](EventLoop& loop) {
    const auto client = std::make_shared<BufferedRecorder>(loop);
    const auto server = std::make_shared<Recorder>(loop, true);
    TlsPipe tls(loop, client, server);
    await(tls.waiter);
    const std::string& data = megabyte();
    for (std::size_t at = 0; at < data.size(); at += 100000) {
      client->transport.write(std::string_view(data).substr(at, 100000));
    }
    turn_until(loop, [&] { return client->received.size() >= data.size(); });
    EXPECT_EQ(client->received, data);
    client->transport.abort();
    expect_set(server->ended);
  });
}

// asyncio: test_events.py::EventLoopTestsMixin::test_create_server_ssl_verified
FIBER_TEST(SSLLayerTest, TellsWhatHasBeenAgreedOn) {
  with_loop([](EventLoop& loop) {
    const auto [client, server, tls] = connected(loop);
    expect_set(server->made);
    const Transport& transport = client->transport;
    EXPECT_EQ(transport.get_extra_info(extra_info::cipher)->protocol, "TLSv1.3");
    EXPECT_THAT(transport.get_extra_info(extra_info::peercert)->dns_names,
                ::testing::Contains("example.org"));
    EXPECT_TRUE(transport.get_extra_info(extra_info::sslcontext).has_value());
    EXPECT_NE(transport.get_extra_info(extra_info::ssl_object).value(), nullptr);
    EXPECT_FALSE(transport.get_extra_info(extra_info::compression).has_value());
    EXPECT_FALSE(server->transport.get_extra_info(extra_info::peercert).has_value());
    EXPECT_FALSE(transport.can_write_eof());
    client->transport.abort();
    expect_set(server->ended);
  });
}

FIBER_TEST(SSLLayerTest, WhatIsWrittenDuringTheHandshakeIsSentAfterIt) {
  with_loop([](EventLoop& loop) {
    const auto client = std::make_shared<Recorder>(loop);
    const auto server = std::make_shared<Recorder>(loop);
    SSLLayer client_layer(fibers::test_client_context());
    SSLLayer server_layer(fibers::test_server_context());
    Future<void> waiter = loop.create_future<void>();
    MadeLayer made = client_layer.make(
        {.loop = loop, .protocol = client, .server_hostname = "example.org", .waiter = waiter});
    MadeLayer other = server_layer.make({.loop = loop, .protocol = server, .server_side = true});
    const Wire pipe(loop, made.protocol, other.protocol);
    loop.synchronize();  // The handshake has begun.
    EXPECT_FALSE(waiter.done());
    made.transport.write("early, ");
    await(waiter);
    made.transport.write("late");
    turn_until(loop, [&] { return server->received.size() >= 11; });
    EXPECT_EQ(server->received, "early, late");
    made.transport.abort();
    expect_set(server->ended);
  });
}

struct Hesitant : Recorder {
  using Recorder::Recorder;
  void data_received(std::string_view data) override {
    Recorder::data_received(data);
    if (data == "a") fibers::sleep(1s);
  }
};

// What has been held up is given out by a callback of its own: the connection below goes on.
FIBER_TEST(SSLLayerTest, WhatComesWhileAResumedProtocolWaitsIsNotLost) {
  with_loop([](EventLoop& loop) {
    const auto [client, server, tls] = connected<Hesitant>(loop);
    expect_set(server->made);
    server->transport.pause_reading();
    client->transport.write("a");
    fibers::sleep(1s);
    EXPECT_EQ(server->received, "");
    server->transport.resume_reading();
    fibers::sleep(500ms);
    client->transport.write("b");
    fibers::sleep(2s);
    EXPECT_EQ(server->received, "ab");
    client->transport.abort();
    expect_set(server->ended);
  });
}

// --- Handshakes that fail. ---

// What the client of such a connection is told.
template <class E>
std::string failure(EventLoop& loop, const LayerRequest& request,
                    const fibers::SSLContext& client = fibers::test_client_context()) {
  const auto server = std::make_shared<Recorder>(loop);
  TlsPipe tls(loop, request, {.loop = loop, .protocol = server, .server_side = true}, client);
  std::string text = thrown<E>([&] { await(tls.waiter); });
  turn_until(loop, [&] { return tls.pipe.b.is_closing(); });
  return text;
}

// asyncio: claims_tls::handshake_failures_by_kind
// asyncio: test_ssl.py::TestSSL::test_create_connection_ssl_failed_certificate
// asyncio: test_sslproto.py::BaseStartTLS::test_create_connection_ssl_failed_certificate
// asyncio: test_events.py::EventLoopTestsMixin::test_create_server_ssl_verify_failed
// asyncio: test_events.py::EventLoopTestsMixin::test_create_server_ssl_match_failed
FIBER_TEST(SSLLayerTest, ACertificateThatIsNotTrustedFailsTheHandshake) {
  with_loop([](EventLoop& loop) {
    const auto client = std::make_shared<Recorder>(loop);
    using Untrusted = fibers::SSLCertVerificationError;
    failure<Untrusted>(loop, {.loop = loop, .protocol = client, .server_hostname = "example.org"},
                       fibers::SSLContext::client({.system_trust_store = false}));
    EXPECT_THAT(failure<Untrusted>(
                    loop, {.loop = loop, .protocol = client, .server_hostname = "other.example"}),
                HasSubstr("certificate is not valid for 'other.example'"));
    EXPECT_THAT(client->log, ElementsAre()) << "there has been no connection";
  });
}

// The client talks to something else than TLS.
FIBER_TEST(SSLLayerTest, WhatIsNotTlsFailsTheHandshake) {
  with_loop([](EventLoop& loop) {
    const Lonely lonely(loop);
    lonely.other->transport.write("HTTP/1.0 400 Bad Request\r\n\r\n");
    thrown<fibers::SSLError>([&] { await(lonely.waiter); });
    expect_set(lonely.other->ended);
    EXPECT_THAT(lonely.client->log, ElementsAre());
  });
}

// asyncio: claims_tls::end_of_file_during_the_handshake
// asyncio: test_ssl.py::TestSSL::test_ssl_handshake_connection_lost
// asyncio: test_sslproto.py::SslProtoHandshakeTests::test_eof_received_waiter
FIBER_TEST(SSLLayerTest, APeerThatGoesAwayFailsTheHandshake) {
  with_loop([](EventLoop& loop) {
    for (const bool abort : {false, true}) {
      const Lonely lonely(loop);
      const fibers::Instant begun = loop.time();
      loop.synchronize();
      abort ? Transport(lonely.pipe.a).abort() : Transport(lonely.pipe.b).close();
      EXPECT_THAT(errno_of([&] { await(lonely.waiter); }), AnyOf(ECONNRESET, ECONNABORTED));
      EXPECT_EQ(loop.time(), begun) << "it is the timeout that has ended it";
      expect_set(lonely.other->ended);
      EXPECT_THAT(lonely.client->log, ElementsAre());
    }
  });
}

// asyncio: test_ssl.py::TestSSL::test_ssl_handshake_timeout
// asyncio: test_sslproto.py::BaseStartTLS::test_handshake_timeout
// asyncio: test_ssl.py::TestSSL::test_create_connection_ssl_slow_handshake
// asyncio: test_sslproto.py::BaseStartTLS::test_create_connection_ssl_slow_handshake
FIBER_TEST(SSLLayerTest, AHandshakeThatTakesTooLongIsGivenUp) {
  with_loop([](EventLoop& loop) {
    const Lonely lonely(loop);  // The other says nothing.
    const fibers::Instant begun = loop.time();
    try {
      await(lonely.waiter);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::system_error& error) {
      EXPECT_EQ(error.code().value(), ECONNABORTED);
      EXPECT_THAT(error.what(),
                  HasSubstr("SSL handshake is taking longer than 60 seconds: aborting the "
                            "connection"));
    }
    EXPECT_EQ(loop.time() - begun, 60s);
    expect_set(lonely.other->ended);
  });
}

// asyncio: test_sslproto.py::SslProtoHandshakeTests::test_handshake_timeout_zero
// asyncio: test_sslproto.py::SslProtoHandshakeTests::test_handshake_timeout_negative
// asyncio: test_sslproto.py::SslProtoHandshakeTests::test_check_hostname_requires_server_hostname
// asyncio: test_sslproto.py::SslProtoHandshakeTests::test_check_hostname_accepts_server_hostname
FIBER_TEST(SSLLayerTest, RefusesWhatDoesNotFitTogether) {
  with_loop([](EventLoop& loop) {
    const auto protocol = std::make_shared<Recorder>(loop);
    SSLLayer client(fibers::test_client_context());
    const auto refusal = [&](LayerRequest request) {
      return thrown<fibers::UsageError>([&] { client.make(std::move(request)); });
    };
    EXPECT_THAT(refusal({.loop = loop, .protocol = protocol, .handshake_timeout = 0s}),
                HasSubstr("ssl_handshake_timeout should be a positive number"));
    EXPECT_THAT(refusal({.loop = loop, .protocol = protocol, .handshake_timeout = -10s}),
                HasSubstr("ssl_handshake_timeout should be a positive number"));
    EXPECT_THAT(refusal({.loop = loop, .protocol = protocol, .shutdown_timeout = 0s}),
                HasSubstr("ssl_shutdown_timeout should be a positive number"));
    EXPECT_THAT(refusal({.loop = loop, .protocol = protocol}),
                HasSubstr("check_hostname requires server_hostname"));
    EXPECT_THAT(refusal({.loop = loop, .protocol = protocol, .server_side = true}),
                HasSubstr("Server side SSL needs a valid SSLContext"));
    client.make({.loop = loop, .protocol = protocol, .server_hostname = "example.org"});
  });
}

// --- The end. ---

// asyncio: claims_tls::shutdown_timeout
FIBER_TEST(SSLLayerTest, APeerThatSaysNoGoodbyeIsCutOff) {
  with_loop([](EventLoop& loop) {
    const auto [client, server, tls] = connected(loop);
    tls.pipe.end_b().hold_up(true);
    client->transport.write("data");
    client->transport.close();
    EXPECT_TRUE(client->transport.is_closing());
    const fibers::Instant begun = loop.time();
    expect_set(client->ended);
    EXPECT_EQ(loop.time() - begun, 30s);
    EXPECT_THAT(client->log, ElementsAre("made", "broken"));
    EXPECT_EQ(errno_of([&] { client->throw_error(); }), ETIMEDOUT);
    tls.pipe.end_b().hold_up(false);
    expect_set(server->ended);
    EXPECT_EQ(server->received, "data") << "close() sends what has been written";
  });
}

// asyncio: test_ssl.py::TestSSL::test_shutdown_timeout_handler_leak
// asyncio: test_ssl.py::TestSSL::test_handshake_timeout_handler_leak
FIBER_TEST(SSLLayerTest, NoTimerOutlivesItsConnection) {
  with_loop([](EventLoop& loop) {
    std::weak_ptr<Recorder> gone;
    const fibers::Instant begun = loop.time();
    {
      const auto [client, server, tls] = connected(loop);
      gone = client;
      client->transport.close();
      expect_set(client->ended);
      expect_set(server->ended);
    }
    turn_until(loop, [&] { return gone.expired(); });
    EXPECT_EQ(loop.time(), begun);
  });
}

// The peer waits for this side's: nothing else comes.
// asyncio: test_ssl.py::TestSSL::test_start_tls_server_1
FIBER_TEST(SSLLayerTest, AGoodbyeThatComesWithTheLastDataIsHeardAndAnswered) {
  with_loop([](EventLoop& loop) {
    const auto [client, server, tls] = connected(loop);
    expect_set(server->made);
    tls.pipe.end_b().hold_up(true);
    client->transport.write("the last");
    client->transport.close();
    tls.pipe.end_b().hold_up(false);
    expect_set(client->ended);
    expect_set(server->ended);
    EXPECT_EQ(server->received, "the last");
    EXPECT_THAT(server->log, ElementsAre("made", "eof", "lost"));
    EXPECT_THAT(client->log, ElementsAre("made", "eof", "lost"));
  });
}

FIBER_TEST(SSLLayerTest, AnEndWithoutAGoodbyeIsAnEnd) {
  with_loop([](EventLoop& loop) {
    const auto [client, server, tls] = connected(loop);
    client->transport.write("last words");
    Transport(tls.pipe.a).close();
    expect_set(server->ended);
    EXPECT_EQ(server->received, "last words");
    EXPECT_THAT(server->log, ElementsAre("made", "eof", "lost"));
  });
}

// asyncio: test_sslproto.py::SslProtoHandshakeTests::test_connection_lost
FIBER_TEST(SSLLayerTest, AbortDropsEverythingAtOnce) {
  with_loop([](EventLoop& loop) {
    const auto [client, server, tls] = connected(loop);
    const std::size_t before = tls.pipe.end_a().written;
    client->transport.abort();
    expect_set(client->ended);
    EXPECT_THAT(client->log, ElementsAre("made", "lost"));
    EXPECT_EQ(tls.pipe.end_a().written, before) << "no goodbye";
    expect_set(server->ended);
  });
}

// asyncio: test_sslproto.py::SslProtoHandshakeTests::test_close_during_handshake
FIBER_TEST(SSLLayerTest, ToCloseDuringTheHandshakeIsToAbort) {
  with_loop([](EventLoop& loop) {
    const Lonely lonely(loop);
    loop.synchronize();
    Transport(lonely.made.transport).close();
    EXPECT_TRUE(lonely.pipe.a.is_closing());
    EXPECT_EQ(errno_of([&] { await(lonely.waiter); }), ECONNABORTED);
    expect_set(lonely.other->ended);
    EXPECT_THAT(lonely.client->log, ElementsAre());
  });
}

// asyncio: test_sslproto.py::SslProtoHandshakeTests::test_write_after_closing
// asyncio: test_sslproto.py::SslProtoHandshakeTests::test_get_extra_info_on_closed_connection
FIBER_TEST(SSLLayerTest, WritesAfterTheEndAreDroppedAndLogged) {
  with_loop([](EventLoop& loop) {
    const CapturedLog capture;
    const auto [client, server, tls] = connected(loop);
    Transport transport = client->transport;
    transport.close();
    for (int i = 0; i < 6; ++i) transport.write("late");
    expect_set(server->ended);
    EXPECT_EQ(server->received, "");
    EXPECT_THAT(capture.lines, ElementsAre("SSL connection is closed"));
    expect_set(client->ended);
    EXPECT_FALSE(transport.get_extra_info(ExtraInfo<int>{"socket"}).has_value());
  });
}

FIBER_TEST(SSLLayerTest, AProtocolCannotKeepHalfAConnection) {
  with_loop([](EventLoop& loop) {
    const CapturedLog capture;
    const auto [client, server, tls] = connected(loop);
    server->keep_open = true;
    client->transport.close();
    expect_set(server->ended);
    EXPECT_THAT(server->log, ElementsAre("made", "eof", "lost"));
    EXPECT_THAT(capture.lines,
                ElementsAre(HasSubstr("returning true from eof_received() has no effect")));
  });
}

// --- Flow control. ---

FIBER_TEST(SSLLayerTest, APausedProtocolHoldsThePeerUp) {
  with_loop([](EventLoop& loop) {
    const auto [client, server, tls] = connected(loop);
    expect_set(server->made);
    server->transport.pause_reading();
    EXPECT_FALSE(server->transport.is_reading());
    const std::string data(100000, 'x');
    for (int i = 0; i < 20; ++i) {
      client->transport.write(data);
      loop.synchronize();
    }
    EXPECT_EQ(server->received, "");
    EXPECT_FALSE(tls.pipe.b.is_reading()) << "what is encrypted piles up there, not here";
    EXPECT_THAT(client->log, ElementsAre("made", "pause"));
    server->transport.resume_reading();
    turn_until(loop, [&] { return server->received.size() == 20 * data.size(); });
    turn_until(loop, [&] { return client->log.size() == 3; });
    client->transport.abort();
    expect_set(server->ended);
  });
}

FIBER_TEST(SSLLayerTest, TheLimitsOfWritingAreTheProtocolsOwn) {
  with_loop([](EventLoop& loop) {
    const auto [client, server, tls] = connected(loop);
    EXPECT_EQ(client->transport.get_write_buffer_limits(), std::pair(131072UL, 524288UL));
    client->transport.set_write_buffer_limits(1000);
    EXPECT_EQ(client->transport.get_write_buffer_limits(), std::pair(250UL, 1000UL));
    tls.pipe.end_b().hold_up(true);
    client->transport.write(std::string(70000, 'x'));  // The connection below is full then.
    EXPECT_THAT(client->log, ElementsAre("made"));
    client->transport.write(std::string(2000, 'x'));
    EXPECT_GT(client->transport.get_write_buffer_size(), 2000U);
    EXPECT_THAT(client->log, ElementsAre("made", "pause"));
    tls.pipe.end_b().hold_up(false);
    turn_until(loop, [&] { return server->received.size() == 72000; });
    EXPECT_THAT(client->log, ElementsAre("made", "pause", "resume"));
    client->transport.abort();
    expect_set(server->ended);
  });
}

// While a protocol's method waits, what else happens waits for it.
FIBER_TEST(SSLLayerTest, AProtocolMayWait) {
  struct Sleeper final : Recorder {
    using Recorder::Recorder;
    void data_received(std::string_view data) override {
      fibers::sleep(1s);
      Recorder::data_received(data);
    }
  };
  with_loop([](EventLoop& loop) {
    const auto [client, server, tls] = connected<Sleeper>(loop);
    client->transport.write("one ");
    loop.synchronize();
    loop.synchronize();
    client->transport.write("two");
    client->transport.close();
    expect_set(server->ended);
    EXPECT_EQ(server->received, "one two");
    EXPECT_THAT(server->log, ElementsAre("made", "eof", "lost"));
  });
}

}  // namespace
}  // namespace weft::loop
