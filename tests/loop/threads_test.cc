// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Between a loop and other threads: run_coroutine_threadsafe, wrap_future, to_thread.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/thread_event.h"
#include "weft/fibers/to_thread.h"
#include "weft/loop/concurrent_future.h"
#include "weft/loop/errors.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/gather.h"
#include "weft/loop/run_coroutine_threadsafe.h"
#include "weft/loop/sync_loop.h"
#include "weft/loop/to_thread.h"
#include "weft/loop/wrap_future.h"

namespace weft::loop {
namespace {

using fibers::ThreadEvent;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

Coro<int> add(int a, int b) {
  co_await sleep(0s);
  co_return a + b;
}

// In another thread, while the loop of the run goes on.
template <class F>
auto elsewhere(F&& fn) {
  return fibers::to_thread::run_sync(std::forward<F>(fn));
}

std::string message_of(const Future<int>& cancelled) {
  try {
    static_cast<void>(cancelled.result());
  } catch (const CancelledError& error) {
    return error.message();
  }
  return "not cancelled";
}

// --- run_coroutine_threadsafe. ---

// asyncio: test_tasks.py::RunCoroutineThreadsafeTests::test_run_coroutine_threadsafe
FIBER_TEST(RunCoroutineThreadsafeTest, ReturnsWhatTheCoroutineReturns) {
  WEFT_NOT_ALLOCATION_SWEPT("a loop without memory ends, and its thread waits for it");
  with_loop([](EventLoop& loop) {
    const int sum = elsewhere([&] {
      return run_coroutine_threadsafe(
                 []() -> Coro<int> {
                   co_await sleep(0s);
                   co_return 3;
                 },
                 loop)
          .result();
    });
    EXPECT_EQ(sum, 3);
    // A function, which then has a stack; nothing to return; nothing to copy.
    elsewhere([&] { run_coroutine_threadsafe([] { fibers::checkpoint(); }, loop).result(); });
    const auto moved = elsewhere([&] {
      return run_coroutine_threadsafe([] { return std::make_unique<int>(4); }, loop).result();
    });
    EXPECT_EQ(*moved, 4);
  });
}

// asyncio: test_tasks.py::RunCoroutineThreadsafeTests::test_run_coroutine_threadsafe_with_exception
FIBER_TEST(RunCoroutineThreadsafeTest, ThrowsWhatTheCoroutineThrows) {
  WEFT_NOT_ALLOCATION_SWEPT("a loop without memory ends, and its thread waits for it");
  with_loop([](EventLoop& loop) {
    // Outlives the thread: TSan does not see how the library counts exceptions.
    ConcurrentFuture<void> failed;
    const std::string text = elsewhere([&] {
      failed = run_coroutine_threadsafe(
          []() -> Coro<void> {
            co_await sleep(0s);
            throw std::runtime_error("Fail!");
          },
          loop);
      return thrown<std::runtime_error>([&] { failed.result(); });
    });
    EXPECT_EQ(text, "Fail!");
  });
}

// asyncio: test_tasks.py::RunCoroutineThreadsafeTests::test_run_coroutine_threadsafe_with_timeout
// asyncio: claims_futures::wrapped_futures_copy_state_and_cancel_both_ways
FIBER_TEST(RunCoroutineThreadsafeTest, CancellingTheFutureCancelsTheTask) {
  WEFT_NOT_ALLOCATION_SWEPT("a loop without memory ends, and its thread waits for it");
  with_loop([](EventLoop& loop) {
    const auto unwound = std::make_shared<ThreadEvent>();
    elsewhere([&] {
      struct Unwound {
        std::shared_ptr<ThreadEvent> event;
        ~Unwound() { event->set(); }
      };
      ConcurrentFuture<void> future = run_coroutine_threadsafe(
          [unwinding = Unwound{unwound}]() -> Coro<void> { co_await sleep(1h); }, loop);
      EXPECT_THROW(future.result(0s), TimeoutError);
      EXPECT_TRUE(future.cancel());
      EXPECT_TRUE(future.cancelled());
    });
    unwound->wait();
    loop.synchronize();
    EXPECT_TRUE(all_tasks(loop).empty());
  });
}

// asyncio: test_tasks.py::RunCoroutineThreadsafeTests::test_run_coroutine_threadsafe_task_cancelled
FIBER_TEST(RunCoroutineThreadsafeTest, ACancelledTaskCancelsTheFuture) {
  WEFT_NOT_ALLOCATION_SWEPT("a loop without memory ends, and its thread waits for it");
  with_loop([](EventLoop& loop) {
    const bool cancelled = elsewhere([&] {
      ConcurrentFuture<void> future = run_coroutine_threadsafe(
          []() -> Coro<void> {
            current_task().cancel();
            co_await sleep(0s);
          },
          loop);
      EXPECT_THROW(future.result(), CancelledError);
      return future.cancelled();
    });
    EXPECT_TRUE(cancelled);
  });
}

FIBER_TEST(RunCoroutineThreadsafeTest, ATaskThatCannotBeMadeIsTheFuturesError) {
  WEFT_NOT_FAULT_SWEPT("it counts the errors that the loop reports");
  struct ThrowsWhenMoved {
    ThrowsWhenMoved() = default;
    // NOLINTNEXTLINE(performance-noexcept-move-constructor): it throws.
    ThrowsWhenMoved(ThrowsWhenMoved&& other) : moves(other.moves + 1) {
      if (moves > 2) throw std::runtime_error("moved too often");
    }
    ThrowsWhenMoved& operator=(ThrowsWhenMoved&&) = delete;
    void operator()() const {}
    int moves = 0;
  };
  std::vector<std::string> reported;
  with_loop([&](EventLoop& loop) {
    loop.set_exception_handler(
        [&](EventLoop&, const ExceptionContext& context) { reported.push_back(context.message); });
    // Outlives the thread: TSan does not see how the library counts exceptions.
    ConcurrentFuture<void> failed;
    const std::string text = elsewhere([&] {
      failed = run_coroutine_threadsafe(ThrowsWhenMoved(), loop);
      return thrown<std::runtime_error>([&] { failed.result(); });
    });
    EXPECT_EQ(text, "moved too often");
  });
}

// asyncio: claims_futures::a_wrapped_future_tolerates_a_closed_loop
TEST(RunCoroutineThreadsafeOfSyncLoopTest, AClosedLoopCancelsWhatItHasNotDone) {
  SyncLoop loop;
  loop->set_exception_handler([](EventLoop&, const ExceptionContext&) {});
  EventLoop& inner = loop.loop();
  ConcurrentFuture<void> begun;
  ConcurrentFuture<int> waiting;
  std::thread([&] {
    begun = run_coroutine_threadsafe([] { fibers::sleep_forever(); }, inner);
  }).join();
  loop.run_once();
  std::thread([&] { waiting = run_coroutine_threadsafe([] { return 1; }, inner); }).join();
  loop.close();
  EXPECT_TRUE(begun.cancelled());
  EXPECT_TRUE(waiting.cancelled());
}

TEST(RunCoroutineThreadsafeOfSyncLoopTest, AThreadWaitsWhileTheLoopRuns) {
  SyncLoop loop;
  int sum = 0;
  std::thread other([&, &inner = loop.loop()] {
    sum = run_coroutine_threadsafe(add(20, 22), inner).result();
    inner.call_soon_threadsafe([&] { inner.stop(); });
  });
  loop.run_forever();
  other.join();
  EXPECT_EQ(sum, 42);
}

// Cancelled before the loop has looked: the body never runs.
TEST(RunCoroutineThreadsafeOfSyncLoopTest, CancelledAtOnceItDoesNotBegin) {
  SyncLoop loop;
  EventLoop& inner = loop.loop();
  std::thread([&] {
    EXPECT_TRUE(run_coroutine_threadsafe(
                    []() -> Coro<void> {
                      ADD_FAILURE();
                      co_return;
                    },
                    inner)
                    .cancel());
  }).join();
  loop.run_once();
  loop.run_once();
  EXPECT_TRUE(all_tasks(inner).empty());
}

// --- wrap_future. ---

// asyncio: test_futures.py::BaseFutureTests::test_wrap_future
// asyncio: claims_futures::wrapped_futures_copy_state_and_cancel_both_ways
// asyncio: test_futures.py::BaseFutureTests::test_copy_state
FIBER_TEST(WrapFutureTest, CopiesTheState) {
  with_loop([](EventLoop& loop) {
    auto value = ConcurrentFuture<std::string>::create();
    auto error = ConcurrentFuture<void>::create();
    auto cancelled = ConcurrentFuture<int>::create();
    Future<std::string> a = wrap_future(value, loop);
    Future<void> b = wrap_future(error, loop);
    Future<int> c = wrap_future(cancelled, loop);
    elsewhere([&] {
      value.set_result("done");
      error.set_exception(std::make_exception_ptr(std::runtime_error("failed")));
      cancelled.cancel();
    });
    EXPECT_EQ(await(a), "done");
    EXPECT_EQ(value.result(), "done");
    EXPECT_EQ(thrown<std::runtime_error>([&] { await(b); }), "failed");
    EXPECT_THROW(await(c), CancelledError);
    EXPECT_TRUE(c.cancelled());
  });
}

FIBER_TEST(WrapFutureTest, TakesOneThatIsDone) {
  with_loop([](EventLoop& loop) {
    auto done = ConcurrentFuture<std::unique_ptr<int>>::create();
    done.set_result(std::make_unique<int>(8));
    EXPECT_EQ(*await(wrap_future(std::move(done), loop)), 8);
  });
}

// asyncio: test_futures.py::BaseFutureTests::test_wrap_future_use_running_loop
// asyncio: test_futures.py::BaseFutureTests::test_wrap_future_without_loop
FIBER_TEST(WrapFutureTest, TakesTheRunningLoop) {
  auto source = ConcurrentFuture<int>::create();
  source.set_result(1);
  EXPECT_THAT(thrown<fibers::UsageError>([&] { wrap_future(source); }),
              HasSubstr("no running event loop"));
  with_loop([&](EventLoop& loop) {
    const int got = await(loop.create_task([&]() -> Coro<int> {
      Future<int> wrapped = wrap_future(source);
      EXPECT_EQ(&wrapped.get_loop(), &loop);
      co_return co_await wrapped;
    }));
    EXPECT_EQ(got, 1);
  });
}

// asyncio: test_futures.py::BaseFutureTests::test_wrap_future_cancel
FIBER_TEST(WrapFutureTest, CancellingItCancelsTheSource) {
  with_loop([](EventLoop& loop) {
    auto source = ConcurrentFuture<int>::create();
    Future<int> wrapped = wrap_future(source, loop);
    EXPECT_TRUE(wrapped.cancel("enough"));
    EXPECT_TRUE(source.cancelled());
    EXPECT_EQ(message_of(wrapped), "enough");
    EXPECT_FALSE(wrapped.cancel());
    loop.synchronize();
  });
}

// asyncio: test_futures.py::BaseFutureTests::test_wrap_future_cancel2
FIBER_TEST(WrapFutureTest, CancellingItLeavesASourceThatRuns) {
  with_loop([](EventLoop& loop) {
    auto source = ConcurrentFuture<int>::create();
    source.set_running_or_notify_cancel();
    Future<int> wrapped = wrap_future(source, loop);
    EXPECT_TRUE(wrapped.cancel());
    EXPECT_FALSE(source.cancelled());
    source.set_result(42);
    loop.synchronize();
    EXPECT_TRUE(wrapped.cancelled());
    EXPECT_EQ(source.result(), 42);
  });
}

// The future is kept for its callbacks until the source is done.
FIBER_TEST(WrapFutureTest, MayBeDroppedByItsMaker) {
  with_loop([](EventLoop& loop) {
    auto source = ConcurrentFuture<int>::create();
    int seen = 0;
    const auto note = [&](const Future<int>& done) { seen = done.result(); };
    wrap_future(source, loop).add_done_callback(note);
    elsewhere([&] { source.set_result(5); });
    loop.synchronize();
    loop.synchronize();
    EXPECT_EQ(seen, 5);
  });
}

// asyncio: claims_futures::a_wrapped_future_tolerates_a_closed_loop
TEST(WrapFutureOfSyncLoopTest, ToleratesAClosedLoop) {
  auto source = ConcurrentFuture<std::shared_ptr<int>>::create();
  const auto held = std::make_shared<int>(0);
  Future<std::shared_ptr<int>> kept;
  {
    SyncLoop loop;
    kept = wrap_future(source, loop.loop());
    wrap_future(source, loop.loop());  // Nobody wants this one.
    loop.run_once();
    loop.close();
  }
  std::thread([&] { source.set_result(held); }).join();
  EXPECT_FALSE(kept.done());
  source = {};
  kept = {};
  EXPECT_EQ(held.use_count(), 1);
}

// Threads end their futures while the loop closes: whatever comes first, nothing is lost or leaked.
TEST(WrapFutureOfSyncLoopTest, SurvivesALoopThatClosesMeanwhile) {
  for (int round = 0; round < 100; ++round) {
    auto source = ConcurrentFuture<std::shared_ptr<int>>::create();
    const auto held = std::make_shared<int>(round);
    std::jthread setter;
    {
      SyncLoop loop;
      Future<std::shared_ptr<int>> wrapped = wrap_future(source, loop.loop());
      setter = std::jthread([source, held]() mutable { source.set_result(held); });
      if (round % 2 == 0) loop.run_once();
    }
    setter.join();
    source = {};
    EXPECT_EQ(held.use_count(), 1);
  }
}

// --- to_thread. ---

// asyncio: test_threads.py::ToThreadTests::test_to_thread
// asyncio: test_threads.py::ToThreadTests::test_to_thread_once
FIBER_TEST(LoopToThreadTest, CallsTheFunctionOnceElsewhere) {
  with_loop([](EventLoop& loop) {
    int calls = 0;
    const auto there = await(loop.create_task([&]() -> Coro<std::thread::id> {
      co_return co_await to_thread([&] {
        ++calls;
        return std::this_thread::get_id();
      });
    }));
    EXPECT_NE(there, std::this_thread::get_id());
    EXPECT_EQ(calls, 1);
    // On a stack.
    auto value = std::make_unique<int>(6);
    EXPECT_EQ(await(loop.create_task(
                  [&] { return await(to_thread([value = std::move(value)] { return *value; })); })),
              6);
  });
}

// asyncio: test_threads.py::ToThreadTests::test_to_thread_exception
FIBER_TEST(LoopToThreadTest, ThrowsWhatTheFunctionThrows) {
  with_loop([](EventLoop& loop) {
    Task<void> task = loop.create_task(
        []() -> Coro<void> { co_await to_thread([] { throw std::runtime_error("test"); }); });
    EXPECT_EQ(thrown<std::runtime_error>([&] { await(task); }), "test");
  });
}

// asyncio: test_threads.py::ToThreadTests::test_to_thread_concurrent
FIBER_TEST(LoopToThreadTest, SeveralRunAtATime) {
  WEFT_NOT_ALLOCATION_SWEPT(
      "a loop without memory ends, and its threads wait for one that never comes");
  with_loop([](EventLoop& loop) {
    // Each waits for the last one, or for the end of the test.
    struct Meeting {
      ThreadEvent all_here;
      std::atomic<int> here = 0;
    };
    const auto meeting = std::make_shared<Meeting>();
    struct Breaks {
      Meeting& meeting;
      ~Breaks() { meeting.all_here.set(); }
    } const breaks{*meeting};
    const auto join = [meeting] {
      if (++meeting->here == 3) meeting->all_here.set();
      meeting->all_here.wait();
    };
    await(loop.create_task([&]() -> Coro<void> {
      co_await gather(to_thread(join), to_thread(join), to_thread(join));
    }));
    EXPECT_EQ(meeting->here, 3);
  });
}

// asyncio: test_threads.py::ToThreadTests::test_to_thread_contextvars
FIBER_TEST(LoopToThreadTest, BringsACopyOfTheContextVariables) {
  static fibers::ContextVar<std::string> parrot("parrot");
  with_loop([](EventLoop& loop) {
    const std::string there = await(loop.create_task([]() -> Coro<std::string> {
      parrot.set("dead");
      std::string value = co_await to_thread([] {
        std::string seen = parrot.get_or("none");
        parrot.set("sleeping");
        return seen;
      });
      EXPECT_EQ(parrot.get_or("none"), "dead");
      co_return value;
    }));
    EXPECT_EQ(there, "dead");
    // run_in_executor brings none.
    EXPECT_EQ(await(loop.run_in_executor(nullptr, [] { return parrot.get_or("none"); })), "none");
  });
}

FIBER_TEST(LoopToThreadTest, NeedsARunningLoop) {
  with_idle_loop(
      [](EventLoop&) { EXPECT_THROW(await(to_thread([] { return 1; })), fibers::UsageError); });
}

}  // namespace
}  // namespace weft::loop
