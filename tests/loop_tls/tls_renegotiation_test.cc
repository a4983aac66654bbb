// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A peer that wants other keys in the middle: only up to TLS 1.2 is this another handshake.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "tests/loop_tls/loop_tls_testing.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

fibers::SSLContext old_server() {
  fibers::SSLContext context = fibers::test_server_context();
  context.set_maximum_version(fibers::TLSVersion::kTls12);
  return context;
}

// A client whose peer has asked for another handshake, and does not hear its answer yet.
struct Renegotiating {
  explicit Renegotiating(EventLoop& loop)
      : client(std::make_shared<Recorder>(loop)),
        server(std::make_shared<Recorder>(loop)),
        tls(loop, {.loop = loop, .protocol = client, .server_hostname = "example.org"},
            {.loop = loop, .protocol = server, .server_side = true}, fibers::test_client_context(),
            old_server()) {
    await(tls.waiter);
    expect_set(server->made);
    SSL* const ssl = *server->transport.get_extra_info(extra_info::ssl_object);
    EXPECT_EQ(SSL_renegotiate(ssl), 1);
    EXPECT_EQ(SSL_do_handshake(ssl), 1);
    tls.pipe.end_b().hold_up(true);
    server->transport.write("new keys");
    turn_until(loop, [&] { return client->received == "new keys"; });
  }
  void go_on() { tls.pipe.end_b().hold_up(false); }

  std::shared_ptr<Recorder> client;
  std::shared_ptr<Recorder> server;
  TlsPipe tls;
};

FIBER_TEST(TlsRenegotiationTest, WhatIsWrittenMeanwhileIsSentAfterIt) {
  with_loop([](EventLoop& loop) {
    Renegotiating both(loop);
    both.client->transport.write("mean");
    both.client->transport.write("while");
    EXPECT_GE(both.client->transport.get_write_buffer_size(), 9U);
    both.go_on();
    turn_until(loop, [&] { return both.server->received == "meanwhile"; });
    EXPECT_EQ(both.client->transport.get_write_buffer_size(), 0U);
    both.client->transport.write(", and later");
    turn_until(loop, [&] { return both.server->received == "meanwhile, and later"; });
    both.client->transport.close();
    expect_set(both.client->ended);
    expect_set(both.server->ended);
    EXPECT_THAT(both.client->log, ElementsAre("made", "eof", "lost"));
    EXPECT_THAT(both.server->log, ElementsAre("made", "eof", "lost"));
  });
}

FIBER_TEST(TlsRenegotiationTest, AConnectionThatIsClosedMeanwhileSendsWhatItHas) {
  with_loop([](EventLoop& loop) {
    Renegotiating both(loop);
    both.client->transport.write("to the end");
    both.client->transport.close();
    loop.synchronize();
    both.go_on();
    expect_set(both.client->ended);
    expect_set(both.server->ended);
    EXPECT_EQ(both.server->received, "to the end");
    EXPECT_THAT(both.client->log, ElementsAre("made", "eof", "lost"));
    EXPECT_THAT(both.server->log, ElementsAre("made", "eof", "lost"));
  });
}

}  // namespace
}  // namespace weft::loop
