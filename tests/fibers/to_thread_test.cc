// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/to_thread.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include "fibers/core/context.h"  // WEFT_TSAN
#include "weft/fibers/context_var.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/from_thread.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using testing::assert_checkpoints;
using to_thread::current_default_thread_limiter;
using to_thread::run_sync;

// trio: test_threads.py::test_run_in_worker_thread
FIBER_TEST(ToThreadTest, ReturnsTheValueFromAnotherThread) {
  const auto here = std::this_thread::get_id();
  EXPECT_NE(run_sync([] { return std::this_thread::get_id(); }), here);
  EXPECT_EQ(*run_sync([p = std::make_unique<int>(3)]() mutable { return std::move(p); }), 3);
  bool ran = false;
  assert_checkpoints([&] { run_sync([&] { ran = true; }); });
  EXPECT_TRUE(ran);
}

// trio: test_threads.py::test_run_in_worker_thread
FIBER_TEST(ToThreadTest, ThrowsWhatTheCallThrows) {
  EXPECT_THROW(run_sync([]() -> int { throw std::out_of_range("far"); }), std::out_of_range);
  EXPECT_EQ(current_default_thread_limiter().borrowed_tokens(), 0U);
}

FIBER_TEST(ToThreadTest, OtherTasksGoOnMeanwhile) {
  WEFT_NOT_SWEPT("its thread waits for what the body does later");
  std::binary_semaphore go(0);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { run_sync([&] { go.acquire(); }); });
    for (int i = 0; i < 3; ++i) checkpoint();
    go.release();
  });
}

// trio: test_threads.py::test_run_in_worker_thread_cancellation
FIBER_TEST(ToThreadTest, CancellationWaitsForTheThread) {
  WEFT_NOT_SWEPT("its thread waits for what the body does later");
  std::binary_semaphore go(0);
  Event entered;
  CancelScope scope;
  int result = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      scope.run([&] {
        entered.set();
        result = run_sync([&] {
          go.acquire();
          return 4;
        });
        // It was the call that could not be cancelled; the next wait can.
        checkpoint();
        ADD_FAILURE() << "not cancelled";
      });
    });
    entered.wait();
    for (int i = 0; i < 3; ++i) checkpoint();
    scope.cancel();
    for (int i = 0; i < 3; ++i) checkpoint();
    EXPECT_EQ(result, 0);
    go.release();
  });
  EXPECT_EQ(result, 4);
  EXPECT_TRUE(scope.cancelled_caught());
}

// trio: test_threads.py::test_run_in_worker_thread_cancellation
FIBER_TEST(ToThreadTest, CancelledTaskStartsNoThread) {
  std::atomic<bool> ran = false;
  CancelScope scope;
  scope.cancel();
  EXPECT_FALSE(scope.run([&] { run_sync([&] { ran = true; }); }));
  EXPECT_FALSE(ran);
}

// trio: test_threads.py::test_run_in_worker_thread_cancellation
FIBER_TEST(ToThreadTest, AbandonedThreadFinishesAloneAndKeepsItsToken) {
  WEFT_NOT_SWEPT("its thread waits for what the body does later");
  CapacityLimiter limiter(1);
  const auto go = std::make_shared<std::binary_semaphore>(0);
  const auto finished = std::make_shared<std::atomic<bool>>(false);
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      scope.run([&] {
        run_sync(
            [go, finished] {
              go->acquire();
              finished->store(true);
            },
            {.abandon_on_cancel = true, .limiter = &limiter});
        ADD_FAILURE() << "not cancelled";
      });
    });
    while (limiter.borrowed_tokens() == 0) checkpoint();
    for (int i = 0; i < 3; ++i) checkpoint();
    scope.cancel();
  });
  EXPECT_TRUE(scope.cancelled_caught());
  EXPECT_FALSE(finished->load());
  EXPECT_EQ(limiter.borrowed_tokens(), 1U);
  go->release();
  // Ends when the thread has given its token back.
  limiter.acquire();
  EXPECT_TRUE(finished->load());
  limiter.release();
}

FIBER_TEST(ToThreadTest, AbandonedThreadMayOutliveItsLimiter) {
  WEFT_NOT_SWEPT("its thread waits for what the body does later");
  const auto go = std::make_shared<std::binary_semaphore>(0);
  {
    CapacityLimiter limiter(1);
    CancelScope scope;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        scope.run([&] {
          run_sync([go] { go->acquire(); }, {.abandon_on_cancel = true, .limiter = &limiter});
        });
      });
      while (limiter.borrowed_tokens() == 0) checkpoint();
      for (int i = 0; i < 3; ++i) checkpoint();
      scope.cancel();
    });
  }
  go->release();
  // Until the job is gone, and with it its share of `go`.
  while (go.use_count() > 1) checkpoint();
  EXPECT_EQ(go.use_count(), 1);
}

TEST(ToThreadTest, ALimiterThatOutlivesTheRunHasTheTokenOfAnAbandonedCallForTheNext) {
  CapacityLimiter limiter(1);
  const auto go = std::make_shared<std::binary_semaphore>(0);
  run([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        run_sync([go] { go->acquire(); }, {.abandon_on_cancel = true, .limiter = &limiter});
      });
      while (limiter.borrowed_tokens() == 0) checkpoint();
      for (int i = 0; i < 3; ++i) checkpoint();
      nursery.cancel_scope().cancel();
    });
    EXPECT_EQ(limiter.borrowed_tokens(), 1U);
  });
  EXPECT_EQ(limiter.borrowed_tokens(), 0U);
  run([&] { EXPECT_EQ(run_sync([] { return 7; }, {.limiter = &limiter}), 7); });
  go->release();
  while (go.use_count() > 1) std::this_thread::yield();
}

// trio: test_threads.py::test_run_in_worker_thread_abandoned
TEST(ToThreadTest, AbandonedThreadMayOutliveItsRun) {
  const auto go = std::make_shared<std::binary_semaphore>(0);
  const auto ended = std::make_shared<std::binary_semaphore>(0);
  run([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        run_sync(
            [go, ended] {
              go->acquire();
              ended->release();
            },
            {.abandon_on_cancel = true});
      });
      while (current_default_thread_limiter().borrowed_tokens() == 0) checkpoint();
      for (int i = 0; i < 3; ++i) checkpoint();
      nursery.cancel_scope().cancel();
    });
  });
  go->release();
  ended->acquire();
  while (go.use_count() > 1) std::this_thread::yield();
  // The same thread again, as the last that became idle: by now it has let go of the first run.
  EXPECT_EQ(run([] { return run_sync([] { return 5; }); }), 5);
}

// Twice as many calls as `limiter` has tokens. With `abandon` the first of them are abandoned while
// they run: a thread keeps its token until it has ended.
void expect_no_more_threads_than_tokens(CapacityLimiter& limiter, bool abandon) {
  struct Shared {
    std::atomic<int> running = 0, most = 0, ran = 0;
    std::counting_semaphore<> go{0};
  };
  const auto shared = std::make_shared<Shared>();
  const std::size_t most = limiter.total_tokens();
  CapacityLimiter* const named = &limiter == &current_default_thread_limiter() ? nullptr : &limiter;
  std::deque<CancelScope> scopes(2 * most);
  open_nursery([&](Nursery& nursery) {
    for (CancelScope& scope : scopes) {
      nursery.start_soon([&] {
        const auto work = [shared] {
          const int now = ++shared->running;
          for (int seen = shared->most; now > seen;) {
            if (shared->most.compare_exchange_weak(seen, now)) break;
          }
          shared->go.acquire();
          --shared->running;
          ++shared->ran;
        };
        scope.run([&] { run_sync(work, {.abandon_on_cancel = abandon, .limiter = named}); });
      });
    }
    while (shared->running < static_cast<int>(most)) checkpoint();
    for (std::size_t i = 0; abandon && i < most; ++i) scopes[i].cancel();
    for (int i = 0; i < 3; ++i) checkpoint();
    EXPECT_EQ(scopes.front().cancelled_caught(), abandon);
    EXPECT_EQ(limiter.statistics().tasks_waiting, most);
    shared->go.release(static_cast<std::ptrdiff_t>(scopes.size()));
  });
  while (limiter.borrowed_tokens() > 0) checkpoint();
  EXPECT_EQ(shared->most, static_cast<int>(most));
  EXPECT_EQ(shared->ran, static_cast<int>(scopes.size()));
}

// trio: test_threads.py::test_run_in_worker_thread_limiter
FIBER_TEST(ToThreadTest, NoMoreThreadsThanTokens) {
  WEFT_NOT_SHUFFLED("the first tasks have to have the tokens, whom it cancels");
  WEFT_NOT_SWEPT("its thread waits for what the body does later");
  WEFT_NOT_FAULT_SWEPT("hundreds of runs of it take minutes");
  for (const std::size_t most : {3U, 5U, 10U}) {
    for (const bool abandon : {false, true}) {
      CapacityLimiter limiter(most);
      expect_no_more_threads_than_tokens(limiter, abandon);
      current_default_thread_limiter().set_total_tokens(most);
      expect_no_more_threads_than_tokens(current_default_thread_limiter(), abandon);
    }
  }
}

// trio: test_threads.py::test_run_in_worker_thread_custom_limiter
FIBER_TEST(ToThreadTest, DefaultLimiterHasFortyTokensAndBelongsToTheRun) {
  CapacityLimiter& limiter = current_default_thread_limiter();
  EXPECT_EQ(limiter.total_tokens(), 40U);
  EXPECT_EQ(&limiter, &current_default_thread_limiter());
  limiter.set_total_tokens(1);
  std::size_t of_other_run = 0;
  run_sync([&] { run([&] { of_other_run = current_default_thread_limiter().total_tokens(); }); });
  EXPECT_EQ(of_other_run, 40U);
  EXPECT_EQ(limiter.total_tokens(), 1U);
}

FIBER_TEST(ToThreadTest, NextRunStartsWithAFreshLimiter) {
  EXPECT_EQ(current_default_thread_limiter().total_tokens(), 40U);
}

// trio: test_threads.py::test_named_thread
// trio: test_threads.py::test_named_thread_os
// trio: test_threads.py::test_has_pthread_setname_np
FIBER_TEST(ToThreadTest, ThreadIsNamed) {
  const auto name_in_thread = [] {
    std::array<char, 16> name{};
    pthread_getname_np(pthread_self(), name.data(), name.size());
    return std::string(name.data());
  };
  EXPECT_EQ(run_sync(name_in_thread, {.thread_name = "reader"}), "reader");
  EXPECT_EQ(run_sync(name_in_thread, {.thread_name = "a name that is too long"}),
            "a name that is ");
  EXPECT_EQ(run_sync(name_in_thread), "weft worker");
}

// trio: test_threads.py::test_run_in_worker_thread_limiter_error
FIBER_TEST(ToThreadTest, ATokenThatIsGivenBackBehindItsBackIsToldInTheEnd) {
  CapacityLimiter limiter(1);
  const auto give_back = [&limiter] {
    from_thread::run_sync(
        [&limiter] { limiter.release_on_behalf_of(limiter.statistics().borrowers.front()); });
  };
  EXPECT_THROW(run_sync(give_back, {.limiter = &limiter}), UsageError);
  EXPECT_EQ(limiter.borrowed_tokens(), 0U);
  EXPECT_EQ(limiter.available_tokens(), 1U);
  try {
    run_sync(
        [&] {
          give_back();
          throw std::out_of_range("the call's own");
        },
        {.limiter = &limiter});
    ADD_FAILURE() << "nothing was thrown";
  } catch (const UsageError& error) {
    EXPECT_THROW(std::rethrow_if_nested(error), std::out_of_range);
  }
  EXPECT_EQ(limiter.borrowed_tokens(), 0U);
}

// trio: test_threads.py::test_trio_to_thread_run_sync_contextvars
FIBER_TEST(ToThreadTest, TheCallHasACopyOfTheTasksVariables) {
  ContextVar<std::string> var("var");
  ContextVar<int> unset("unset");
  var.set("task");
  EXPECT_EQ(run_sync([&] { return var.get(); }), "task");
  EXPECT_EQ(run_sync([&] {
              EXPECT_EQ(unset.get(), std::nullopt);
              unset.set(1);
              var.set("worker");
              return *var.get() + std::to_string(*unset.get());
            }),
            "worker1");
  EXPECT_EQ(var.get(), "task");
  EXPECT_EQ(unset.get(), std::nullopt);
  // A run inside the thread is a run of its own.
  EXPECT_EQ(run_sync([&] { return run([&] { return var.get(); }); }), std::nullopt);
}

// trio: test_threads.py::test_worker_thread_context_not_leaked
FIBER_TEST(ToThreadTest, TheThreadKeepsNoValueBeyondTheCall) {
  ContextVar<std::shared_ptr<int>> var("var");
  auto value = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = value;
  var.set(std::move(value));
  run_sync([] {});
  var.set(nullptr);
  EXPECT_TRUE(watch.expired());
}

// In a process of its own, for it wants stacks that no system has.
// trio: test_threads.py::test_run_in_worker_thread_fail_to_spawn
TEST(ToThreadTest, AThreadThatCannotBeStartedIsSaidAndCostsNoToken) {
#ifdef WEFT_TSAN
  GTEST_SKIP() << "under TSan the child of a process with threads cannot start any";
#endif
  const pid_t child = ::fork();
  if (child == 0) {
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setstacksize(&attributes, std::size_t{1} << 46);
    ::pthread_setattr_default_np(&attributes);
    const bool as_wanted = run([] {
      CapacityLimiter& limiter = current_default_thread_limiter();
      try {
        run_sync([] {});
      } catch (const std::system_error&) {
        return limiter.borrowed_tokens() == 0;
      }
      return false;
    });
    ::_exit(as_wanted ? 7 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

// trio: test_threads.py::test_recursive_to_thread
FIBER_TEST(ToThreadTest, ThreadMayRunARunOfItsOwnThatUsesThreads) {
  const auto tid = run_sync(
      [] { return run([] { return run_sync([] { return std::this_thread::get_id(); }); }); });
  EXPECT_NE(tid, std::this_thread::get_id());
}

FIBER_TEST(ToThreadTest, WaitingForAThreadIsNoDeadlock) {
  EXPECT_EQ(run_sync([] {
              for (int i = 0; i < 10; ++i) std::this_thread::yield();
              return 1;
            }),
            1);
}

}  // namespace
}  // namespace weft::fibers
