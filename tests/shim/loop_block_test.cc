// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The edges of open_loop's phases: who may use the loop, and which loop, while a block winds down.

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <stdexcept>
#include <vector>

#include "tests/shim/shim_test_support.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/shim.h"

namespace weft::shim {
namespace {

using namespace std::chrono_literals;
using fibers::CancelScope;
using fibers::move_on_after;
using fibers::sleep;
using fibers::sleep_forever;

void stop_and_wait(EventLoop& loop) {
  loop.stop();
  loop.wait_stopped();
}

// Waits to be cancelled and cleans up with the loop's help, as one should: with a deadline.
void clean_up_in_a_callback(bool& cleaned_up) {
  try {
    sleep_forever();
  } catch (const fibers::Cancelled&) {
    CancelScope last_words({.relative_deadline = 1s, .shield = true});
    last_words.run([&] { aio_as_trio([&] { cleaned_up = true; })(); });
    throw;
  }
}

// A wait with a deadline does not start a loop that was stopped: the end of the block does.
FIBER_TEST(LoopBlockTest, ACancellationRunsAStoppedLoopAgainAtOnce) {
  bool cleaned_up = false;
  move_on_after(1s, [&] {
    open_loop([&](EventLoop& loop) {
      stop_and_wait(loop);
      clean_up_in_a_callback(cleaned_up);
    });
  });
  EXPECT_TRUE(cleaned_up);
}

FIBER_TEST(LoopBlockTest, AnErrorRunsAStoppedLoopAgainAtOnce) {
  const CapturedLog log;
  bool cleaned_up = false;
  const auto error = error_of([&] {
    open_loop([&](EventLoop& loop) {
      run_trio_task([] {
        sleep(500ms);
        throw std::runtime_error("a task's");
      });
      loop.synchronize();
      stop_and_wait(loop);
      clean_up_in_a_callback(cleaned_up);
    });
  });
  EXPECT_TRUE(holds<std::runtime_error>(inside_two_groups(error)));
  EXPECT_TRUE(cleaned_up);
}

FIBER_TEST(LoopBlockTest, ALoopThatWasNeededMayBeStoppedAgain) {
  open_loop([](EventLoop& loop) {
    for (int round = 0; round < 3; ++round) {
      stop_and_wait(loop);
      sleep(1ms);
      EXPECT_FALSE(loop.is_running()) << round;
      aio_as_trio([] {})();
      EXPECT_TRUE(loop.is_running()) << round;
    }
  });
}

// The block then waits for that, instead of running the loop itself.
FIBER_TEST(LoopBlockTest, MayBeCancelledWhileSomebodyElseRunsItsLoop) {
  bool ran = false;
  fibers::open_nursery([&](fibers::Nursery& nursery) {
    const bool in_time = move_on_after(1s, [&] {
                           open_loop([&](EventLoop& loop) {
                             stop_and_wait(loop);
                             nursery.start_soon([&] {
                               loop.main_loop();
                               ran = true;
                             });
                             loop.call_soon([] { sleep_forever(); });
                             sleep_forever();
                           });
                         }).finished();
    EXPECT_FALSE(in_time);
  });
  EXPECT_TRUE(ran);
}

// That of the block which is being closed, also if it was opened in a callback of another loop.
FIBER_TEST(LoopBlockTest, AHookSeesTheLoopThatIsBeingClosed) {
  std::vector<EventLoop*> loops;
  std::vector<EventLoop*> seen;
  const auto open = [&] {
    open_loop([&](EventLoop& loop) {
      loops.push_back(&loop);
      at_close(loop, [&] {
        seen.push_back(current_loop());
        seen.push_back(aio_as_trio([] { return current_loop(); })());
      });
    });
  };
  open_loop([&] {
    const auto before = current_loop();
    aio_as_trio([&] {
      open();
      EXPECT_EQ(current_loop(), before);
    })();
    EXPECT_EQ(current_loop(), before);
  });
  ASSERT_EQ(loops.size(), 1U);
  EXPECT_EQ(seen, std::vector<EventLoop*>(2, loops[0]));
}

// What is left of a loop goes when the block has ended: its errors can no longer end that.
FIBER_TEST(LoopBlockTest, AFutureThatAHandlerHoldsGoesWithTheLoop) {
  const CapturedLog log;
  open_loop([](EventLoop& loop) {
    const auto unasked = [&loop](const char* why) {
      auto future = loop.create_future<void>();
      future.set_exception(std::runtime_error(why));
      return future;
    };
    loop.set_exception_handler(
        [held = unasked("of the handler")](EventLoop& of, const loop::ExceptionContext& context) {
          of.default_exception_handler(context);
        });
    loop.set_task_factory([held = unasked("of the factory")](EventLoop&, const loop::TaskBase&,
                                                             loop::TaskOptions&) {});
  });
  ASSERT_EQ(log.lines.size(), 2U);
  EXPECT_NE(log.lines[0].find("of the handler"), std::string::npos);
  EXPECT_NE(log.lines[1].find("of the factory"), std::string::npos);
}

}  // namespace
}  // namespace weft::shim
