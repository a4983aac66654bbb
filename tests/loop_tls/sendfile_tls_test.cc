// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Files over TLS.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tests/loop/sendfile_testing.h"
#include "tests/loop_tls/loop_tls_testing.h"
#include "weft/fibers/errors.h"

namespace weft::loop {
namespace {

using namespace testing;  // NOLINT: the helpers of the folder.

// asyncio: claims_sendfile::over_tls_it_falls_back
// asyncio: test_sendfile.py::SendfileMixin::test_sendfile_ssl
// asyncio: test_sendfile.py::SendfileMixin::test_sendfile_ssl_pre_and_post_data
// asyncio: test_sendfile.py::SendfileMixin::test_sendfile_ssl_partial
FIBER_TEST(SendfileTlsTest, EncryptsAFileInItsPlace) {
  WEFT_NOT_FAULT_SWEPT("it waits for bytes that a fault may have cut off");
  const std::string data = numbers(std::size_t{1} << 20);
  const OpenFile file(data);
  with_loop([&](EventLoop& loop) {
    auto both = connected(loop);
    Transport transport = both.client->transport;
    transport.write("before");
    EXPECT_EQ(await(loop.sendfile(transport, file.fd(), {.offset = 10, .count = 500000})), 500000U);
    EXPECT_EQ(file.position(), 500010);
    transport.write("after");
    const std::string all = "before" + data.substr(10, 500000) + "after";
    turn_until(loop, [&] { return both.server->received.size() == all.size(); });
    EXPECT_TRUE(both.server->received == all);
    EXPECT_EQ(transport.get_protocol(), both.client);
    both.server->transport.write("answer");
    turn_until(loop, [&] { return both.client->received == "answer"; });
    transport.close();
    expect_set(both.client->ended);
    expect_set(both.server->ended);
  });
}

// Ends the connection as soon as it has so much.
struct Satisfied : Recorder {
  using Recorder::Recorder;
  void data_received(std::string_view data) override {
    Recorder::data_received(data);
    if (received.size() == wanted) transport.close();
  }
  std::size_t wanted = std::size_t{1} << 20;
};

// asyncio: test_sendfile.py::SendfileMixin::test_sendfile_ssl_close_peer_after_receiving
FIBER_TEST(SendfileTlsTest, APeerThatClosesWhenItHasAllIsNoError) {
  WEFT_NOT_FAULT_SWEPT("it waits for bytes that a fault may have cut off");
  const std::string data = numbers(std::size_t{1} << 20);
  const OpenFile file(data);
  with_loop([&](EventLoop& loop) {
    auto both = connected<Satisfied>(loop);
    EXPECT_EQ(await(loop.sendfile(both.client->transport, file.fd())), data.size());
    expect_set(both.server->ended);
    expect_set(both.client->ended);
    EXPECT_TRUE(both.server->received == data);
    EXPECT_EQ(file.position(), static_cast<std::int64_t>(data.size()));
    EXPECT_EQ(both.client->log.back(), "lost");
  });
}

// asyncio: test_sendfile.py::SendfileMixin::test_sendfile_no_fallback_for_fallback_transport
FIBER_TEST(SendfileTlsTest, NeedsTheFallback) {
  const OpenFile file("x");
  with_loop([&](EventLoop& loop) {
    auto both = connected(loop);
    Transport transport = both.client->transport;
    EXPECT_EQ(thrown<fibers::UsageError>(
                  [&] { await(loop.sendfile(transport, file.fd(), {.fallback = false})); }),
              "fallback is disabled and native sendfile is not supported for transport TLS "
              "transport");
    transport.close();
    expect_set(both.client->ended);
    expect_set(both.server->ended);
  });
}

}  // namespace
}  // namespace weft::loop
