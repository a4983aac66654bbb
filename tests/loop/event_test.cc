// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/event.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/loop/sync_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/timeouts.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

auto wait_for(Event& event, Log& log, std::string name) {
  return [&event, &log, name]() -> Coro<void> {
    co_await event.wait();
    log.push_back(name);
  };
}

// asyncio: test_locks.py::EventTests::test_wait
FIBER_TEST(LoopEventTest, SetWakesAllWhoWaitInTheirOrder) {
  in_each_form([](Form form) {
    Event event;
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      EXPECT_FALSE(event.is_set());
      start(loop, form, wait_for(event, log, "1"));
      start(loop, form, wait_for(event, log, "2"));
      run_once(loop);
      start(loop, form, wait_for(event, log, "3"));
      run_iterations(loop, 2);
      EXPECT_THAT(log, ElementsAre());
      event.set();
      EXPECT_TRUE(event.is_set());
      run_once(loop);
      EXPECT_THAT(log, ElementsAre("1", "2", "3"));
    });
  });
}

// asyncio: test_locks.py::EventTests::test_wait_on_set
FIBER_TEST(LoopEventTest, NobodyWaitsWhileItIsSet) {
  Event event;
  Log log;
  with_idle_loop([&](EventLoop& loop) {
    event.set();
    event.set();
    in_each_form([&](Form form) {
      start(loop, form, wait_for(event, log, "goes on"));
      run_once(loop);
    });
  });
  EXPECT_THAT(log, ElementsAre("goes on", "goes on"));
}

// asyncio: test_locks.py::EventTests::test_wait_cancel
FIBER_TEST(LoopEventTest, ACancelledWaitIsForgotten) {
  in_each_form([](Form form) {
    Event event;
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      auto waits = start(loop, form, wait_for(event, log, "cancelled"));
      start(loop, form, wait_for(event, log, "waits"));
      run_once(loop);
      waits.cancel();
      event.set();
      run_once(loop);
      EXPECT_TRUE(waits.cancelled());
      EXPECT_THAT(log, ElementsAre("waits"));
    });
  });
}

// asyncio: test_locks.py::EventTests::test_clear
// asyncio: test_locks.py::EventTests::test_clear_with_waiters
FIBER_TEST(LoopEventTest, ClearDoesNotHoldBackWhoHasBeenWoken) {
  in_each_form([](Form form) {
    Event event;
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      event.clear();
      EXPECT_FALSE(event.is_set());
      start(loop, form, wait_for(event, log, "woken"));
      run_once(loop);
      event.set();
      event.clear();
      EXPECT_FALSE(event.is_set());
      start(loop, form, wait_for(event, log, "waits"));
      run_iterations(loop, 2);
      EXPECT_THAT(log, ElementsAre("woken"));
      event.set();
      run_once(loop);
      EXPECT_THAT(log, ElementsAre("woken", "waits"));
    });
  });
}

FIBER_TEST(LoopEventTest, ATaskOfFibersMayWait) {
  Event event;
  bool set = false;
  with_loop([&](EventLoop& loop) {
    loop.create_task([&]() -> Coro<void> {
      co_await event.wait();  // Now it has a loop.
      set = true;
    });
    loop.call_later(1s, [&event] { event.set(); });
    loop.synchronize();
    EXPECT_FALSE(fibers::move_on_after(500ms, [&] { await(event.wait()); }));
    await(event.wait());
    loop.synchronize();
    EXPECT_TRUE(set);
  });
}

FIBER_TEST(LoopEventTest, BelongsToTheLoopOfItsFirstWait) {
  WEFT_NOT_ALLOCATION_SWEPT("it looks at its errors");
  Event event;
  Log log;
  with_idle_loop([&](EventLoop& loop) {
    with_idle_loop([&](EventLoop& other) {
      start(loop, Form::kCoro, wait_for(event, log, "waits"));
      run_once(loop);
      auto refused = start(other, Form::kCoro, wait_for(event, log, "refused"));
      run_once(other);
      EXPECT_THAT(thrown<fibers::UsageError>([&] { refused.result(); }),
                  HasSubstr("this Event is bound to a different event loop"));
      EXPECT_THAT(thrown<fibers::UsageError>([&] { await(Event().wait()); }),
                  HasSubstr("give the Event its loop"));
      event.set();
      run_once(loop);
    });
  });
  EXPECT_THAT(log, ElementsAre("waits"));
}

}  // namespace
}  // namespace weft::loop
