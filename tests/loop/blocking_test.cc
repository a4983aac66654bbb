// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Callbacks that wait.

#include <memory>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/inspect.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"

namespace weft::loop {
namespace {

using testing::run_once;
using testing::with_idle_loop;
using testing::with_loop;
using namespace std::chrono_literals;

FIBER_TEST(BlockingTest, BlockedCallbackSuspendsOnlyItself) {
  with_loop([](EventLoop& loop) {
    std::vector<std::string> order;
    loop.call_soon([&] {
      order.emplace_back("block");
      fibers::sleep(2s);
      order.emplace_back("unblock");
    });
    loop.call_soon([&] { order.emplace_back("next"); });
    loop.call_later(1s, [&] { order.emplace_back("timer"); });
    fibers::sleep(3s);
    EXPECT_EQ(order, (std::vector<std::string>{"block", "next", "timer", "unblock"}));
  });
}

FIBER_TEST(BlockingTest, RestOfTheIterationStaysTheIteration) {
  with_idle_loop([](EventLoop& loop) {
    std::vector<std::string> order;
    loop.call_soon([&] {
      loop.call_soon([&] { order.emplace_back("next iteration"); });
      fibers::sleep(1s);
    });
    loop.call_soon([&] { order.emplace_back("this iteration"); });
    run_once(loop);
    EXPECT_EQ(order, (std::vector<std::string>{"this iteration"}));
    EXPECT_EQ(loop.statistics().blocked, 1U);
  });
}

FIBER_TEST(BlockingTest, CallbackThatDoesNotWaitCostsNoTask) {
  with_loop([](EventLoop& loop) {
    loop.synchronize();
    const auto tasks = fibers::current_statistics().tasks_living;
    const auto peak = fibers::current_statistics().tasks_peak;
    for (int i = 0; i < 1000; ++i) loop.call_soon([] {});
    loop.synchronize();
    EXPECT_EQ(fibers::current_statistics().tasks_living, tasks);
    EXPECT_EQ(fibers::current_statistics().tasks_peak, peak);
    EXPECT_EQ(loop.statistics().callbacks_blocked, 0U);
  });
}

FIBER_TEST(BlockingTest, MayBlockAgainAndAgain) {
  with_loop([](EventLoop& loop) {
    int rounds = 0;
    loop.call_soon([&] {
      for (; rounds < 10; ++rounds) fibers::sleep(1s);
    });
    int ticks = 0;
    std::function<void()> tick = [&] {
      ++ticks;
      loop.call_later(1s, tick);
    };
    loop.call_soon(tick);
    fibers::sleep(10500ms);
    EXPECT_EQ(rounds, 10);
    EXPECT_EQ(ticks, 11);
    EXPECT_EQ(loop.statistics().callbacks_blocked, 1U);
  });
}

FIBER_TEST(BlockingTest, RunnersAreReused) {
  with_loop([](EventLoop& loop) {
    for (int i = 0; i < 200; ++i) {
      loop.call_soon([] { fibers::checkpoint(); });
      loop.synchronize();
    }
    loop.wait_blocked();
    EXPECT_EQ(loop.statistics().callbacks_blocked, 200U);
    EXPECT_LE(fibers::current_statistics().tasks_peak, 8U);
  });
}

FIBER_TEST(BlockingTest, ThousandsMayBeBlockedAtOnce) {
  WEFT_NOT_SHUFFLED("so many choices take long");
  with_loop([](EventLoop& loop) {
    constexpr int kMany = 2000;
    Future<void> gate = loop.create_future<void>();
    int passed = 0;
    const auto pass = [&] {
      await(gate);
      ++passed;
    };
    for (int i = 0; i < kMany; ++i) loop.call_soon(pass);
    EXPECT_TRUE(loop.synchronize());
    EXPECT_EQ(loop.statistics().blocked, std::size_t{kMany});
    EXPECT_EQ(passed, 0);
    loop.call_soon([&] { gate.set_result(); });
    loop.wait_blocked();
    loop.synchronize();
    EXPECT_EQ(passed, kMany);
    EXPECT_EQ(loop.statistics().blocked, 0U);
    EXPECT_LE(loop.statistics().runners_idle, 16U);
  });
}

FIBER_TEST(BlockingTest, HandleCancelsABlockedCallback) {
  std::string seen;
  with_loop([&](EventLoop& loop) {
    Handle handle = loop.call_soon([&] {
      try {
        fibers::sleep_forever();
      } catch (const fibers::Cancelled& cancelled) {
        seen = cancelled.reason();
        throw;
      }
    });
    loop.synchronize();
    handle.cancel();
    EXPECT_TRUE(handle.cancelled());
    loop.wait_blocked();
    EXPECT_EQ(seen, "the callback was cancelled");
    // The loop itself is untouched.
    bool ran = false;
    loop.call_soon([&] { ran = true; });
    EXPECT_TRUE(loop.synchronize());
    EXPECT_TRUE(ran);
  });
}

FIBER_TEST(BlockingTest, OneCancelledAmongMany) {
  int cancelled = 0;
  int finished = 0;
  with_loop([&](EventLoop& loop) {
    std::vector<Handle> handles;
    for (int i = 0; i < 10; ++i) {
      handles.push_back(loop.call_soon([&] {
        try {
          fibers::sleep(1s);
          ++finished;
        } catch (const fibers::Cancelled&) {
          ++cancelled;
          throw;
        }
      }));
    }
    loop.synchronize();
    handles[3].cancel();
    handles[7].cancel();
    loop.wait_blocked();
    EXPECT_EQ(cancelled, 2);
    EXPECT_EQ(finished, 8);
  });
}

FIBER_TEST(BlockingTest, CancellationIsLevelTriggered) {
  int raised = 0;
  with_loop([&](EventLoop& loop) {
    Handle handle = loop.call_soon([&] {
      for (int i = 0; i < 3; ++i) {
        try {
          fibers::sleep_forever();
        } catch (const fibers::Cancelled&) {
          ++raised;
        }
      }
    });
    loop.synchronize();
    const testing::CapturedLog log;  // Swallowing it three times is worth a warning.
    handle.cancel();
    loop.wait_blocked();
    EXPECT_EQ(raised, 3);
  });
}

FIBER_TEST(BlockingTest, ARunnerThatWasCancelledIsNotSoForTheNextCallback) {
  with_loop([](EventLoop& loop) {
    for (int i = 0; i < 20; ++i) {
      Handle handle = loop.call_soon([] { fibers::sleep_forever(); });
      loop.synchronize();
      handle.cancel();
      loop.wait_blocked();
    }
    bool slept = false;
    loop.call_soon([&] {
      fibers::sleep(1s);
      slept = true;
    });
    fibers::sleep(2s);
    EXPECT_TRUE(slept);
  });
}

FIBER_TEST(BlockingTest, ErrorAfterBlockingReachesTheExceptionHandler) {
  with_loop([](EventLoop& loop) {
    std::vector<std::string> errors;
    Handle reported;
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
      errors.push_back(fibers::describe_exception(context.exception));
      reported = context.handle;
    });
    const Handle handle = loop.call_soon([] {
      fibers::sleep(1s);
      throw std::runtime_error("too late");
    });
    fibers::sleep(2s);
    ASSERT_EQ(errors.size(), 1U);
    EXPECT_NE(errors[0].find("too late"), std::string::npos);
    EXPECT_EQ(reported, handle);
    EXPECT_EQ(loop.statistics().blocked, 0U);
  });
}

FIBER_TEST(BlockingTest, ErrorOfACancelledCallbackIsNotLost) {
  int errors = 0;
  with_loop([&](EventLoop& loop) {
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext&) { ++errors; });
    Handle handle = loop.call_soon([] {
      try {
        fibers::sleep_forever();
      } catch (const fibers::Cancelled&) {
        throw std::runtime_error("while cleaning up");
      }
    });
    loop.synchronize();
    handle.cancel();
    loop.wait_blocked();
    loop.synchronize();
    EXPECT_EQ(errors, 1);
  });
}

FIBER_TEST(BlockingTest, NurseryInACallback) {
  with_loop([](EventLoop& loop) {
    int children = 0;
    EventLoop* in_child = &loop;
    loop.call_soon([&] {
      fibers::open_nursery([&](fibers::Nursery& nursery) {
        for (int i = 0; i < 3; ++i) {
          nursery.start_soon([&] {
            fibers::sleep(1s);
            ++children;
            in_child = running_loop();
          });
        }
      });
      children += 10;
    });
    fibers::sleep(2s);
    EXPECT_EQ(children, 13);
    EXPECT_EQ(in_child, nullptr);
  });
}

FIBER_TEST(BlockingTest, CancelReachesTheNurseryInACallback) {
  int cancelled = 0;
  with_loop([&](EventLoop& loop) {
    Handle handle = loop.call_soon([&] {
      fibers::open_nursery([&](fibers::Nursery& nursery) {
        for (int i = 0; i < 3; ++i) {
          nursery.start_soon([&] {
            try {
              fibers::sleep_forever();
            } catch (const fibers::Cancelled&) {
              ++cancelled;
              throw;
            }
          });
        }
      });
    });
    fibers::sleep(1s);
    handle.cancel();
    loop.wait_blocked();
    EXPECT_EQ(cancelled, 3);
  });
}

FIBER_TEST(BlockingTest, DeadlinesInsideACallbackWork) {
  with_loop([](EventLoop& loop) {
    bool moved_on = false;
    loop.call_soon([&] { moved_on = !fibers::move_on_after(1s, [] { fibers::sleep_forever(); }); });
    fibers::sleep(2s);
    EXPECT_TRUE(moved_on);
  });
}

FIBER_TEST(BlockingTest, BlockedTimerAndFutureCallbacks) {
  with_loop([](EventLoop& loop) {
    int done = 0;
    loop.call_later(1s, [&] {
      fibers::sleep(1s);
      ++done;
    });
    Future<int> future = loop.create_future<int>();
    future.add_done_callback([&](const Future<int>& f) {
      fibers::sleep(3s);
      done += f.result();
    });
    future.set_result(10);
    future = {};  // The callback keeps it.
    fibers::sleep(2500ms);
    EXPECT_EQ(done, 1);
    fibers::sleep(1s);
    EXPECT_EQ(done, 11);
  });
}

FIBER_TEST(BlockingTest, MainLoopReturnsWhileCallbacksAreBlocked) {
  with_idle_loop([](EventLoop& loop) {
    int finished = 0;
    int cancelled = 0;
    for (int i = 0; i < 3; ++i) {
      loop.call_soon([&] {
        try {
          fibers::sleep(1h);
          ++finished;
        } catch (const fibers::Cancelled&) {
          ++cancelled;
          throw;
        }
      });
    }
    run_once(loop);
    EXPECT_FALSE(loop.is_running());
    EXPECT_EQ(loop.statistics().blocked, 3U);
    loop.cancel_blocked();
    loop.wait_blocked();
    EXPECT_EQ(cancelled, 3);
    EXPECT_EQ(finished, 0);
    loop.close();
  });
}

FIBER_TEST(BlockingTest, BlockedCallbacksEndByThemselvesWhileTheLoopIsStopped) {
  with_idle_loop([](EventLoop& loop) {
    bool queued = false;
    loop.call_soon([&] {
      fibers::sleep(1s);
      loop.call_soon([&] { queued = true; });
    });
    run_once(loop);
    loop.wait_blocked();
    EXPECT_FALSE(queued);
    loop.drain();
    EXPECT_TRUE(queued);
  });
}

FIBER_TEST(BlockingTest, CloseCancelsBlockedCallbacks) {
  bool cancelled = false;
  with_idle_loop([&](EventLoop& loop) {
    loop.call_soon([&] {
      try {
        fibers::sleep_forever();
      } catch (const fibers::Cancelled&) {
        cancelled = true;
        throw;
      }
    });
    run_once(loop);
    loop.close();
  });
  EXPECT_TRUE(cancelled);
}

FIBER_TEST(BlockingTest, DrainDoesNotWaitForTheBlocked) {
  with_idle_loop([](EventLoop& loop) {
    const fibers::Instant start = loop.time();
    bool second = false;
    loop.call_soon([] { fibers::sleep(1h); });
    loop.call_soon([&] { second = true; });
    loop.drain();
    EXPECT_TRUE(second);
    EXPECT_EQ(loop.time(), start);
    EXPECT_EQ(loop.statistics().blocked, 1U);
  });
}

FIBER_TEST(BlockingTest, WaitBlockedInACallbackIsRefused) {
  with_loop([](EventLoop& loop) {
    bool refused = false;
    loop.call_soon([&] {
      try {
        loop.wait_blocked();
      } catch (const fibers::UsageError&) {
        refused = true;
      }
    });
    loop.synchronize();
    EXPECT_TRUE(refused);
  });
}

FIBER_TEST(BlockingTest, WaitInADestructorDuringUnwinding) {
  struct Waiter {
    bool& waited;
    ~Waiter() {
      fibers::sleep(1s);
      waited = true;
    }
  };
  with_loop([](EventLoop& loop) {
    int errors = 0;
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext&) { ++errors; });
    bool waited = false;
    loop.call_soon([&] {
      const Waiter waiter{waited};
      throw std::runtime_error("unwinds through a wait");
    });
    bool other = false;
    loop.call_soon([&] { other = true; });
    loop.synchronize();
    EXPECT_TRUE(other);
    EXPECT_FALSE(waited);
    fibers::sleep(2s);
    EXPECT_TRUE(waited);
    EXPECT_EQ(errors, 1);
  });
}

FIBER_TEST(BlockingTest, ExceptionHandlerMayBlock) {
  with_loop([](EventLoop& loop) {
    bool handled = false;
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext&) {
      fibers::sleep(1s);
      handled = true;
    });
    loop.call_soon([] { throw std::runtime_error("x"); });
    bool other = false;
    loop.call_soon([&] { other = true; });
    loop.synchronize();
    EXPECT_TRUE(other);
    EXPECT_FALSE(handled);
    fibers::sleep(2s);
    EXPECT_TRUE(handled);
  });
}

FIBER_TEST(BlockingTest, TaskTreeNamesTheRunners) {
  with_loop([](EventLoop& loop) {
    loop.call_soon([] { fibers::sleep(1s); });
    fibers::testing::wait_all_tasks_blocked();
    const std::string tree = fibers::dump_task_tree();
    EXPECT_NE(tree.find("event loop"), std::string::npos) << tree;
    EXPECT_NE(tree.find("sleep"), std::string::npos) << tree;
    EXPECT_NE(tree.find("events of the loop"), std::string::npos) << tree;
  });
}

// All the orders of handing over, blocking, cancelling and stopping that a seed gives.
class BlockingShuffleTest : public ::testing::TestWithParam<int> {};

TEST_P(BlockingShuffleTest, NothingIsLostInAnyOrder) {
  const auto body = [] {
    int started = 0;
    int ended = 0;
    with_loop([&](EventLoop& loop) {
      std::vector<Handle> handles;
      for (int i = 0; i < 60; ++i) {
        handles.push_back(loop.call_soon([&, i] {
          ++started;
          struct Count {
            int& n;
            ~Count() { ++n; }
          } count{ended};
          if (i % 3 == 0) fibers::sleep(std::chrono::milliseconds(i % 7));
          if (i % 3 == 1) fibers::checkpoint();
        }));
      }
      for (std::size_t i = 0; i < handles.size(); i += 5) {
        fibers::checkpoint();
        handles[i].cancel();
      }
      loop.synchronize();
      loop.wait_blocked();
    });
    EXPECT_EQ(started, ended);
    EXPECT_GT(started, 40);
  };
  fibers::testing::run_fiber_test(body, {.schedule_seed = static_cast<std::uint64_t>(GetParam())});
}

INSTANTIATE_TEST_SUITE_P(Seeds, BlockingShuffleTest, ::testing::Range(1, 33));

}  // namespace
}  // namespace weft::loop
