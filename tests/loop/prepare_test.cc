// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/lowlevel.h"

namespace weft::loop {
namespace {

using testing::run_once;
using testing::with_idle_loop;
using testing::with_loop;
using namespace std::chrono_literals;

FIBER_TEST(PrepareTest, IsAskedBeforeEveryWait) {
  with_idle_loop([](EventLoop& loop) {
    std::vector<std::string> order;
    loop.add_prepare([&] { order.emplace_back("prepare"); });
    loop.call_soon([&] {
      order.emplace_back("first");
      loop.call_soon([&] { order.emplace_back("second"); });
    });
    run_once(loop);
    run_once(loop);
    EXPECT_EQ(order, (std::vector<std::string>{"prepare", "first", "prepare", "second"}));
  });
}

FIBER_TEST(PrepareTest, WhatItSchedulesRunsInTheSameIteration) {
  with_idle_loop([](EventLoop& loop) {
    int ran = 0;
    loop.add_prepare([&] { loop.call_soon([&] { ++ran; }); });
    run_once(loop);
    EXPECT_EQ(ran, 1);
  });
}

// sd_bus_get_timeout, uv_backend_timeout and the like.
FIBER_TEST(PrepareTest, LimitsHowLongTheLoopWaits) {
  with_loop([](EventLoop& loop) {
    const fibers::Instant start = loop.time();
    std::vector<fibers::Duration> asked;
    PrepareHandle hook = loop.add_prepare([&] {
      asked.push_back(loop.time() - start);
      return asked.size() < 4 ? loop.time() + 10ms : fibers::kForever;
    });
    fibers::sleep(1s);
    EXPECT_EQ(asked, (std::vector<fibers::Duration>{0ms, 10ms, 20ms, 30ms}));
    hook.cancel();
  });
}

FIBER_TEST(PrepareTest, MayArmATimer) {
  with_loop([](EventLoop& loop) {
    const fibers::Instant start = loop.time();
    fibers::Instant fired{};
    bool armed = false;
    PrepareHandle hook = loop.add_prepare([&] {
      if (std::exchange(armed, true)) return;
      loop.call_later(20ms, [&] { fired = loop.time(); });
    });
    fibers::sleep(1s);
    EXPECT_EQ(fired, start + 20ms);
    hook.cancel();
  });
}

// Also while the loop lets the other tasks have their turn, before it goes to sleep.
FIBER_TEST(PrepareTest, IsAskedWheneverItIsAdded) {
  for (int turns = 0; turns < 6; ++turns) {
    with_loop([turns](EventLoop& loop) {
      for (int i = 0; i < turns; ++i) fibers::checkpoint();
      int asked = 0;
      PrepareHandle hook = loop.add_prepare([&asked] { ++asked; });
      fibers::sleep(1s);
      EXPECT_GE(asked, 1) << "added after " << turns << " turns";
      hook.cancel();
    });
  }
}

FIBER_TEST(PrepareTest, CancelledHookIsNotAskedAgain) {
  with_idle_loop([](EventLoop& loop) {
    auto resource = std::make_shared<int>(0);
    int asked = 0;
    PrepareHandle hook = loop.add_prepare([&asked, resource] { ++asked; });
    run_once(loop);
    hook.cancel();
    EXPECT_EQ(resource.use_count(), 1);
    run_once(loop);
    EXPECT_EQ(asked, 1);
  });
}

FIBER_TEST(PrepareTest, HooksMayTakeThemselvesAndOthersOff) {
  with_idle_loop([](EventLoop& loop) {
    PrepareHandle first;
    PrepareHandle second;
    int asked = 0;
    first = loop.add_prepare([&] {
      ++asked;
      first.cancel();
      second.cancel();
      loop.add_prepare([&] { asked += 100; });
    });
    second = loop.add_prepare([&] { asked += 10; });
    run_once(loop);
    EXPECT_EQ(asked, 1);
    run_once(loop);
    EXPECT_EQ(asked, 101);
  });
}

FIBER_TEST(PrepareTest, MayNotWait) {
  with_idle_loop([](EventLoop& loop) {
    std::vector<std::string> errors;
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
      errors.push_back(fibers::describe_exception(context.exception));
    });
    loop.add_prepare([] { fibers::checkpoint(); });
    bool ran = false;
    loop.call_soon([&] { ran = true; });
    run_once(loop);
    ASSERT_EQ(errors.size(), 1U);
    EXPECT_NE(errors[0].find("prepare hook"), std::string::npos) << errors[0];
    EXPECT_TRUE(ran);
  });
}

FIBER_TEST(PrepareTest, AddedToAnIdleLoopItIsAskedSoon) {
  with_loop([](EventLoop& loop) {
    fibers::sleep(1s);
    bool asked = false;
    PrepareHandle hook = loop.add_prepare([&] { asked = true; });
    fibers::sleep(1s);
    EXPECT_TRUE(asked);
    hook.cancel();
  });
}

}  // namespace
}  // namespace weft::loop
