// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A loop of open_loop that stops before its time, by stop() or by a KeyboardInterrupt out of a
// callback; or before it has begun.

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "tests/shim/shim_test_support.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/format_exception.h"
#include "weft/fibers/instrument.h"
#include "weft/fibers/lone_error.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/aio_as_trio.h"
#include "weft/shim/open_loop.h"
#include "weft/shim/trio_as_aio.h"

namespace weft::shim {
namespace {

using namespace std::chrono_literals;
using fibers::CancelScope;
using fibers::KeyboardInterrupt;
using fibers::move_on_after;
using fibers::sleep;
using fibers::sleep_forever;

enum class How : std::uint8_t { kStop, kInterrupt };

void end(EventLoop& loop, How how) {
  if (how == How::kStop) return loop.stop();
  loop.call_soon([] { throw KeyboardInterrupt(); });
}

// Waits to be cancelled, then cleans up under a shield.
template <class F>
void clean_up_by(F&& fn) {
  try {
    sleep_forever();
  } catch (const fibers::Cancelled&) {
    CancelScope shield({.shield = true});
    shield.run(fn);
    throw;
  }
}

FIBER_TEST(StoppedLoopTest, ADeadlineDropsACallThatHasNotBegun) {
  open_loop([](EventLoop& loop) {
    loop.stop();
    loop.wait_stopped();
    bool called = false;
    const fibers::Instant start = fibers::current_time();
    auto future = run_trio([&] { called = true; });
    EXPECT_FALSE(move_on_after(300ms, [&] { await(future); }));
    EXPECT_EQ(fibers::current_time() - start, 300ms);
    EXPECT_TRUE(future.cancelled());
    loop.call_soon([&] { EXPECT_FALSE(called); });
  });
}

FIBER_TEST(StoppedLoopTest, ADeadlineDropsACallback) {
  open_loop([](EventLoop& loop) {
    loop.stop();
    loop.wait_stopped();
    EXPECT_FALSE(move_on_after(300ms, [] { aio_as_trio([] { ADD_FAILURE(); })(); }));
  });
}

FIBER_TEST(StoppedLoopTest, CtrlCEndsTheWaitForACallThatHasNotBegun) {
  bool called = false;
  const auto error = error_of([&] {
    open_loop([&](EventLoop& loop) {
      loop.stop();
      loop.wait_stopped();
      move_on_after(1h, [&] {
        auto future = run_trio([&] { called = true; });
        std::raise(SIGINT);
        await(future);
      });
    });
  });
  EXPECT_TRUE(holds<KeyboardInterrupt>(inside_two_groups(error)));
  EXPECT_FALSE(called);
}

// Comes when a task is about to run for the `steps`-th time.
struct CtrlCAt final : fibers::Instrument {
  explicit CtrlCAt(int steps) : left(steps) {}
  void before_task_step(fibers::Task&) override {
    if (left-- == 0) std::raise(SIGINT);
  }
  int left;
};

FIBER_TEST(StoppedLoopTest, CtrlCWhileTheLoopStarts) {
  // Until it comes only after that.
  for (int step = 0;; ++step) {
    SCOPED_TRACE(step);
    const auto ctrl_c = std::make_shared<CtrlCAt>(step);
    fibers::add_instrument(ctrl_c);
    bool started = false;
    const auto error = error_of([&] {
      open_loop([&](EventLoop&) {
        started = true;
        sleep(1s);
      });
    });
    fibers::remove_instrument(*ctrl_c);
    if (started) break;
    EXPECT_TRUE(holds<KeyboardInterrupt>(inside_two_groups(error)));
  }
}

// What the function holds goes at once, as with Handle::cancel.
FIBER_TEST(StoppedLoopTest, WhatIsDroppedIsDestroyed) {
  open_loop([](EventLoop& loop) {
    loop.stop();
    loop.wait_stopped();
    auto held = std::make_shared<int>(1);
    auto future = run_trio([held] {});
    EXPECT_EQ(held.use_count(), 2);
    future.cancel();
    EXPECT_EQ(held.use_count(), 1);
  });
}

FIBER_TEST(StoppedLoopTest, TheBodyMayUseTheLoopWhileItUnwinds) {
  for (const How how : {How::kStop, How::kInterrupt}) {
    std::vector<std::string> events;
    const auto error = error_of([&] {
      move_on_after(1s, [&] {
        open_loop([&](EventLoop& loop) {
          end(loop, how);
          clean_up_by([&] {
            aio_as_trio([&] { events.emplace_back("callback"); })();
            await(run_trio([&] { events.emplace_back("task"); }));
          });
        });
      });
    });
    EXPECT_EQ(error != nullptr, how == How::kInterrupt);
    EXPECT_EQ(events, (std::vector<std::string>{"callback", "task"}));
  }
}

FIBER_TEST(StoppedLoopTest, ATaskMayUseTheLoopWhileItUnwinds) {
  for (const How how : {How::kStop, How::kInterrupt}) {
    bool cleaned_up = false;
    const auto error = error_of([&] {
      open_loop([&](EventLoop& loop) {
        run_trio_task([&] { clean_up_by([&] { aio_as_trio([&] { cleaned_up = true; })(); }); });
        loop.synchronize();
        end(loop, how);
        sleep(1s);
      });
    });
    EXPECT_EQ(holds<KeyboardInterrupt>(inside_two_groups(error)) || error != nullptr,
              how == How::kInterrupt);
    EXPECT_TRUE(cleaned_up);
  }
}

FIBER_TEST(StoppedLoopTest, ABlockedCallbackMayStartATaskWhileItUnwinds) {
  for (const How how : {How::kStop, How::kInterrupt}) {
    bool cleaned_up = false;
    const auto error = error_of([&] {
      open_loop([&](EventLoop& loop) {
        loop.call_soon([&] { clean_up_by([&] { await(run_trio([&] { cleaned_up = true; })); }); });
        loop.synchronize();
        end(loop, how);
        sleep(1s);
      });
    });
    EXPECT_EQ(error != nullptr, how == How::kInterrupt);
    EXPECT_TRUE(cleaned_up);
  }
}

// Nothing would ever end such a wait.
FIBER_TEST(StoppedLoopTest, AWaitWithoutADeadlineRunsTheLoopAgain) {
  open_loop([](EventLoop& loop) {
    loop.stop();
    loop.wait_stopped();
    EXPECT_EQ(aio_as_trio([] { return 7; })(), 7);
    loop.stop();
    loop.wait_stopped();
    EXPECT_FALSE(move_on_after(1s, [] {
      try {
        sleep_forever();
      } catch (const fibers::Cancelled&) {
        CancelScope shield({.shield = true});
        shield.run([] { EXPECT_EQ(await(run_trio([] { return 8; })), 8); });
        throw;
      }
    }));
  });
}

FIBER_TEST(StoppedLoopTest, StoppingItDuringTheShutDownChangesNothing) {
  int cleaned_up = 0;
  open_loop([&](EventLoop& loop) {
    for (int i = 0; i < 3; ++i) {
      run_trio_task([&] {
        clean_up_by([&] {
          aio_as_trio([&] { loop.stop(); })();
          aio_as_trio([&] { ++cleaned_up; })();
        });
      });
    }
  });
  EXPECT_EQ(cleaned_up, 3);
}

FIBER_TEST(StoppedLoopTest, WhatWasSubmittedBeforeTheStopBegins) {
  bool callback = false;
  bool task = false;
  open_loop([&](EventLoop& loop) {
    loop.call_soon([&] {
      loop.stop();
      loop.call_soon([&] { callback = true; });
      run_trio_task([&] { task = true; });
    });
    loop.wait_stopped();
  });
  EXPECT_TRUE(callback);
  EXPECT_TRUE(task);
}

FIBER_TEST(StoppedLoopTest, EveryInterruptComesOut) {
  const auto error = error_of([] {
    open_loop([](EventLoop& loop) {
      loop.call_soon([] { throw KeyboardInterrupt(); });
      loop.call_soon([] { throw KeyboardInterrupt(); });
      loop.call_soon([&] { loop.call_soon([] { throw KeyboardInterrupt(); }); });
      sleep_forever();
    });
  });
  try {
    ASSERT_NE(error, nullptr);
    std::rethrow_exception(error);
  } catch (const fibers::BaseExceptionGroup& group) {
    EXPECT_EQ(group.exceptions().size(), 3U);
  }
}

// Once: nobody reports in addition that the task's exception was never retrieved.
FIBER_TEST(StoppedLoopTest, AnInterruptOutOfATaskOfTheLoopComesOut) {
  const auto error = error_of([] {
    open_loop([](EventLoop& loop) {
      loop.create_task([] { throw KeyboardInterrupt(); });
      sleep_forever();
    });
  });
  EXPECT_TRUE(holds<KeyboardInterrupt>(fibers::lone_error(error)))
      << fibers::describe_exception(error);
}

FIBER_TEST(StoppedLoopTest, TheBodyMayRunItAgainByHand) {
  int ran = 0;
  open_loop([&](EventLoop& loop) {
    loop.stop();
    loop.wait_stopped();
    loop.call_soon([&] {
      ++ran;
      loop.stop();
    });
    loop.main_loop();
    EXPECT_EQ(ran, 1);
    loop.call_soon([&] { ++ran; });
  });
  EXPECT_EQ(ran, 2);
}

FIBER_TEST(StoppedLoopTest, TheBodyMayCloseItByHand) {
  bool cancelled = false;
  open_loop([&](EventLoop& loop) {
    loop.call_soon([&] { clean_up_by([&] { cancelled = true; }); });
    loop.synchronize();
    loop.stop();
    loop.wait_stopped();
    loop.close();
    EXPECT_THROW(loop.call_soon([] {}), fibers::UsageError);
  });
  EXPECT_TRUE(cancelled);
}

// The loop ends at every point of a body that uses it, and of its shut-down; in many schedules.
void ends_whenever_the_loop_does(How how, int points) {
  int cleaned_up = 0;
  const auto error = error_of([&] {
    move_on_after(10s, [&] {
      open_loop([&](EventLoop& loop) {
        loop.call_soon([&] {
          clean_up_by([&] {
            await(run_trio([&] {}));
            ++cleaned_up;
          });
        });
        run_trio_task([&] {
          clean_up_by([&] {
            aio_as_trio([&] { fibers::checkpoint(); })();
            ++cleaned_up;
          });
        });
        run_trio_task([&, points] {
          CancelScope shield({.shield = true});
          shield.run([&] {
            for (int i = 0; i < points; ++i) fibers::checkpoint();
            end(loop, how);
          });
        });
        try {
          await(run_trio([] { sleep(1s); }));
          aio_as_trio([] { sleep(1s); })();
          sleep_forever();
        } catch (...) {
          CancelScope shield({.shield = true});
          shield.run([&] {
            aio_as_trio([] { sleep(1s); })();
            await(run_trio([] { sleep(1s); }));
            ++cleaned_up;
          });
          throw;
        }
      });
    });
  });
  EXPECT_EQ(cleaned_up, 3) << "points: " << points;
  EXPECT_EQ(error != nullptr, how == How::kInterrupt);
}

TEST(StoppedLoopTest, IsHungByNoMomentOfTheStop) {
  for (int points = 0; points < 30; ++points) {
    for (const How how : {How::kStop, How::kInterrupt}) {
      fibers::testing::explore_test([&] { ends_whenever_the_loop_does(how, points); },
                                    {.strategy = fibers::testing::Strategy::kRandom,
                                     .schedules = 6,
                                     .seed = static_cast<std::uint64_t>(points)});
    }
  }
}

// Every schedule of the smallest block whose loop stops early.
EXPLORE_TEST(StoppedLoopTest, EndsInEverySchedule) {
  bool task = false;
  open_loop([&](EventLoop& loop) {
    loop.call_soon([&] { loop.stop(); });
    run_trio_task([&] {
      CancelScope shield({.shield = true});
      shield.run([&] { aio_as_trio([&] { task = true; })(); });
    });
  });
  EXPECT_TRUE(task);
}

}  // namespace
}  // namespace weft::shim
