// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The last data of a connection, and its goodbye.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/loop_tls/loop_tls_testing.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

// What comes after close() is dropped, but not the goodbye behind it.
FIBER_TEST(TlsEndTest, AGoodbyeBehindWhatNobodyWantsIsHeard) {
  with_loop([](EventLoop& loop) {
    const auto [client, server, tls] = connected(loop);
    expect_set(server->made);
    const fibers::Instant begun = loop.time();
    tls.pipe.end_b().hold_up(true);
    client->transport.close();
    server->transport.write("unheard");
    server->transport.close();
    loop.synchronize();
    tls.pipe.end_b().hold_up(false);
    expect_set(client->ended);
    expect_set(server->ended);
    EXPECT_EQ(client->received, "");
    EXPECT_THAT(client->log, ElementsAre("made", "eof", "lost"));
    EXPECT_THAT(server->log, ElementsAre("made", "eof", "lost"));
    EXPECT_EQ(loop.time(), begun);
  });
}

// The peer has gone without a goodbye, and not everything has been read.
FIBER_TEST(TlsEndTest, AConnectionIsNotClosingBeforeTheRestIsRead) {
  with_loop([](EventLoop& loop) {
    const auto [client, server, tls] = connected(loop);
    expect_set(server->made);
    server->transport.pause_reading();
    client->transport.write("the rest");
    tls.pipe.end_a().close();
    expect_set(client->ended);
    for (int i = 0; i < 10; ++i) loop.synchronize();
    EXPECT_FALSE(server->transport.is_closing());
    EXPECT_EQ(server->received, "");
    Transport held = server->transport;
    held.resume_reading();
    expect_set(server->ended);
    EXPECT_EQ(server->received, "the rest");
    EXPECT_THAT(server->log, ElementsAre("made", "eof", "lost"));
    EXPECT_TRUE(held.is_closing());
  });
}

}  // namespace
}  // namespace weft::loop
