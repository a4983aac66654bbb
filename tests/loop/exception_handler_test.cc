// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Errors of callbacks, and slow callbacks.

#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"

namespace weft::loop {
namespace {

using testing::CapturedLog;
using testing::run_once;
using testing::with_idle_loop;
using testing::with_loop;
using namespace std::chrono_literals;

// asyncio: claims_ready_queue::an_exception_goes_to_the_handler_and_the_loop_goes_on
// asyncio: test_base_events.py::BaseEventLoopTests::test_set_exc_handler_custom
// asyncio: test_events.py::HandleTests::test_callback_with_exception
FIBER_TEST(ExceptionHandlerTest, ErrorOfACallbackGoesThereAndTheLoopGoesOn) {
  with_loop([](EventLoop& loop) {
    ExceptionContext seen;
    EventLoop* by = nullptr;
    loop.set_exception_handler([&](EventLoop& l, const ExceptionContext& context) {
      by = &l;
      seen = context;
    });
    const auto line = std::source_location::current().line() + 1;
    const Handle handle = loop.call_soon([] { throw std::runtime_error("boom"); });
    bool next = false;
    loop.call_soon([&] { next = true; });
    loop.synchronize();
    EXPECT_EQ(by, &loop);
    EXPECT_EQ(seen.message, "Exception in callback");
    EXPECT_TRUE(fibers::holds<std::runtime_error>(seen.exception));
    EXPECT_EQ(seen.handle, handle);
    EXPECT_EQ(seen.source.line(), line);
    EXPECT_TRUE(next);
    EXPECT_EQ(loop.statistics().callbacks_blocked, 0U);
  });
}

FIBER_TEST(ExceptionHandlerTest, AnythingThrownIsReported) {
  with_loop([](EventLoop& loop) {
    int errors = 0;
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext&) { ++errors; });
    loop.call_soon([] { throw 42; });
    loop.call_soon([] { throw CancelledError("asyncio's"); });
    loop.synchronize();
    EXPECT_EQ(errors, 2);
  });
}

// asyncio: test_base_events.py::BaseEventLoopTests::test_default_exc_handler_callback
FIBER_TEST(ExceptionHandlerTest, DefaultLogsTheErrorAndItsPlace) {
  with_idle_loop([](EventLoop& loop) {
    loop.set_exception_handler({});
    const CapturedLog log;
    loop.call_soon([] { throw std::runtime_error("boom"); });
    run_once(loop);
    ASSERT_EQ(log.lines.size(), 1U);
    EXPECT_NE(log.lines[0].find("Exception in callback"), std::string::npos) << log.lines[0];
    EXPECT_NE(log.lines[0].find("exception_handler_test.cc:"), std::string::npos) << log.lines[0];
    EXPECT_NE(log.lines[0].find("boom"), std::string::npos) << log.lines[0];
  });
}

FIBER_TEST(ExceptionHandlerTest, TheOwnersDefaultComesAfterTheLog) {
  with_idle_loop([](EventLoop& loop) {
    std::vector<std::string> seen;
    loop.set_exception_handler({});
    loop.set_default_exception_handler(
        [&](EventLoop&, const ExceptionContext& context) { seen.push_back(context.message); });
    EXPECT_FALSE(loop.get_exception_handler());
    const CapturedLog log;
    loop.call_exception_handler({.message = "a"});
    loop.default_exception_handler({.message = "b"});
    EXPECT_EQ(seen, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(log.lines.size(), 2U);
    loop.set_exception_handler([](EventLoop&, const ExceptionContext&) {});
    loop.call_exception_handler({.message = "c"});
    EXPECT_EQ(seen.size(), 2U);
    loop.set_default_exception_handler({});
    loop.default_exception_handler({.message = "d"});
    EXPECT_EQ(seen.size(), 2U);
    EXPECT_EQ(log.lines.size(), 3U);
  });
}

// asyncio: test_base_events.py::BaseEventLoopTests::test_set_exc_handler_broken
FIBER_TEST(ExceptionHandlerTest, HandlerThatThrowsIsLoggedWithWhatItWasFor) {
  with_idle_loop([](EventLoop& loop) {
    loop.set_exception_handler(
        [](EventLoop&, const ExceptionContext&) { throw std::runtime_error("handler"); });
    const CapturedLog log;
    loop.call_soon([] { throw std::runtime_error("callback"); });
    bool next = false;
    loop.call_soon([&] { next = true; });
    run_once(loop);
    EXPECT_TRUE(next);
    ASSERT_EQ(log.lines.size(), 1U);
    EXPECT_NE(log.lines[0].find("Unhandled error in exception handler"), std::string::npos);
    EXPECT_NE(log.lines[0].find("callback"), std::string::npos);
  });
}

// asyncio: test_base_events.py::BaseEventLoopTests::test_default_exc_handler_broken
FIBER_TEST(ExceptionHandlerTest, ADefaultThatThrowsIsLoggedAndTheLoopGoesOn) {
  with_idle_loop([](EventLoop& loop) {
    std::string told;
    loop.set_exception_handler({});
    loop.set_default_exception_handler([&](EventLoop&, const ExceptionContext& context) {
      told = context.message;
      throw std::invalid_argument("spam");
    });
    const auto lines_of_a_failure = [&] {
      const CapturedLog log;
      bool next = false;
      loop.call_soon([] { throw std::runtime_error("callback"); });
      loop.call_soon([&] { next = true; });
      run_once(loop);
      EXPECT_TRUE(next);
      return log.lines;
    };
    std::vector<std::string> lines = lines_of_a_failure();
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_EQ(told, "Exception in callback");
    EXPECT_NE(lines[1].find("Exception in default exception handler"), std::string::npos);
    EXPECT_NE(lines[1].find("spam"), std::string::npos) << lines[1];
    // With a handler that throws, too: nothing of the three is lost.
    loop.set_exception_handler(
        [](EventLoop&, const ExceptionContext&) { throw std::runtime_error("ham"); });
    lines = lines_of_a_failure();
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_NE(told.find("callback"), std::string::npos) << told;
    EXPECT_NE(lines[0].find("ham"), std::string::npos) << lines[0];
    EXPECT_NE(lines[1].find("spam"), std::string::npos) << lines[1];
    // Whoever calls it by hand is told.
    const CapturedLog log;
    EXPECT_THROW(loop.default_exception_handler({.message = "by hand"}), std::invalid_argument);
  });
}

FIBER_TEST(ExceptionHandlerTest, WhatEndsAProgramPassesThroughTheDefault) {
  with_idle_loop([](EventLoop& loop) {
    const CapturedLog log;
    for (const bool broken_handler : {false, true}) {
      if (broken_handler) {
        loop.set_exception_handler(
            [](EventLoop&, const ExceptionContext&) { throw std::runtime_error("ham"); });
      } else {
        loop.set_exception_handler({});
      }
      loop.set_default_exception_handler(
          [](EventLoop&, const ExceptionContext&) { throw fibers::KeyboardInterrupt(); });
      EXPECT_THROW(loop.call_exception_handler({.message = "a"}), fibers::KeyboardInterrupt);
      loop.set_default_exception_handler(
          [](EventLoop&, const ExceptionContext&) { throw std::bad_alloc(); });
      EXPECT_THROW(loop.call_exception_handler({.message = "b"}), std::bad_alloc);
    }
  });
}

// asyncio: test_base_events.py::BaseEventLoopTests::test_default_exc_handler_coro
FIBER_TEST(ExceptionHandlerTest, DefaultLogsTheErrorOfATaskThatNobodyHasAsked) {
  with_idle_loop([](EventLoop& loop) {
    loop.set_exception_handler({});
    const CapturedLog log;
    auto failing = loop.create_task([]() -> Coro<void> {
      co_await sleep(10ms);
      throw std::runtime_error("from a coroutine");
    });
    failing.add_done_callback([&loop] { loop.stop(); });
    loop.main_loop();
    EXPECT_TRUE(log.lines.empty()) << "somebody may still ask";
    failing = {};
    run_once(loop);
    ASSERT_EQ(log.lines.size(), 1U);
    EXPECT_NE(log.lines[0].find("exception was never retrieved"), std::string::npos);
    EXPECT_NE(log.lines[0].find("from a coroutine"), std::string::npos) << log.lines[0];
  });
}

FIBER_TEST(ExceptionHandlerTest, CanBeCalledByHandAndMayReplaceItself) {
  with_idle_loop([](EventLoop& loop) {
    std::vector<std::string> seen;
    loop.set_exception_handler([&](EventLoop& l, const ExceptionContext& context) {
      seen.push_back("first " + context.message);
      l.set_exception_handler(
          [&](EventLoop&, const ExceptionContext& c) { seen.push_back("second " + c.message); });
    });
    EXPECT_TRUE(loop.get_exception_handler());
    loop.call_exception_handler({.message = "a"});
    loop.call_exception_handler({.message = "b"});
    EXPECT_EQ(seen, (std::vector<std::string>{"first a", "second b"}));
  });
}

class SlowCallbackTest : public ::testing::Test {
 protected:
  static std::vector<std::string> logged(bool debug, bool block_after) {
    fibers::testing::MockClock clock(0.0, fibers::Duration::zero());
    std::vector<std::string> lines;
    fibers::testing::run_fiber_test(
        [&] {
          with_idle_loop([&](EventLoop& loop) {
            loop.set_debug(debug);
            loop.set_slow_callback_duration(50ms);
            CapturedLog log;
            loop.call_soon([&] {
              clock.jump(49ms);
              if (block_after) fibers::sleep(1h);
            });
            loop.call_soon([&] {
              clock.jump(60ms);
              if (block_after) fibers::sleep(1h);
            });
            run_once(loop);
            loop.wait_blocked();
            lines = log.lines;
          });
        },
        {.clock = &clock});
    return lines;
  }
};

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_log_slow_callbacks
TEST_F(SlowCallbackTest, IsReportedInDebugModeOnly) {
  EXPECT_TRUE(logged(false, false).empty());
  const auto lines = logged(true, false);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NE(lines[0].find("exception_handler_test.cc:"), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find("0.060 seconds"), std::string::npos) << lines[0];
}

// Only the time in which nobody else could run counts.
TEST_F(SlowCallbackTest, TimeSpentBlockedDoesNotCount) {
  const auto lines = logged(true, true);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NE(lines[0].find("0.060 seconds"), std::string::npos) << lines[0];
}

// Who is told instead of the log, of callbacks and of steps of tasks; what a handler throws is
// logged.
TEST_F(SlowCallbackTest, AHandlerIsToldInsteadOfTheLog) {
  fibers::testing::MockClock clock(0.0, fibers::Duration::zero());
  std::vector<std::string> told;
  std::vector<std::string> lines;
  fibers::testing::run_fiber_test(
      [&] {
        with_idle_loop([&](EventLoop& loop) {
          loop.set_debug(true);
          loop.set_slow_callback_duration(50ms);
          loop.set_slow_callback_handler([&](EventLoop& l, const SlowCallback& slow) {
            EXPECT_EQ(&l, &loop);
            EXPECT_EQ(slow.took, 60ms);
            told.push_back(slow.task_name);
            if (told.size() == 3) throw std::runtime_error("from the handler");
          });
          const CapturedLog log;
          loop.call_soon([&] { clock.jump(60ms); });
          loop.create_task([&] { clock.jump(60ms); }, {.name = "stack"});
          loop.create_task(
              [](fibers::testing::MockClock& c) -> Coro<void> {
                c.jump(60ms);
                co_return;
              }(clock),
              {.name = "coro"});
          run_once(loop);
          lines = log.lines;
        });
      },
      {.clock = &clock});
  EXPECT_EQ(told, (std::vector<std::string>{"", "stack", "coro"}));
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NE(lines[0].find("from the handler"), std::string::npos) << lines[0];
}

// asyncio: test_base_events.py::BaseEventLoopTests::test_set_debug
FIBER_TEST(DebugTest, SettingsAreKept) {
  with_idle_loop([](EventLoop& loop) {
    EXPECT_FALSE(loop.get_debug());
    loop.set_debug(true);
    EXPECT_TRUE(loop.get_debug());
    EXPECT_EQ(loop.slow_callback_duration(), 100ms);
  });
}

}  // namespace
}  // namespace weft::loop
