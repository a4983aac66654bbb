// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The edges of open_loop's phases: who may use the loop, and which loop, while a block winds down.

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/shim/shim_test_support.h"
#include "tests/support/temporary_directory.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/instrument.h"
#include "weft/fibers/lone_error.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/async_generator.h"
#include "weft/loop/protocol.h"
#include "weft/loop/server.h"
#include "weft/shim/shim.h"

namespace weft::shim {
namespace {

using namespace std::chrono_literals;
using fibers::CancelScope;
using fibers::move_on_after;
using fibers::sleep;
using fibers::sleep_forever;
using loop::AsyncGenerator;

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

void sleep_and_count(int& cleaned_up) {
  try {
    sleep_forever();
  } catch (const fibers::Cancelled&) {
    CancelScope last_words({.relative_deadline = 1s, .shield = true});
    last_words.run([] { sleep(1ms); });
    ++cleaned_up;
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
                             loop.call_soon([] {
                               try {
                                 sleep_forever();
                               } catch (const fibers::Cancelled&) {
                                 CancelScope shield({.shield = true});
                                 shield.run([] { sleep(1s); });
                                 throw;
                               }
                             });
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

// Comes when a task is about to run for the `steps`-th time.
struct CtrlCAt final : fibers::Instrument {
  explicit CtrlCAt(int steps) : left(steps) {}
  void before_task_step(fibers::Task&) override {
    if (left-- == 0) std::raise(SIGINT);
  }
  int left;
};

// It is never lost, whichever phase the block is in. The others clean up all the same.
FIBER_TEST(LoopBlockTest, CtrlCAtAnyMomentComesOut) {
  WEFT_NOT_SHUFFLED("it counts the steps of one order");
  WEFT_NOT_SWEPT("a Ctrl-C in each of its steps is the sweep");
  WEFT_NOT_FAULT_SWEPT("as above");
  for (int step = 0;; ++step) {
    SCOPED_TRACE(step);
    const auto ctrl_c = std::make_shared<CtrlCAt>(step);
    fibers::add_instrument(ctrl_c);
    int cleaned_up = 0;
    auto error = error_of([&] {
      open_loop([&](EventLoop& loop) {
        at_close(loop, [] { sleep(1s); });
        loop.call_soon([&] { sleep_and_count(cleaned_up); });
        run_trio_task([&] { sleep_and_count(cleaned_up); });
        sleep(1s);
      });
    });
    fibers::remove_instrument(*ctrl_c);
    // One that came after the last wait of the block.
    if (error == nullptr) error = error_of([] { fibers::checkpoint(); });
    if (ctrl_c->left >= 0) {
      EXPECT_EQ(error, nullptr);
      EXPECT_EQ(cleaned_up, 2);
      break;
    }
    EXPECT_TRUE(holds<fibers::KeyboardInterrupt>(fibers::lone_error(error)));
  }
}

struct Silent : loop::Protocol {};

// So that nobody is taken in by a loop that is winding down.
FIBER_TEST(LoopBlockTest, ServersCloseBeforeAnybodyCleansUp) {
  const test::TemporaryDirectory directory;
  std::optional<bool> serving;
  open_loop([&](EventLoop& loop) {
    const auto server = std::make_shared<loop::Server>(aio_as_trio(
        loop.create_unix_server([] { return std::make_shared<Silent>(); }, directory / "server")));
    EXPECT_TRUE(server->is_serving());
    loop.call_soon([&serving, server] {
      try {
        sleep_forever();
      } catch (const fibers::Cancelled&) {
        serving = server->is_serving();
        throw;
      }
    });
    loop.synchronize();
  });
  EXPECT_EQ(serving, false);
}

AsyncGenerator<int> leaves_a_task(EventLoop& loop, std::vector<std::string>& events) {
  try {
    for (;;) co_yield 1;
  } catch (const loop::GeneratorExit&) {
    loop.create_task([&events] {
      try {
        sleep_forever();
      } catch (const fibers::Cancelled&) {
        events.emplace_back("task");
        throw;
      }
    });
    throw;
  }
}

FIBER_TEST(LoopBlockTest, WhatGeneratorsLeaveBehindEndsBeforeTheResources) {
  std::vector<std::string> events;
  std::optional<AsyncGenerator<int>> generator;
  open_loop([&](EventLoop& loop) {
    at_close(loop, [&] { events.emplace_back("hook"); });
    generator = leaves_a_task(loop, events);
    EXPECT_EQ(run_aio_future(loop.create_task(generator->next())), 1);
  });
  EXPECT_EQ(events, (std::vector<std::string>{"task", "hook"}));
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
