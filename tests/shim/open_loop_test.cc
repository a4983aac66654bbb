// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/shim/open_loop.h"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/shim/shim_test_support.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/event.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/aio_as_trio.h"
#include "weft/shim/trio_as_aio.h"

namespace weft::shim {
namespace {

using namespace std::chrono_literals;
using fibers::CancelScope;
using fibers::current_time;
using fibers::Instant;
using fibers::Nursery;
using fibers::open_nursery;
using fibers::sleep;
using fibers::sleep_forever;

// Waits, and says when it is cancelled; takes its time for it.
void sleep_and_tell(bool& cancelled) {
  try {
    sleep_forever();
  } catch (const fibers::Cancelled&) {
    cancelled = true;
    throw;
  }
}

FIBER_TEST(OpenLoopTest, ReturnsWhatTheBodyReturns) {
  EXPECT_EQ(open_loop([](EventLoop&) { return 7; }), 7);
  EXPECT_EQ(*open_loop([] { return std::make_unique<int>(8); }), 8);
}

// trio-asyncio: test_misc.py::TestMisc::test_run
TEST(OpenLoopTest, RunOpensARunAndALoop) {
  const int value = weft::run([](EventLoop& loop) {
    EXPECT_EQ(current_loop(), &loop);
    return 7;
  });
  EXPECT_EQ(value, 7);
}

FIBER_TEST(OpenLoopTest, WhatWasSubmittedBeforeTheEndRuns) {
  std::vector<int> ran;
  open_loop([&](EventLoop& loop) {
    loop.call_soon([&] {
      ran.push_back(1);
      loop.call_soon([&] { ran.push_back(3); });
    });
    loop.call_soon([&] { ran.push_back(2); });
  });
  EXPECT_EQ(ran, (std::vector{1, 2, 3}));
}

// trio-asyncio: test_misc.py::TestMisc::test_cancel_sleep
FIBER_TEST(OpenLoopTest, TimersThatAreLeftAreDropped) {
  bool fired = false;
  const Instant start = current_time();
  open_loop([&](EventLoop& loop) { loop.call_later(1s, [&] { fired = true; }); });
  EXPECT_FALSE(fired);
  EXPECT_EQ(current_time(), start);
}

// trio-asyncio: test_trio_asyncio.py::test_cancel_loop
FIBER_TEST(OpenLoopTest, CancellingFromOutsideReachesTheBody) {
  const Instant start = current_time();
  bool cancelled = false;
  CancelScope scope({.relative_deadline = fibers::Duration(1s)});
  scope.run([&] { open_loop([&](EventLoop&) { sleep_and_tell(cancelled); }); });
  EXPECT_TRUE(cancelled);
  EXPECT_TRUE(scope.cancelled_caught());
  EXPECT_EQ(current_time() - start, 1s);
}

FIBER_TEST(OpenLoopTest, ABodyThatDoesNotWaitIsNotCancelled) {
  const CapturedLog log;
  CancelScope scope;
  scope.run([&] { open_loop([&](EventLoop&) { scope.cancel(); }); });
  EXPECT_FALSE(scope.cancelled_caught());
  // The tasks of the loop have not seen it either: nobody has swallowed anything.
  EXPECT_TRUE(log.lines.empty());
}

FIBER_TEST(OpenLoopTest, OpensInsideACancelledScope) {
  bool entered = false;
  CancelScope scope;
  scope.cancel();
  scope.run([&] {
    open_loop([&](EventLoop&) {
      entered = true;
      sleep(1s);
      ADD_FAILURE() << "not cancelled";
    });
  });
  EXPECT_TRUE(entered);
  EXPECT_TRUE(scope.cancelled_caught());
}

FIBER_TEST(OpenLoopTest, AValueCutShortIsAUsageErrorWhereTheCancellationEnds) {
  CancelScope scope({.relative_deadline = fibers::Duration(1s)});
  const auto value = scope.run([&] {
    return open_loop([](EventLoop&) {
      sleep_forever();
      return 1;
    });
  });
  EXPECT_FALSE(value.finished());
  EXPECT_TRUE(scope.cancelled_caught());
}

// trio-asyncio: test_trio_asyncio.py::test_tasks_get_cancelled
FIBER_TEST(OpenLoopTest, TheEndCancelsCallbacksAndTasksTogether) {
  bool callback_cancelled = false;
  bool task_cancelled = false;
  bool late_task_cancelled = false;
  open_loop([&](EventLoop& loop) {
    loop.call_soon([&] { sleep_and_tell(callback_cancelled); });
    run_trio_task([&] {
      try {
        sleep_and_tell(task_cancelled);
      } catch (...) {
        run_trio_task([&] { sleep_and_tell(late_task_cancelled); });
        throw;
      }
    });
  });
  EXPECT_TRUE(callback_cancelled);
  EXPECT_TRUE(task_cancelled);
  EXPECT_TRUE(late_task_cancelled);
}

FIBER_TEST(OpenLoopTest, TheyCanUseEachOtherWhileTheyUnwind) {
  std::vector<std::string> events;
  open_loop([&](EventLoop& loop) {
    loop.call_soon([&] {
      try {
        sleep_forever();
      } catch (const fibers::Cancelled&) {
        CancelScope shield({.shield = true});
        shield.run([&] {
          await(run_trio([&] {
            CancelScope inner({.shield = true});
            inner.run([&] { sleep(1s); });
            events.emplace_back("task for callback");
          }));
        });
        throw;
      }
    });
    run_trio_task([&] {
      try {
        sleep_forever();
      } catch (const fibers::Cancelled&) {
        CancelScope shield({.shield = true});
        shield.run([&] { aio_as_trio([&] { events.emplace_back("callback for task"); })(); });
        throw;
      }
    });
  });
  EXPECT_EQ(events, (std::vector<std::string>{"callback for task", "task for callback"}));
}

FIBER_TEST(OpenLoopTest, ACallbackThatBlocksWhileOthersUnwindIsCancelledToo) {
  bool cancelled = false;
  open_loop([&](EventLoop& loop) {
    run_trio_task([&] {
      try {
        sleep_forever();
      } catch (const fibers::Cancelled&) {
        loop.call_soon([&] { sleep_and_tell(cancelled); });
        throw;
      }
    });
  });
  EXPECT_TRUE(cancelled);
}

// trio-asyncio: test_trio_asyncio.py::test_cancel_loop_with_tasks
FIBER_TEST(OpenLoopTest, EachPartEndsInItsTime) {
  for (const bool shield : {false, true}) {
    for (const bool body_fails : {false, true}) {
      const Instant start = current_time();
      std::vector<std::pair<std::string, fibers::Duration>> ends;
      const auto note = [&](const char* who) { ends.emplace_back(who, current_time() - start); };
      const auto error = error_of([&] {
        fibers::move_on_after(1s, [&] {
          open_loop([&](EventLoop& loop) {
            run_trio_task([&] {
              CancelScope scope({.shield = shield});
              try {
                scope.run([&] { sleep(2s); });
              } catch (...) {
                note("task");
                throw;
              }
              note("task");
            });
            loop.call_soon([&] {
              try {
                sleep_forever();
              } catch (...) {
                note("callback");
                throw;
              }
            });
            try {
              sleep_forever();
            } catch (...) {
              CancelScope cleanup({.shield = true});
              cleanup.run([] { sleep(500ms); });
              note("body");
              if (body_fails) throw std::runtime_error("body");
              throw;
            }
          });
        });
      });
      EXPECT_EQ(holds<std::runtime_error>(inside_two_groups(error)), body_fails);
      std::map<std::string, fibers::Duration> at(ends.begin(), ends.end());
      EXPECT_EQ(at["body"], 1500ms);
      EXPECT_EQ(at["callback"], 1500ms) << "when the body has ended, not before";
      EXPECT_EQ(at["task"], shield ? 2000ms : 1500ms);
      EXPECT_EQ(current_time() - start, shield ? 2000ms : 1500ms);
    }
  }
}

// trio-asyncio: test_misc.py::TestMisc::test_too_many_stops
// trio-asyncio: test_misc.py::TestMisc::test_close_no_stop
FIBER_TEST(OpenLoopTest, MayBeStoppedByHand) {
  bool drained = false;
  open_loop([&](EventLoop& loop) {
    EXPECT_THROW(loop.close(), fibers::UsageError);
    loop.stop();
    loop.wait_stopped();
    loop.call_soon([&] { drained = true; });
  });
  EXPECT_TRUE(drained) << "what is submitted before the loop closes runs";
}

FIBER_TEST(OpenLoopTest, TheErrorOfACallbackComesOutInTwoGroups) {
  const CapturedLog log;
  bool body_cancelled = false;
  const auto error = error_of([&] {
    open_loop([&](EventLoop& loop) {
      loop.call_soon([] { throw std::out_of_range("callback"); });
      sleep_and_tell(body_cancelled);
    });
  });
  EXPECT_TRUE(holds<std::out_of_range>(inside_two_groups(error)));
  EXPECT_TRUE(body_cancelled);
  EXPECT_FALSE(log.lines.empty()) << "logged as well";
}

FIBER_TEST(OpenLoopTest, AMessageWithoutAnExceptionIsARuntimeError) {
  const CapturedLog log;
  const auto error = error_of([&] {
    open_loop([&](EventLoop& loop) {
      loop.call_exception_handler({.message = "something is wrong"});
      sleep_forever();
    });
  });
  EXPECT_TRUE(holds<std::runtime_error>(inside_two_groups(error)));
}

FIBER_TEST(OpenLoopTest, AnExceptionHandlerOfYourOwnReplacesThat) {
  std::vector<std::string> seen;
  open_loop([&](EventLoop& loop) {
    loop.set_exception_handler([&](EventLoop&, const loop::ExceptionContext& context) {
      seen.push_back(fibers::describe_exception(context.exception));
    });
    loop.call_soon([] { throw std::out_of_range("callback"); });
  });
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_NE(seen[0].find("callback"), std::string::npos);
}

// Both models: set_exception_handler(None) and default_exception_handler.
FIBER_TEST(OpenLoopTest, TakingTheHandlerOffBringsTheDefaultBack) {
  const CapturedLog log;
  const auto error = error_of([] {
    open_loop([](EventLoop& loop) {
      EXPECT_FALSE(loop.get_exception_handler());
      loop.set_exception_handler([](EventLoop&, const loop::ExceptionContext&) {});
      EXPECT_TRUE(loop.get_exception_handler());
      loop.set_exception_handler({});
      loop.call_soon([] { throw std::out_of_range("callback"); });
      sleep_forever();
    });
  });
  EXPECT_TRUE(holds<std::out_of_range>(inside_two_groups(error)));
  EXPECT_EQ(log.lines.size(), 1U);
}

FIBER_TEST(OpenLoopTest, AHandlerMayLeaveAnErrorToTheDefault) {
  const CapturedLog log;
  const auto error = error_of([] {
    open_loop([](EventLoop& loop) {
      loop.set_exception_handler([](EventLoop& l, const loop::ExceptionContext& context) {
        l.default_exception_handler(context);
      });
      loop.call_soon([] { throw std::out_of_range("callback"); });
      sleep_forever();
    });
  });
  EXPECT_TRUE(holds<std::out_of_range>(inside_two_groups(error)));
  EXPECT_EQ(log.lines.size(), 1U);
}

FIBER_TEST(OpenLoopTest, WhatAHandlerThrowsGoesToTheDefault) {
  const CapturedLog log;
  const auto error = error_of([] {
    open_loop([](EventLoop& loop) {
      loop.set_exception_handler(
          [](EventLoop&, const loop::ExceptionContext&) { throw std::domain_error("handler"); });
      loop.call_soon([] { throw std::out_of_range("callback"); });
      sleep_forever();
    });
  });
  EXPECT_TRUE(holds<std::domain_error>(inside_two_groups(error)));
  ASSERT_EQ(log.lines.size(), 1U);
  EXPECT_NE(log.lines[0].find("callback"), std::string::npos) << log.lines[0];
}

// trio-asyncio: test_trio_asyncio.py::test_exception_after_closed
FIBER_TEST(OpenLoopTest, AfterTheCloseErrorsAreOnlyLogged) {
  const CapturedLog log;
  Future<void> unasked;
  open_loop([&](EventLoop& loop) {
    unasked = loop.create_future<void>();
    unasked.set_exception(std::runtime_error("nobody asks"));
  });
  unasked = {};
  ASSERT_EQ(log.lines.size(), 1U);
  EXPECT_NE(log.lines[0].find("nobody asks"), std::string::npos);
}

FIBER_TEST(OpenLoopTest, TheErrorOfTheBodyComesOutInTwoGroups) {
  const auto error =
      error_of([] { open_loop([](EventLoop&) { throw std::out_of_range("body"); }); });
  EXPECT_TRUE(holds<std::out_of_range>(inside_two_groups(error)));
}

// trio-asyncio: test_misc.py::TestMisc::test_keyboard_interrupt_teardown
FIBER_TEST(OpenLoopTest, CtrlCShutsDownInOrder) {
  bool cancelled = false;
  const auto error = error_of([&] {
    open_loop([&](EventLoop& loop) {
      loop.call_soon([&] { sleep_and_tell(cancelled); });
      sleep(1s);
      std::raise(SIGINT);
      sleep_forever();
    });
  });
  EXPECT_TRUE(holds<fibers::KeyboardInterrupt>(inside_two_groups(error)));
  EXPECT_TRUE(cancelled);
}

// trio-asyncio: test_concurrent.py::test_nested
FIBER_TEST(OpenLoopTest, LoopsNest) {
  EXPECT_EQ(current_loop(), nullptr);
  open_loop([&](EventLoop& outer) {
    EXPECT_EQ(current_loop(), &outer);
    open_loop([&](EventLoop& inner) {
      EXPECT_EQ(current_loop(), &inner);
      EventLoop* seen = nullptr;
      outer.call_soon([&] { seen = current_loop(); });
      outer.synchronize();
      EXPECT_EQ(seen, &outer) << "a callback belongs to the loop that runs it";
    });
    EXPECT_EQ(current_loop(), &outer);
  });
  EXPECT_EQ(current_loop(), nullptr);
}

FIBER_TEST(OpenLoopTest, ACallbackMayOpenALoopOfItsOwn) {
  int answer = 0;
  open_loop([&](EventLoop& outer) {
    outer.call_soon([&] {
      open_loop([&](EventLoop& inner) {
        EXPECT_EQ(current_loop(), &inner);
        answer = await(run_trio([&] {
          EXPECT_EQ(current_loop(), &inner);
          return aio_as_trio([&] { return current_loop() == &inner ? 1 : 2; })();
        }));
      });
      EXPECT_EQ(current_loop(), &outer);
    });
    sleep(1s);
  });
  EXPECT_EQ(answer, 1);
}

// trio-asyncio: test_concurrent.py::test_parallel
FIBER_TEST(OpenLoopTest, LoopsOfSiblingsAreTheirOwn) {
  std::vector<EventLoop*> loops;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        open_loop([&](EventLoop& loop) {
          loops.push_back(&loop);
          sleep(1s);
          EXPECT_EQ(current_loop(), &loop);
        });
      });
    }
    sleep(500ms);
    EXPECT_EQ(current_loop(), nullptr);
  });
  ASSERT_EQ(loops.size(), 2U);
  EXPECT_NE(loops[0], loops[1]);
}

// trio-asyncio: test_trio_asyncio.py::test_get_running_loop
FIBER_TEST(OpenLoopTest, TasksAndCallbacksFindTheirLoop) {
  open_loop([&](EventLoop& loop) {
    open_nursery(
        [&](Nursery& nursery) { nursery.start_soon([&] { EXPECT_EQ(current_loop(), &loop); }); });
    loop.call_soon([&] {
      EXPECT_EQ(current_loop(), &loop);
      sleep(1s);
      EXPECT_EQ(current_loop(), &loop);
    });
    sleep(2s);
    await(run_trio([&] { EXPECT_EQ(current_loop(), &loop); }));
  });
}

// trio-asyncio: test_misc.py::TestMisc::test_wrong_context_manager_order
FIBER_TEST(OpenLoopTest, ATaskMayOutliveItsLoop) {
  open_nursery([&](Nursery& nursery) {
    open_loop([&](EventLoop& loop) {
      nursery.start_soon([&] {
        EXPECT_EQ(current_loop(), &loop);
        aio_as_trio([] { sleep(1s); })();
        sleep(2s);
        EXPECT_EQ(current_loop(), nullptr);
        EXPECT_THROW(run_trio([] {}), fibers::UsageError);
      });
      sleep(2s);
    });
  });
}

// trio: test_run.py::test_sniffio_integration
FIBER_TEST(OpenLoopTest, TheFlavourIsKnownEverywhere) {
  EXPECT_EQ(current_async_library(), "trio");
  open_loop([&](EventLoop& loop) {
    EXPECT_EQ(current_async_library(), "trio");
    loop.call_soon([&] {
      EXPECT_EQ(current_async_library(), "asyncio");
      await(run_trio([] { EXPECT_EQ(current_async_library(), "trio"); }));
      EXPECT_EQ(current_async_library(), "asyncio") << "also after it has blocked";
    });
    sleep(1s);
  });
}

// trio: test_run.py::test_sniffio_integration
TEST(OpenLoopTest, OutsideARunThereIsNoFlavour) {
  EXPECT_THROW(current_async_library(), fibers::UsageError);
  EXPECT_EQ(current_loop(), nullptr);
  EXPECT_THROW(require_loop(), fibers::UsageError);
}

}  // namespace
}  // namespace weft::shim
