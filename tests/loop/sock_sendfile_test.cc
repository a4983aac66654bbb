// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Files over sockets that stay their owner's: what is refused, and what stops midway.

#include <gmock/gmock.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <string>
#include <system_error>

#include "tests/loop/refusing_testing.h"
#include "tests/loop/sendfile_testing.h"
#include "tests/loop/transport_testing.h"
#include "weft/fibers/errors.h"
#include "weft/loop/errors.h"

namespace weft::loop {
namespace {

using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

constexpr std::size_t kMuch = std::size_t{600} << 10;  // More than a socket's buffer takes.

// asyncio: test_base_events.py::BaseLoopSockSendfileTests::test_blocking_socket
FIBER_TEST(SockSendfileRulesTest, DebugModeRefusesASocketThatBlocks) {
  const OpenFile file("x");
  with_loop([&](EventLoop& loop) {
    loop.set_debug(true);
    const OwnFd blocking(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_THAT(
        thrown<fibers::UsageError>([&] { await(loop.sock_sendfile(blocking.get(), file.fd())); }),
        HasSubstr("non-blocking"));
    EXPECT_EQ(file.position(), 0);
  });
}

// asyncio: test_base_events.py::BaseLoopSockSendfileTests::test_negative_count
// asyncio: test_base_events.py::BaseLoopSockSendfileTests::test_negative_offset
FIBER_TEST(SockSendfileRulesTest, APartHasToBeOne) {
  const OpenFile file("some text");
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const OwnFd sock(pair.take());
    const auto refusal = [&](const SendfileOptions& options) {
      return thrown<fibers::UsageError>(
          [&] { await(loop.sock_sendfile(sock.get(), file.fd(), options)); });
    };
    EXPECT_EQ(refusal({.count = -1}), "count must be a positive integer (got -1)");
    EXPECT_EQ(refusal({.count = 0}), "count must be a positive integer (got 0)");
    EXPECT_EQ(refusal({.offset = -1}), "offset must be a non-negative integer (got -1)");
    EXPECT_EQ(pair.get(), "");
    EXPECT_EQ(file.position(), 0);
  });
}

// asyncio: test_base_events.py::BaseLoopSockSendfileTests::test_sock_sendfile_fallback_offset_and_count
FIBER_TEST(SockSendfileRulesTest, AlsoReadAndWrittenItSendsThePart) {
  WEFT_NOT_FAULT_SWEPT("it waits for bytes that a fault may have cut off");
  const std::string data = numbers(kMuch);
  const auto file = std::make_shared<TextSource>(data);
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const OwnFd sock(pair.take());
    EXPECT_EQ(await(loop.sock_sendfile(sock.get(), file, {.offset = 1000, .count = 2000})), 2000U);
    EXPECT_EQ(pair.get(), data.substr(1000, 2000));
    EXPECT_EQ(file->position, 3000);
  });
}

// asyncio: test_unix_events.py::SelectorEventLoopUnixSockSendfileTests::test_sock_sendfile_not_a_file
// asyncio: test_unix_events.py::SelectorEventLoopUnixSockSendfileTests::test_sock_sendfile_iobuffer
// asyncio: test_unix_events.py::SelectorEventLoopUnixSockSendfileTests::test_sock_sendfile_not_regular_file
FIBER_TEST(SockSendfileRulesTest, OnlyARegularFileGoesWithoutTheFallback) {
  const auto text = std::make_shared<TextSource>("text");
  const Pipe pipe;
  pipe.put();
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const OwnFd sock(pair.take());
    const auto refusal = [&](auto&& file) {
      return thrown<SendfileNotAvailableError>(
          [&] { await(loop.sock_sendfile(sock.get(), file, {.fallback = false})); });
    };
    EXPECT_EQ(refusal(text), "not a regular file");
    EXPECT_EQ(refusal(pipe.reader()), "not a regular file");
    EXPECT_EQ(refusal(-1), "not a regular file");
    EXPECT_EQ(text->position, -1) << "it is where it was";
    EXPECT_EQ(pipe.take(), 'x') << "nothing is read";
    EXPECT_EQ(pair.get(), "");
  });
}

// Before it has begun, and when it waits for room.
// asyncio: test_unix_events.py::SelectorEventLoopUnixSockSendfileTests::test_sock_sendfile_cancel1
// asyncio: test_unix_events.py::SelectorEventLoopUnixSockSendfileTests::test_sock_sendfile_cancel2
// asyncio: test_unix_events.py::SelectorEventLoopUnixSockSendfileTests::test_sock_sendfile_blocking_error
FIBER_TEST(SockSendfileRulesTest, WhatIsCancelledWatchesTheSocketNoMore) {
  WEFT_NOT_FAULT_SWEPT("it counts bytes, which a fault cuts off");
  const std::string data = numbers(kMuch);
  const OpenFile file(data);
  with_idle_loop([&](EventLoop& loop) {
    SocketPair pair;
    const OwnFd sock(pair.take());
    auto early = loop.create_task(loop.sock_sendfile(sock.get(), file.fd()));
    early.cancel();
    for (int i = 0; i < 3; ++i) run_once(loop);
    EXPECT_TRUE(early.cancelled());
    EXPECT_EQ(pair.get(), "");
    auto sending = loop.create_task(loop.sock_sendfile(sock.get(), file.fd()));
    run_once(loop);
    EXPECT_FALSE(sending.done());
    EXPECT_EQ(loop.statistics().writers, 1U) << "there is no room";
    sending.cancel();
    // Also if there is room again by then.
    std::string got = pair.get();
    for (int i = 0; i < 3; ++i) run_once(loop);
    EXPECT_TRUE(sending.cancelled());
    EXPECT_EQ(loop.statistics().writers, 0U);
    got += pair.get();
    EXPECT_GT(got.size(), 0U);
    EXPECT_LT(got.size(), data.size());
    EXPECT_TRUE(data.starts_with(got));
    EXPECT_EQ(file.position(), static_cast<std::int64_t>(got.size()));
  });
}

// The first call says whether it can be done; after that an error is an error.
// asyncio: test_unix_events.py::SelectorEventLoopUnixSockSendfileTests::test_sock_sendfile_os_error_next_call
// asyncio: test_unix_events.py::SelectorEventLoopUnixSockSendfileTests::test_sock_sendfile_exception
FIBER_TEST(SockSendfileRulesTest, AnErrorMidwayIsThrownAndNothingIsSentTwice) {
  WEFT_NOT_SWEPT("it has a gate of its own");
  WEFT_NOT_FAULT_SWEPT("it has a gate of its own");
  const std::string data = numbers(kMuch);
  const OpenFile file(data);
  for (const int error : {EIO, EINVAL}) {
    with_loop([&](EventLoop& loop) {
      SocketPair pair;
      const OwnFd sock(pair.take());
      auto sending = loop.create_task(loop.sock_sendfile(sock.get(), file.fd(), {.offset = 1000}));
      loop.synchronize();
      ASSERT_FALSE(sending.done());
      Refusing gate("sendfile", error);
      std::string got = pair.get();
      run_until(loop, [&] { return sending.done(); });
      got += pair.get();
      EXPECT_GE(gate.asked_for, 1);
      try {
        await(sending);
        ADD_FAILURE() << "nothing was thrown";
      } catch (const SendfileNotAvailableError&) {
        ADD_FAILURE() << "it has been available";
      } catch (const std::system_error& thrown) {
        EXPECT_EQ(thrown.code().value(), error);
      }
      EXPECT_TRUE(data.substr(1000).starts_with(got));
      EXPECT_EQ(file.position(), 1000 + static_cast<std::int64_t>(got.size()));
      EXPECT_EQ(loop.statistics().writers, 0U);
    });
  }
}

}  // namespace
}  // namespace weft::loop
