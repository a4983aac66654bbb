// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/from_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/capacity_limiter.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"

namespace weft::fibers {
namespace {

using from_thread::FromThreadOptions;
using to_thread::ThreadOptions;

template <class F>
auto in_worker(F&& fn, const ThreadOptions& options = {}) {
  return to_thread::run_sync(std::forward<F>(fn), options);
}

// Calls `fn` in a thread that weft knows nothing of, and waits for it as a task, come what may.
template <class F>
void in_foreign_thread(F&& fn) {
  Event done;
  const Token token = current_token();
  std::thread thread([&] {
    fn(token);
    token.run_sync_soon([&] { done.set(); });
  });
  CancelScope shield({.shield = true});
  shield.run([&] { done.wait(); });
  thread.join();
}

// trio: test_threads.py::test_trio_from_thread_run_sync
// trio: test_threads.py::test_trio_from_thread_run
FIBER_TEST(FromThreadTest, TheWorkerGetsWhatTheCallReturns) {
  const Instant now = current_time();
  EXPECT_EQ(in_worker([] { return from_thread::run_sync([] { return current_time(); }); }), now);
  EXPECT_EQ(in_worker([] {
              return from_thread::run([] {
                sleep(seconds(1));
                return current_time();
              });
            }),
            now + seconds(1));
  const auto moved = in_worker([] {
    return from_thread::run([p = std::make_unique<int>(3)]() mutable { return std::move(p); });
  });
  EXPECT_EQ(*moved, 3);
}

// trio: test_threads.py::test_do_in_trio_thread
FIBER_TEST(FromThreadTest, TheWorkerGetsWhatTheCallThrows) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread expects counts");
  const auto fail = [] { throw std::out_of_range("far"); };
  in_worker([&] {
    EXPECT_THROW(from_thread::run_sync(fail), std::out_of_range);
    EXPECT_THROW(from_thread::run(fail), std::out_of_range);
  });
  EXPECT_THROW(in_worker([&] { from_thread::run(fail); }), std::out_of_range);
}

// trio: test_threads.py::test_from_thread_reuses_task
FIBER_TEST(FromThreadTest, TheCallIsMadeByTheVeryTaskThatWaits) {
  Task* const me = &current_task();
  const auto current = [] { return &current_task(); };
  EXPECT_EQ(in_worker([&] { return from_thread::run(current); }), me);
  EXPECT_EQ(in_worker([&] { return from_thread::run_sync(current); }), me);
  EXPECT_NE(in_worker([&] { return from_thread::run(current); }, {.abandon_on_cancel = true}), me);
}

// What a call back into the run, made by `call_back`, has to do with context variables.
template <class CallBack>
void expect_own_context(CallBack call_back) {
  ContextVar<std::string> var("var");
  var.set("task");
  in_worker([&] {
    EXPECT_EQ(var.get(), "task");
    var.set("worker");
    call_back([&] {
      EXPECT_EQ(var.get(), "worker");
      var.set("back in the task");
      EXPECT_EQ(var.get(), "back in the task");
    });
    EXPECT_EQ(var.get(), "worker");
  });
  EXPECT_EQ(var.get(), "task");
}

// trio: test_threads.py::test_trio_from_thread_run_sync_contextvars
FIBER_TEST(FromThreadTest, RunSyncSeesTheThreadsVariablesAndKeepsItsChanges) {
  expect_own_context([](auto fn) { from_thread::run_sync(fn); });
}

// trio: test_threads.py::test_trio_from_thread_run_contextvars
FIBER_TEST(FromThreadTest, RunSeesTheThreadsVariablesAndKeepsItsChanges) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread expects counts");
  expect_own_context([](auto fn) { from_thread::run(fn); });
  expect_own_context(
      [token = current_token()](auto fn) { from_thread::run(fn, {.token = token}); });
}

FIBER_TEST(FromThreadTest, RunSyncMustNotWait) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread expects counts");
  in_worker([] {
    EXPECT_THROW(from_thread::run_sync([] { sleep(seconds(1)); }), UsageError);
    EXPECT_THROW(from_thread::run_sync([] { checkpoint(); }), UsageError);
    // And that is over with the call.
    from_thread::run([] { checkpoint(); });
  });
}

FIBER_TEST(FromThreadTest, AThreadFeedsAChannelThatPushesBack) {
  auto [send, receive] = open_memory_channel<int>(0);
  std::vector<int> items;
  open_nursery([&, &send = send, &receive = receive](Nursery& nursery) {
    nursery.start_soon([&] {
      in_worker([&] {
        for (int i = 0; i < 100; ++i) from_thread::run([&] { send.send(i); });
      });
      send.close();
    });
    for (const int item : receive) items.push_back(item);
  });
  EXPECT_EQ(items.size(), 100U);
}

// trio: test_threads.py::test_do_in_trio_thread_from_trio_thread
// trio: test_threads.py::test_from_thread_inside_trio_thread
FIBER_TEST(FromThreadTest, InsideARunItIsRefused) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread expects counts");
  const FromThreadOptions mine{.token = current_token()};
  EXPECT_THROW(from_thread::run([] {}), UsageError);
  EXPECT_THROW(from_thread::run_sync([] {}, mine), UsageError);
  in_worker([&] { run([&] { EXPECT_THROW(from_thread::run([] {}, mine), UsageError); }); });
}

// trio: test_threads.py::test_from_thread_no_token
TEST(FromThreadTest, AThreadWithoutAHostHasToSayWhichRun) {
  EXPECT_THROW(from_thread::run([] {}), UsageError);
  EXPECT_THROW(from_thread::run_sync([] {}), UsageError);
}

// trio: test_threads.py::test_trio_from_thread_token_kwarg
// trio: test_threads.py::test_trio_to_thread_run_sync_token
FIBER_TEST(FromThreadTest, WithATokenAnyThreadMayCall) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread expects counts");
  const Token mine = current_token();
  in_foreign_thread([&](const Token& token) {
    EXPECT_EQ(from_thread::run_sync([] { return current_token(); }, {.token = token}), mine);
    EXPECT_FALSE(from_thread::run_sync([] { return in_trio_task(); }, {.token = token}));
    EXPECT_TRUE(from_thread::run(
        [] {
          checkpoint();
          return in_trio_task();
        },
        {.token = token}));
    EXPECT_THROW(from_thread::run([] { throw std::out_of_range("far"); }, {.token = token}),
                 std::out_of_range);
  });
}

// They are the thread's, which may have some only in a greenlet of its own.
FIBER_TEST(FromThreadTest, WithATokenACallHasTheContextVariablesOfItsThread) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread throws ends the process");
  static ContextVar<std::string> who("who");
  in_foreign_thread([&](const Token& token) {
    who.set("the thread");
    EXPECT_EQ(from_thread::run_sync(
                  [] {
                    const std::string before = who.get_or("nobody");
                    who.set("the call");
                    return before + ", " + who.get_or("nobody");
                  },
                  {.token = token}),
              "the thread, the call");
    EXPECT_EQ(who.get_or("nobody"), "the thread");
  });
  EXPECT_EQ(who.get_or("nobody"), "nobody");
}

// trio: test_threads.py::test_trio_from_thread_token
FIBER_TEST(FromThreadTest, WithATokenTheHostIsPassedBy) {
  Task* const me = &current_task();
  const Token token = current_token();
  EXPECT_NE(
      in_worker([&] { return from_thread::run([] { return &current_task(); }, {.token = token}); }),
      me);
}

TEST(FromThreadTest, AfterTheRunCallsAreRefused) {
  std::optional<Token> token;
  run([&] { token = current_token(); });
  EXPECT_THROW(from_thread::run([] {}, {.token = token}), RunFinishedError);
  EXPECT_THROW(from_thread::run_sync([] {}, {.token = token}), RunFinishedError);
}

// trio: test_threads.py::test_await_in_trio_thread_while_main_exits
TEST(FromThreadTest, ACallThatWaitsIsCancelledWhenMainEnds) {
  std::thread thread;
  bool cancelled = false;
  run([&] {
    Event waiting;
    thread = std::thread([&cancelled, &waiting, token = current_token()] {
      try {
        from_thread::run(
            [&] {
              waiting.set();
              sleep_forever();
            },
            {.token = token});
      } catch (const Cancelled&) {
        cancelled = true;
      }
    });
    waiting.wait();
  });
  thread.join();
  EXPECT_TRUE(cancelled);
}

// trio: test_threads.py::test_from_thread_run_during_shutdown
TEST(FromThreadTest, WhileTheRunShutsDownNoTaskIsStartedAnyMore) {
  std::thread thread;
  std::binary_semaphore go(0);
  bool refused = false;
  run([&] {
    spawn_system_task([&, token = current_token()] {
      try {
        sleep_forever();
      } catch (const Cancelled&) {
        thread = std::thread([&refused, token] {
          try {
            from_thread::run([] { ADD_FAILURE() << "a task was started"; }, {.token = token});
          } catch (const RunFinishedError&) {
            refused = true;
          }
        });
        CancelScope shielded({.shield = true});
        shielded.run([&] { in_worker([&] { thread.join(); }); });
        throw;
      }
    });
    checkpoint();
  });
  EXPECT_TRUE(refused);
}

// trio: test_threads.py::test_from_thread_host_cancelled
FIBER_TEST(FromThreadTest, AHostThatCannotBeCancelledIsCancelledInItsCalls) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread expects counts");
  CancelScope scope;
  std::vector<int> passed;
  scope.run([&] {
    in_worker([&] {
      from_thread::run_sync([&] { scope.cancel(); });
      // No wait, no Cancelled.
      from_thread::run_sync([&] { passed.push_back(1); });
      from_thread::run([&] { passed.push_back(2); });
      EXPECT_THROW(from_thread::run([] { checkpoint(); }), Cancelled);
    });
    passed.push_back(3);
    checkpoint();
    ADD_FAILURE() << "not cancelled";
  });
  EXPECT_EQ(passed, (std::vector{1, 2, 3}));
  EXPECT_TRUE(scope.cancelled_caught());
}

// trio: test_threads.py::test_from_thread_host_cancelled
FIBER_TEST(FromThreadTest, TheCancelledOfACallTravelsThroughTheThread) {
  CancelScope scope;
  EXPECT_FALSE(scope.run([&] {
    in_worker([&] {
      from_thread::run([&] {
        scope.cancel();
        sleep_forever();
      });
      ADD_FAILURE() << "not cancelled";
    });
  }));
  EXPECT_TRUE(scope.cancelled_caught());
}

// trio: test_threads.py::test_from_thread_host_cancelled
FIBER_TEST(FromThreadTest, CallsOfAnAbandonedThreadGoOnBesideTheTask) {
  WEFT_NOT_SWEPT("its thread waits for what the body does later");
  WEFT_NOT_ALLOCATION_SWEPT("it waits for what its thread tells");
  const auto done = std::make_shared<std::promise<bool>>();
  const auto go = std::make_shared<std::binary_semaphore>(0);
  CapacityLimiter limiter(1);
  CancelScope scope;
  EXPECT_FALSE(scope.run([&] {
    in_worker(
        [done, go, cancel = [&scope] { scope.cancel(); }] {
          from_thread::run_sync(cancel);
          go->acquire();
          done->set_value(from_thread::run([] {
            checkpoint();
            return true;
          }));
        },
        {.abandon_on_cancel = true, .limiter = &limiter});
  }));
  go->release();
  limiter.acquire();  // Free when the thread has let go of the run.
  EXPECT_TRUE(done->get_future().get());
}

// trio: test_threads.py::test_from_thread_check_cancelled_no_abandon
FIBER_TEST(FromThreadTest, CheckCancelledThrowsOnceTheHostIsCancelled) {
  WEFT_NOT_SWEPT("its thread waits for what the body does later");
  CancelScope scope;
  std::binary_semaphore go(0);
  std::atomic<bool> before = false, after = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      EXPECT_FALSE(scope.run([&] {
        in_worker([&] {
          from_thread::check_cancelled();
          before = true;
          go.acquire();
          from_thread::check_cancelled();
          after = true;
        });
        ADD_FAILURE() << "not cancelled";
      }));
    });
    while (!before) checkpoint();
    scope.cancel("enough");
    go.release();
  });
  EXPECT_FALSE(after);
  EXPECT_TRUE(scope.cancelled_caught());
}

// trio: test_threads.py::test_from_thread_check_cancelled_abandon_on_cancel
FIBER_TEST(FromThreadTest, CheckCancelledTellsAnAbandonedThreadToo) {
  WEFT_NOT_SWEPT("its thread waits for what the body does later");
  struct Shared {
    std::binary_semaphore go{0};
    std::promise<bool> cancelled;
    std::atomic<bool> started = false;
  };
  const auto shared = std::make_shared<Shared>();
  CapacityLimiter limiter(1);
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      scope.run([&] {
        in_worker(
            [shared] {
              from_thread::check_cancelled();
              shared->started = true;
              shared->go.acquire();
              try {
                from_thread::check_cancelled();
                shared->cancelled.set_value(false);
              } catch (const Cancelled& c) {
                shared->cancelled.set_value(c.reason() == "enough");
                throw;
              }
            },
            {.abandon_on_cancel = true, .limiter = &limiter});
      });
    });
    while (!shared->started) checkpoint();
    scope.cancel("enough");
  });
  EXPECT_TRUE(scope.cancelled_caught());
  shared->go.release();
  limiter.acquire();  // Free when the thread has let go of the run.
  EXPECT_TRUE(shared->cancelled.get_future().get());
}

// trio: test_threads.py::test_from_thread_check_cancelled_raises_in_foreign_threads
FIBER_TEST(FromThreadTest, OnlyAWorkerHasAHostToAskFor) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread expects counts");
  EXPECT_THROW(from_thread::check_cancelled(), UsageError);
  in_foreign_thread([](const Token&) { EXPECT_THROW(from_thread::check_cancelled(), UsageError); });
  in_worker(
      [] { from_thread::run([] { EXPECT_THROW(from_thread::check_cancelled(), UsageError); }); });
}

// trio: test_threads.py::test_recursive_to_thread
FIBER_TEST(FromThreadTest, FromAThreadTheTaskMayGoIntoTheNext) {
  const auto here = [] { return std::this_thread::get_id(); };
  const auto [outer, inner] = in_worker(
      [&] { return std::pair(here(), from_thread::run([&] { return in_worker(here); })); });
  EXPECT_NE(outer, inner);
  const std::function<int(int)> descend = [&](int depth) -> int {
    if (depth == 0) return 0;
    return 1 + in_worker([&] { return from_thread::run([&] { return descend(depth - 1); }); });
  };
  EXPECT_EQ(descend(10), 10);
}

// trio: test_threads.py::test_reentry_doesnt_deadlock
FIBER_TEST(FromThreadTest, TasksThatGoBackAndForthDoNotBlockEachOther) {
  int rounds = 0;
  open_nursery([&](Nursery& nursery) {
    for (int task = 0; task < 4; ++task) {
      nursery.start_soon([&] {
        for (int i = 0; i < 50; ++i) {
          in_worker([&] { from_thread::run([&] { in_worker([] {}); }); });
          ++rounds;
        }
      });
    }
  });
  EXPECT_EQ(rounds, 200);
}

}  // namespace
}  // namespace weft::fibers
