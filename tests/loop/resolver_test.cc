// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// getaddrinfo and getnameinfo of the loop.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/event.h"
#include "weft/fibers/socket/hooks.h"
#include "weft/fibers/to_thread.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/sync_loop.h"

namespace weft::loop {
namespace {

using fibers::SocketAddress;
using fibers::socket::AddressHints;
using fibers::socket::AddressInfo;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

using Names = std::pair<std::string, std::string>;

// Every thread costs a token of the limiter: with none left, whoever wants one waits for ever.
class NoThreads {
 public:
  NoThreads() { fibers::to_thread::current_default_thread_limiter().set_total_tokens(0); }
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;
  ~NoThreads() { fibers::to_thread::current_default_thread_limiter().set_total_tokens(40); }
};

// Answers when its gate is open. Installed while it lives.
class Resolver final : public fibers::socket::HostnameResolver {
 public:
  Resolver() { fibers::socket::set_custom_hostname_resolver(this); }
  ~Resolver() override { fibers::socket::set_custom_hostname_resolver(nullptr); }
  std::vector<AddressInfo> getaddrinfo(const std::string& host, const std::string& service,
                                       const AddressHints& hints) override {
    asked.push_back(host);
    struct Left {
      int& left;
      ~Left() { ++left; }
    } const counted{left};
    gate.wait();
    return fibers::socket::getaddrinfo("127.0.0.7", service, hints);
  }
  Names getnameinfo(const SocketAddress& address, int flags) override {
    gate.wait();
    return {"name of " + address.host(), std::to_string(flags)};
  }
  fibers::Event gate;
  std::vector<std::string> asked;
  int left = 0;
};

constexpr AddressHints kStream{.family = AF_INET, .type = SOCK_STREAM};

// asyncio: test_base_events.py::BaseEventTests::test_ipaddr_info
FIBER_TEST(LoopResolverTest, NumericAddressesNeedNeitherThreadNorIteration) {
  WEFT_NOT_FAULT_SWEPT("it has no thread to ask again in");
  const NoThreads none;
  with_loop([](EventLoop& loop) {
    const auto found = await(loop.create_task([&]() -> Coro<std::vector<AddressInfo>> {
      bool others_ran = false;
      loop.call_soon([&] { others_ran = true; });
      auto addresses = co_await loop.getaddrinfo("127.0.0.1", 12345, kStream);
      EXPECT_FALSE(others_ran);
      co_await sleep(0s);
      co_return addresses;
    }));
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].address.to_string(), "127.0.0.1:12345");
    const auto six = await(loop.getaddrinfo("::1", "80", {.type = SOCK_DGRAM}));
    ASSERT_EQ(six.size(), 1U);
    EXPECT_EQ(six[0].address.to_string(), "[::1]:80");
  });
}

FIBER_TEST(LoopResolverTest, OtherCallbacksRunDuringALookUp) {
  with_loop([](EventLoop& loop) {
    Resolver resolver;
    Task<std::vector<AddressInfo>> found =
        loop.create_task(loop.getaddrinfo("host.example", "80", kStream));
    loop.call_later(1s, [&] { resolver.gate.set(); });
    wait(found);
    EXPECT_EQ(found.result().at(0).address.to_string(), "127.0.0.7:80");
    EXPECT_THAT(resolver.asked, ::testing::ElementsAre("host.example"));
  });
}

// asyncio: test_base_events.py::test_getnameinfo
FIBER_TEST(LoopResolverTest, NamesOfAddressesToo) {
  with_loop([](EventLoop& loop) {
    const SocketAddress address = await(loop.getaddrinfo("127.0.0.1", 80)).at(0).address;
    EXPECT_EQ(await(loop.getnameinfo(address, NI_NUMERICHOST | NI_NUMERICSERV)),
              Names("127.0.0.1", "80"));
    Resolver resolver;
    loop.call_later(1s, [&] { resolver.gate.set(); });
    EXPECT_EQ(await(loop.getnameinfo(address, 3)), Names("name of 127.0.0.1", "3"));
  });
}

FIBER_TEST(LoopResolverTest, AllThreeFormsMayAsk) {
  with_loop([](EventLoop& loop) {
    Resolver resolver;
    resolver.gate.set();
    // A coroutine.
    Task<int> coroutine = loop.create_task([&]() -> Coro<int> {
      const auto found = co_await loop.getaddrinfo("one.example", 81, kStream);
      co_return found.at(0).address.port();
    });
    EXPECT_EQ(await(coroutine), 81);
    // A task with a stack.
    EXPECT_EQ(await(loop.create_task([&] {
                return await(loop.getaddrinfo("two.example", 82, kStream)).at(0).address.port();
              })),
              82);
    // A callback.
    int port = 0;
    const auto note = [&](const Future<std::vector<AddressInfo>>& found) {
      port = found.result().at(0).address.port();
    };
    Task<std::vector<AddressInfo>> found =
        loop.create_task(loop.getaddrinfo("three.example", 83, kStream));
    found.add_done_callback(note);
    await(found);
    loop.synchronize();
    EXPECT_EQ(port, 83);
  });
}

FIBER_TEST(LoopResolverTest, CancellingEndsTheLookUp) {
  with_loop([](EventLoop& loop) {
    Resolver resolver;
    Task<void> asking = loop.create_task(
        [&]() -> Coro<void> { static_cast<void>(co_await loop.getaddrinfo("host.example", 80)); });
    loop.call_later(1s, [&] { asking.cancel(); });
    wait(asking);
    EXPECT_TRUE(asking.cancelled());
    EXPECT_EQ(resolver.left, 1);
  });
}

FIBER_TEST(LoopResolverTest, FailureNamesTheHost) {
  WEFT_NOT_FAULT_SWEPT("it has no thread to ask again in");
  with_loop([](EventLoop& loop) {
    const NoThreads none;
    EXPECT_THAT(thrown<std::system_error>(
                    [&] { await(loop.getaddrinfo("no.number", 1, {.flags = AI_NUMERICHOST})); }),
                HasSubstr("'no.number'"));
    EXPECT_THROW(await(loop.getaddrinfo(std::string_view("a\0b", 3), 1)), fibers::UsageError);
  });
}

class SyncLoopResolverTest : public ::testing::TestWithParam<CallbackStack> {};

TEST_P(SyncLoopResolverTest, LooksUpInAThread) {
  SyncLoop loop({.callback_stack = GetParam()});
  // The system's file of hosts knows it; no network is asked.
  Task<std::vector<AddressInfo>> found =
      loop->create_task(loop->getaddrinfo("localhost", "80", kStream));
  EXPECT_EQ(loop.run_until_complete(found).at(0).address.to_string(), "127.0.0.1:80");
  Task<Names> names = loop->create_task(loop->getnameinfo(found.result().at(0).address));
  EXPECT_EQ(loop.run_until_complete(names).second, "http");
}

TEST_P(SyncLoopResolverTest, ClosingAbandonsALookUp) {
  SyncLoop loop({.callback_stack = GetParam()});
  Task<std::vector<AddressInfo>> found =
      loop->create_task(loop->getaddrinfo("localhost", "80", kStream));
  loop->set_exception_handler([](EventLoop&, const ExceptionContext&) {});
  loop.run_once();
  loop.close();
  EXPECT_TRUE(found.done());
}

INSTANTIATE_TEST_SUITE_P(Stacks, SyncLoopResolverTest,
                         ::testing::Values(CallbackStack::kTask, CallbackStack::kCaller));

}  // namespace
}  // namespace weft::loop
