// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Executors, and what the loop does with them.

#include "weft/loop/executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/instrument.h"
#include "weft/fibers/thread_event.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/sync_loop.h"
#include "weft/loop/thread_pool_executor.h"

namespace weft::loop {
namespace {

using fibers::ThreadEvent;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

std::string thread_name() {
  std::array<char, 16> name{};
  ::pthread_getname_np(::pthread_self(), name.data(), name.size());
  return name.data();
}

// What a job waits for. It opens at the end, whatever has happened, and the job keeps the event.
struct Gate {
  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate() { event->set(); }
  auto waiter() const {
    return [event = event] { event->wait(); };
  }
  const std::shared_ptr<ThreadEvent> event = std::make_shared<ThreadEvent>();
};

// Opens the gate once the run has nothing to do but to wait for the thread.
struct Idle : fibers::Instrument {
  explicit Idle(std::shared_ptr<ThreadEvent> opens) : gate(std::move(opens)) {}
  void before_io_wait(fibers::Duration timeout) override {
    if (timeout != fibers::Duration::zero()) gate->set();
  }
  std::shared_ptr<ThreadEvent> gate;
};

// Keeps jobs until it is told to do them.
class Shelf final : public Executor {
 public:
  std::vector<Job> jobs;
  std::vector<std::pair<bool, bool>> shutdowns;  // wait, cancel_futures.

 private:
  void execute(Job job) override {
    if (!shutdowns.empty()) throw fibers::UsageError("the shelf is closed");
    jobs.push_back(std::move(job));
  }
  void shut_down(const ShutdownOptions& options) override {
    shutdowns.emplace_back(options.wait, options.cancel_futures);
  }
};

// --- ThreadPoolExecutor. ---

TEST(ThreadPoolExecutorTest, CallsFunctionsInItsThreads) {
  ThreadPoolExecutor pool({.max_workers = 1, .thread_name_prefix = "pool"});
  ConcurrentFuture<std::string> name = pool.submit([] { return thread_name(); });
  EXPECT_EQ(name.result(), "pool_0");
  auto value = std::make_unique<int>(3);
  ConcurrentFuture<std::unique_ptr<int>> moved =
      pool.submit([value = std::move(value)]() mutable { return std::move(value); });
  EXPECT_EQ(*std::move(moved).result(), 3);
  ConcurrentFuture<void> failed = pool.submit([] { throw std::runtime_error("failed"); });
  EXPECT_EQ(thrown<std::runtime_error>([&] { failed.result(); }), "failed");
}

TEST(ThreadPoolExecutorTest, HasNoMoreThreadsThanItMay) {
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  std::vector<ConcurrentFuture<void>> all;
  {
    ThreadPoolExecutor pool({.max_workers = 2});
    for (int i = 0; i < 50; ++i) {
      all.push_back(pool.submit([&] {
        const int now = ++inside;
        int seen = most;
        while (seen < now && !most.compare_exchange_weak(seen, now)) {
        }
        std::this_thread::yield();
        --inside;
      }));
    }
  }
  EXPECT_LE(most, 2);
  for (const auto& each : all) EXPECT_TRUE(each.done());
}

TEST(ThreadPoolExecutorTest, JobsBeginInTheirOrder) {
  std::vector<int> order;
  {
    ThreadPoolExecutor pool({.max_workers = 1});
    for (int i = 0; i < 20; ++i) pool.submit([&order, i] { order.push_back(i); });
  }
  ASSERT_EQ(order.size(), 20U);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(ThreadPoolExecutorTest, CancellingAQueuedJobDropsItsFunctionAtOnce) {
  ThreadPoolExecutor pool({.max_workers = 1});
  ThreadEvent gate;
  ConcurrentFuture<void> running = pool.submit([&] { gate.wait(); });
  const auto held = std::make_shared<int>(0);
  ConcurrentFuture<void> queued = pool.submit([held] { ADD_FAILURE(); });
  EXPECT_EQ(held.use_count(), 2);
  EXPECT_TRUE(queued.cancel());
  EXPECT_EQ(held.use_count(), 1);
  gate.set();
  running.result();
}

TEST(ThreadPoolExecutorTest, AJobsFunctionIsGoneWhenItsFutureIsDone) {
  ThreadPoolExecutor pool;
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = held;
  ConcurrentFuture<int> job = pool.submit([held = std::move(held)] { return *held; });
  EXPECT_EQ(job.result(), 1);
  EXPECT_TRUE(seen.expired());
}

TEST(ThreadPoolExecutorTest, ShutdownRefusesNewJobsAndDoesTheOld) {
  ThreadPoolExecutor pool({.max_workers = 1});
  ConcurrentFuture<int> first = pool.submit([] { return 1; });
  ConcurrentFuture<int> second = pool.submit([] { return 2; });
  pool.shutdown();
  EXPECT_TRUE(first.done());
  EXPECT_TRUE(second.done());
  EXPECT_THAT(thrown<fibers::UsageError>([&] { pool.submit([] {}); }),
              HasSubstr("cannot schedule new futures after shutdown"));
}

TEST(ThreadPoolExecutorTest, RefusesNewJobsAlsoWhileTheLastOneRuns) {
  ThreadPoolExecutor pool({.max_workers = 1});
  ThreadEvent gate;
  ConcurrentFuture<void> last = pool.submit([&] { gate.wait(); });
  pool.shutdown({.wait = false});
  EXPECT_THAT(thrown<fibers::UsageError>([&] { pool.submit([] {}); }),
              HasSubstr("cannot schedule new futures after shutdown"));
  gate.set();
  last.result();
}

TEST(ThreadPoolExecutorTest, ShutdownMayCancelWhatHasNotBegun) {
  ThreadPoolExecutor pool({.max_workers = 1});
  ThreadEvent gate;
  ThreadEvent began;
  ConcurrentFuture<int> running = pool.submit([&] {
    began.set();
    gate.wait();
    return 1;
  });
  began.wait();
  ConcurrentFuture<void> queued = pool.submit([] { ADD_FAILURE(); });
  pool.shutdown({.wait = false, .cancel_futures = true});
  EXPECT_TRUE(queued.cancelled());
  EXPECT_TRUE(running.running());
  gate.set();
  pool.shutdown();
  EXPECT_EQ(running.result(), 1);
}

TEST(ThreadPoolExecutorTest, AJobCannotWaitForItsOwnExecutor) {
  ThreadPoolExecutor pool;
  ConcurrentFuture<std::string> text =
      pool.submit([&] { return thrown<fibers::UsageError>([&] { pool.shutdown(); }); });
  EXPECT_THAT(text.result(), HasSubstr("cannot join current thread"));
}

FIBER_TEST(ThreadPoolExecutorInTaskTest, ItsDestructorSuspendsTheTaskAlone) {
  WEFT_NOT_ALLOCATION_SWEPT("the other task opens the gate that this one waits for");
  WEFT_NOT_FAULT_SWEPT("the other task opens the gate that this one waits for");
  ThreadEvent gate;
  bool done = false;
  fibers::open_nursery([&](fibers::Nursery& nursery) {
    nursery.start_soon([&] { gate.set(); });
    ThreadPoolExecutor pool;
    pool.submit([&] {
      gate.wait();
      done = true;
    });
  });
  EXPECT_TRUE(done);
}

// --- Executors of the user's. ---

TEST(ExecutorTest, AJobThatIsDroppedIsCancelled) {
  Shelf shelf;
  ConcurrentFuture<int> dropped = shelf.submit([] { return 1; });
  ConcurrentFuture<int> called = shelf.submit([] { return 2; });
  shelf.jobs[1]();
  shelf.jobs.clear();
  EXPECT_TRUE(dropped.cancelled());
  EXPECT_EQ(called.result(), 2);
}

TEST(ExecutorTest, ACancelledJobDoesNothing) {
  Shelf shelf;
  ConcurrentFuture<void> job = shelf.submit([] { ADD_FAILURE(); });
  EXPECT_TRUE(job.cancel());
  shelf.jobs[0]();
  shelf.jobs[0]();  // Nor if it is called again.
  EXPECT_TRUE(job.cancelled());
}

// --- run_in_executor. ---

// asyncio: test_events.py::EventLoopTestsMixin::test_run_in_executor
FIBER_TEST(RunInExecutorTest, ReturnsWhatTheFunctionReturns) {
  with_loop([](EventLoop& loop) {
    const auto here = std::this_thread::get_id();
    const auto there =
        await(loop.run_in_executor(nullptr, [] { return std::this_thread::get_id(); }));
    EXPECT_NE(here, there);
    EXPECT_THAT(await(loop.run_in_executor(nullptr, [] { return thread_name(); })),
                HasSubstr("asyncio_"));
    Future<void> failed = loop.run_in_executor(nullptr, [] { throw std::runtime_error("failed"); });
    EXPECT_EQ(thrown<std::runtime_error>([&] { await(failed); }), "failed");
    auto value = std::make_unique<int>(3);
    EXPECT_EQ(*await(loop.run_in_executor(
                  nullptr, [value = std::move(value)]() mutable { return std::move(value); })),
              3);
  });
}

FIBER_TEST(RunInExecutorTest, IsTheSameForCoroutinesAndCallbacks) {
  with_loop([](EventLoop& loop) {
    Task<int> coroutine = loop.create_task([&]() -> Coro<int> {
      const int half = co_await loop.run_in_executor(nullptr, [] { return 21; });
      co_return 2 * half;
    });
    EXPECT_EQ(await(coroutine), 42);
    int seen = 0;
    Future<int> job = loop.run_in_executor(nullptr, [] { return 7; });
    const auto note = [&](const Future<int>& done) { seen = done.result(); };
    job.add_done_callback(note);
    wait(job);
    loop.synchronize();
    EXPECT_EQ(seen, 7);
  });
}

// A clock that jumps waits for the thread.
FIBER_TEST(RunInExecutorTest, VirtualTimeWaitsForTheFunction) {
  const Gate gate;
  with_loop([&](EventLoop& loop) {
    const fibers::Instant begun = fibers::current_time();
    Future<void> job = loop.run_in_executor(nullptr, gate.waiter());
    fibers::add_instrument(std::make_shared<Idle>(gate.event));
    const bool in_time = fibers::move_on_after(300s, [&] { await(job); });
    EXPECT_TRUE(in_time);
    EXPECT_EQ(fibers::current_time(), begun);
  });
}

// asyncio: test_events.py::EventLoopTestsMixin::test_run_in_executor_cancel
FIBER_TEST(RunInExecutorTest, CancellingARunningJobOnlyMarksTheFuture) {
  WEFT_NOT_ALLOCATION_SWEPT("its job waits for what the body does later");
  WEFT_NOT_FAULT_SWEPT("its job waits for what the body does later");
  WEFT_NOT_SWEPT("its job waits for what the body does later");
  ThreadEvent began;
  ThreadEvent gate;
  ThreadEvent ended;
  with_loop([&](EventLoop& loop) {
    Future<void> job = loop.run_in_executor(nullptr, [&] {
      began.set();
      gate.wait();
      ended.set();
    });
    began.wait();
    EXPECT_TRUE(job.cancel());
    EXPECT_TRUE(job.cancelled());
    gate.set();
    ended.wait();
  });
}

FIBER_TEST(RunInExecutorTest, CancellingAQueuedJobRemovesIt) {
  Shelf shelf;
  with_loop([&](EventLoop& loop) {
    const auto held = std::make_shared<int>(0);
    Future<void> job = loop.run_in_executor(&shelf, [held] { ADD_FAILURE(); });
    EXPECT_TRUE(job.cancel());
    EXPECT_EQ(held.use_count(), 1);
    for (Executor::Job& each : shelf.jobs) each();
  });
}

FIBER_TEST(RunInExecutorTest, TakesExecutorsOfTheUsers) {
  Shelf shelf;
  with_loop([&](EventLoop& loop) {
    Future<int> called = loop.run_in_executor(&shelf, [] { return 1; });
    Future<int> dropped = loop.run_in_executor(&shelf, [] { return 2; });
    ASSERT_EQ(shelf.jobs.size(), 2U);
    shelf.jobs[0]();
    shelf.jobs.clear();
    EXPECT_EQ(await(called), 1);
    EXPECT_THROW(await(dropped), CancelledError);
  });
}

FIBER_TEST(RunInExecutorTest, AJobThatIsRefusedLeavesNothingBehind) {
  Shelf shelf;
  with_loop([&](EventLoop& loop) {
    shelf.shutdown();
    EXPECT_THAT(thrown<fibers::UsageError>([&] { loop.run_in_executor(&shelf, [] {}); }),
                HasSubstr("the shelf is closed"));
  });
}

// asyncio: test_base_events.py::BaseEventLoopTests::test_set_default_executor
// asyncio: test_base_events.py::BaseEventLoopTests::test_set_default_executor_error
FIBER_TEST(RunInExecutorTest, SetDefaultExecutorReplacesIt) {
  const auto shelf = std::make_shared<Shelf>();
  with_loop([&](EventLoop& loop) {
    EXPECT_THAT(thrown<fibers::UsageError>([&] { loop.set_default_executor(nullptr); }),
                HasSubstr("executor must be"));
    loop.set_default_executor(shelf);
    Future<int> job = loop.run_in_executor(nullptr, [] { return 1; });
    shelf->jobs.at(0)();
    EXPECT_EQ(await(job), 1);
  });
  // The end of the loop does not wait.
  EXPECT_THAT(shelf->shutdowns, ElementsAre(std::pair(false, false)));
}

FIBER_TEST(RunInExecutorTest, ReplacingTheLoopsOwnExecutorDoesNotWaitForItsJobs) {
  const Gate gate;
  with_loop([&](EventLoop& loop) {
    Future<void> job = loop.run_in_executor(nullptr, gate.waiter());
    fibers::add_instrument(std::make_shared<Idle>(gate.event));
    loop.set_default_executor(std::make_shared<Shelf>());
    EXPECT_FALSE(gate.event->is_set());
    gate.event->set();
    await(job);
  });
}

// asyncio: claims_running::close_does_not_wait_for_the_executor
TEST(LoopExecutorTest, ClosingDoesNotWaitForJobs) {
  ThreadEvent gate;
  ThreadEvent ended;
  auto result = std::make_shared<int>(0);
  Future<std::shared_ptr<int>> job;
  {
    SyncLoop loop;
    job = loop->run_in_executor(nullptr, [&, result]() mutable {
      gate.wait();
      ended.set();
      return result;
    });
    loop.run_once();
    loop.close();
    EXPECT_FALSE(job.done());
  }
  // The job ends when there is no loop any more: nothing comes of it.
  gate.set();
  ended.wait();
  EXPECT_FALSE(job.done());
}

FIBER_TEST(LoopExecutorTest, ClosedLoopRefuses) {
  with_idle_loop([](EventLoop& loop) {
    loop.close();
    EXPECT_THAT(thrown<fibers::UsageError>([&] { loop.run_in_executor(nullptr, [] {}); }),
                HasSubstr("Event loop is closed"));
    EXPECT_THROW(loop.set_default_executor(std::make_shared<Shelf>()), fibers::UsageError);
  });
}

FIBER_TEST(LoopExecutorTest, ShutdownWaitsForTheJobsAndRefusesNewOnes) {
  const Gate gate;
  with_loop([&](EventLoop& loop) {
    Future<void> job = loop.run_in_executor(nullptr, gate.waiter());
    Task<void> shutdown = loop.create_task(loop.shutdown_default_executor());
    for (int i = 0; i < 10; ++i) loop.synchronize();
    EXPECT_FALSE(shutdown.done());
    EXPECT_FALSE(job.done());
    gate.event->set();
    await(shutdown);
    loop.synchronize();
    EXPECT_TRUE(job.done());
    EXPECT_THAT(thrown<fibers::UsageError>([&] { loop.run_in_executor(nullptr, [] {}); }),
                HasSubstr("Executor shutdown has been called"));
    await(loop.shutdown_default_executor());
    // Others still work.
    ThreadPoolExecutor pool;
    EXPECT_EQ(await(loop.run_in_executor(&pool, [] { return 2; })), 2);
  });
}

FIBER_TEST(LoopExecutorTest, ShutdownWithoutAnExecutorIsDoneAtOnce) {
  with_loop([](EventLoop& loop) {
    await(loop.shutdown_default_executor());
    EXPECT_THROW(loop.run_in_executor(nullptr, [] {}), fibers::UsageError);
  });
}

// asyncio: test_base_events.py::BaseEventLoopTests::test_shutdown_default_executor_timeout
FIBER_TEST(LoopExecutorTest, ShutdownWaitsNoLongerThanItsTimeout) {
  WEFT_NOT_ALLOCATION_SWEPT("its job waits for what the body does later");
  WEFT_NOT_FAULT_SWEPT("its job waits for what the body does later");
  WEFT_NOT_SWEPT("its job waits for what the body does later");
  ThreadEvent gate;
  const auto pool = std::make_shared<ThreadPoolExecutor>();
  with_loop([&](EventLoop& loop) {
    CapturedLog log;
    loop.set_default_executor(pool);
    Future<void> job = loop.run_in_executor(nullptr, [&] { gate.wait(); });
    job.cancel();
    // At once, or the clock would wait for the job.
    await(loop.shutdown_default_executor(0s));
    ASSERT_EQ(log.lines.size(), 1U);
    EXPECT_THAT(log.lines[0],
                HasSubstr("The executor did not finish joining its threads within 0 seconds"));
    gate.set();
  });
  pool->shutdown();
}

class SyncLoopExecutorTest : public ::testing::TestWithParam<CallbackStack> {};

TEST_P(SyncLoopExecutorTest, JobsComeBackToTheLoop) {
  SyncLoop loop({.callback_stack = GetParam()});
  EXPECT_EQ(loop.run_until_complete(loop->run_in_executor(nullptr, [] { return 1; })), 1);
  Task<int> sum = loop->create_task([&]() -> Coro<int> {
    int total = 0;
    for (int i = 0; i < 10; ++i) {
      total += co_await loop->run_in_executor(nullptr, [i] { return i; });
    }
    co_return total;
  });
  EXPECT_EQ(loop.run_until_complete(sum), 45);
  loop.run_until_complete(loop->create_task(loop->shutdown_default_executor()));
}

INSTANTIATE_TEST_SUITE_P(Stacks, SyncLoopExecutorTest,
                         ::testing::Values(CallbackStack::kTask, CallbackStack::kCaller));

}  // namespace
}  // namespace weft::loop
