// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/handle.h"

#include <memory>
#include <optional>
#include <vector>

#include "tests/loop/loop_testing.h"

namespace weft::loop {
namespace {

using testing::run_once;
using testing::with_idle_loop;
using testing::with_loop;

// asyncio: test_events.py::HandleTests::test_handle
FIBER_TEST(HandleTest, CancelledCallbackDoesNotRunAndIsDestroyedAtOnce) {
  with_loop([](EventLoop& loop) {
    auto resource = std::make_shared<int>(0);
    Handle handle = loop.call_soon([resource] { ADD_FAILURE(); });
    EXPECT_FALSE(handle.cancelled());
    handle.cancel();
    EXPECT_TRUE(handle.cancelled());
    EXPECT_EQ(resource.use_count(), 1);
    loop.synchronize();
  });
}

FIBER_TEST(HandleTest, CallbackCanCancelOneOfItsOwnIteration) {
  with_idle_loop([](EventLoop& loop) {
    Handle second;
    loop.call_soon([&] { second.cancel(); });
    second = loop.call_soon([] { ADD_FAILURE(); });
    int third = 0;
    loop.call_soon([&] { ++third; });
    run_once(loop);
    EXPECT_EQ(third, 1);
  });
}

FIBER_TEST(HandleTest, DroppedHandleDoesNotCancel) {
  with_loop([](EventLoop& loop) {
    bool ran = false;
    std::optional<Handle> handle = loop.call_soon([&] { ran = true; });
    handle.reset();
    loop.synchronize();
    EXPECT_TRUE(ran);
  });
}

// asyncio: claims_timers::handles_are_compared
// asyncio: test_events.py::TimerTests::test_timer_comparison
FIBER_TEST(HandleTest, CopiesNameTheSameCallback) {
  with_idle_loop([](EventLoop& loop) {
    const Handle handle = loop.call_soon([] { ADD_FAILURE(); });
    Handle copy = handle;
    const Handle other = loop.call_soon([] {});
    EXPECT_EQ(copy, handle);
    EXPECT_NE(copy, other);
    copy.cancel();
    EXPECT_TRUE(handle.cancelled());
    EXPECT_FALSE(other.cancelled());
    run_once(loop);
  });
}

FIBER_TEST(HandleTest, EmptyHandleIsFalse) {
  Handle handle;
  EXPECT_FALSE(handle);
  with_idle_loop([&](EventLoop& loop) {
    handle = loop.call_soon([] {});
    EXPECT_TRUE(handle);
    handle = {};
    EXPECT_FALSE(handle);
  });
}

FIBER_TEST(HandleTest, CallbackThatCancelsItselfGoesOn) {
  with_loop([](EventLoop& loop) {
    Handle handle;
    int steps = 0;
    handle = loop.call_soon([&] {
      ++steps;
      handle.cancel();
      fibers::sleep(std::chrono::seconds(1));
      ++steps;
    });
    fibers::sleep(std::chrono::seconds(2));
    EXPECT_EQ(steps, 2);
  });
}

FIBER_TEST(HandleTest, CallableMayHoldTheOnlyHandleToItself) {
  with_loop([](EventLoop& loop) {
    auto holder = std::make_shared<Handle>();
    *holder = loop.call_soon([holder] { ADD_FAILURE(); });
    Handle* inside = holder.get();
    holder.reset();
    inside->cancel();
    loop.synchronize();
  });
}

FIBER_TEST(HandleTest, KnowsWhereTheCallbackCameFrom) {
  with_idle_loop([](EventLoop& loop) {
    const auto line = std::source_location::current().line() + 1;
    const Handle handle = loop.call_soon([] {});
    EXPECT_EQ(handle.source().line(), line);
  });
}

}  // namespace
}  // namespace weft::loop
