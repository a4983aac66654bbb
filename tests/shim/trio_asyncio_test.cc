// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What trio-asyncio's own tests show and no other test of this folder does, in a loop of
// open_loop's.

#include <fcntl.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/shim/shim_test_support.h"
#include "tests/support/pipe.h"
#include "weft/fibers/capacity_limiter.h"
#include "weft/fibers/testing/mock_clock.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"
#include "weft/loop/async_generator.h"
#include "weft/loop/coro.h"
#include "weft/loop/sync_loop.h"
#include "weft/shim/shim.h"

namespace weft::shim {
namespace {

using namespace std::chrono_literals;
using fibers::current_time;
using fibers::sleep;
using fibers::UsageError;
using loop::Coro;
using test::Pipe;

using Log = std::vector<std::string>;

// --- Descriptors. ---

// trio-asyncio: aiotest/test_add_reader.py::test_add_reader
FIBER_TEST(LoopOfOpenLoopTest, ReadersAndWritersRemoveThemselves) {
  const test::SocketPair sockets;
  Log log;
  open_loop([&](EventLoop& loop) {
    loop.add_reader(sockets[0], [&] {
      log.emplace_back("read " + std::string(1, static_cast<char>(sockets.read(0))));
      EXPECT_TRUE(loop.remove_reader(sockets[0]));
    });
    loop.add_writer(sockets[1], [&] {
      sockets.write(1, 'x');
      log.emplace_back("written");
      EXPECT_TRUE(loop.remove_writer(sockets[1]));
    });
    sleep(1s);
  });
  EXPECT_EQ(log, (Log{"written", "read x"}));
}

// trio-asyncio: aiotest/test_add_reader.py::test_add_reader_replace
FIBER_TEST(LoopOfOpenLoopTest, ASecondReaderCancelsTheFirst) {
  const test::SocketPair sockets;
  open_loop([&](EventLoop& loop) {
    const auto first = loop.add_reader(sockets[0], [] { ADD_FAILURE(); });
    EXPECT_FALSE(first.cancelled());
    loop.add_reader(sockets[0], [] {});
    EXPECT_TRUE(first.cancelled());
    EXPECT_TRUE(loop.remove_reader(sockets[0]));
    EXPECT_FALSE(loop.remove_reader(sockets[0]));
  });
}

// trio-asyncio: aiotest/test_add_reader.py::test_add_writer_replace
FIBER_TEST(LoopOfOpenLoopTest, ASecondWriterCancelsTheFirst) {
  const test::SocketPair sockets;
  open_loop([&](EventLoop& loop) {
    const auto first = loop.add_writer(sockets[0], [] { ADD_FAILURE(); });
    loop.add_writer(sockets[0], [] {});
    EXPECT_TRUE(first.cancelled());
    EXPECT_TRUE(loop.remove_writer(sockets[0]));
    EXPECT_FALSE(loop.remove_writer(sockets[0]));
  });
}

// A copy of a descriptor, which somebody else may close.
struct Copy {
  explicit Copy(int of) : fd(::fcntl(of, F_DUPFD_CLOEXEC, 0)) {}
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;
  ~Copy() {
    if (is_open()) ::close(fd);
  }
  bool is_open() const { return ::fcntl(fd, F_GETFD) >= 0; }
  const int fd;
};

FIBER_TEST(AutocloseTest, ClosesAtTheEndWhatIsMarkedAndWatched) {
  const Pipe pipe;
  const Copy watched(pipe[0]);
  const Copy unwatched(pipe[0]);
  const Copy unmarked(pipe[0]);
  open_loop([&](EventLoop& loop) {
    for (const int fd : {watched.fd, unwatched.fd, unmarked.fd}) autoclose(loop, fd);
    loop.add_reader(watched.fd, [] {});
    loop.add_reader(unmarked.fd, [] {});
    no_autoclose(loop, unmarked.fd);
    EXPECT_THROW(no_autoclose(loop, unmarked.fd), UsageError);
  });
  EXPECT_FALSE(watched.is_open());
  EXPECT_TRUE(unwatched.is_open());
  EXPECT_TRUE(unmarked.is_open());
}

// --- Callbacks and timers. ---

// trio-asyncio: aiotest/test_callback.py::test_call_soon
// trio-asyncio: aiotest/test_callback.py::test_call_soon_control
FIBER_TEST(LoopOfOpenLoopTest, CallbacksRunBeforeTheStopThatFollowsAndNeverInsideTheCaller) {
  Log log;
  open_loop([&](EventLoop& loop) {
    loop.call_soon([&] {
      log.emplace_back("caller");
      loop.call_soon([&] {
        log.emplace_back("called");
        loop.stop();
      });
      log.emplace_back("caller goes on");
    });
    loop.wait_stopped();
    log.emplace_back("stopped");
  });
  EXPECT_EQ(log, (Log{"caller", "caller goes on", "called", "stopped"}));
}

// trio-asyncio: aiotest/test_callback.py::test_close
FIBER_TEST(LoopOfOpenLoopTest, AfterCloseEveryCallSaysSo) {
  open_loop([](EventLoop& loop) {
    loop.stop();
    loop.wait_stopped();
    loop.close();
    const auto says_closed = [](auto&& call) {
      try {
        call();
        ADD_FAILURE() << "took it";
      } catch (const UsageError& error) {
        EXPECT_EQ(std::string(error.what()).rfind("Event loop is closed", 0), 0U) << error.what();
      }
    };
    says_closed([&] { loop.main_loop(); });
    says_closed([&] { loop.call_soon([] {}); });
    says_closed([&] { loop.call_soon_threadsafe([] {}); });
    says_closed([&] { loop.call_later(1s, [] {}); });
    says_closed([&] { loop.call_at(loop.time(), [] {}); });
    says_closed([&] { loop.create_task([] {}); });
  });
}

// trio-asyncio: aiotest/test_timer.py::test_display_date
FIBER_TEST(LoopOfOpenLoopTest, ATimerMaySetTheNext) {
  std::vector<fibers::Duration> at;
  open_loop([&](EventLoop& loop) {
    const auto start = loop.time();
    const auto end = start + 200ms;
    std::function<void()> tick = [&] {
      at.push_back(loop.time() - start);
      if (loop.time() + 100ms >= end) return loop.stop();
      loop.call_later(100ms, tick);
    };
    loop.call_soon(tick);
    loop.wait_stopped();
  });
  EXPECT_EQ(at, (std::vector<fibers::Duration>{0ms, 100ms}));
}

// trio-asyncio: aiotest/test_timer.py::test_later_stop_later
FIBER_TEST(LoopOfOpenLoopTest, OfTwoTimersTheEarlierOneHasFiredInBetween) {
  Log log;
  open_loop([&](EventLoop& loop) {
    loop.call_later(100ms, [&] { log.emplace_back("first"); });
    loop.call_later(500ms, [&] {
      log.emplace_back("second");
      loop.stop();
    });
    sleep(300ms);
    EXPECT_EQ(log, (Log{"first"}));
    loop.wait_stopped();
  });
  EXPECT_EQ(log, (Log{"first", "second"}));
}

// trio-asyncio: interop/test_calls.py::test_call_at
FIBER_TEST(LoopOfOpenLoopTest, CallAtTakesTheLoopsOwnTime) {
  std::optional<fibers::Instant> fired;
  open_loop([&](EventLoop& loop) {
    EXPECT_EQ(loop.time(), current_time());
    loop.call_at(loop.time() + 100ms, [&] { fired = loop.time(); });
    sleep(1s);
    EXPECT_EQ(fired, current_time() - 900ms);
  });
}

// trio-asyncio: test_concurrent.py::test_same_task
FIBER_TEST(LoopOfOpenLoopTest, TwoLoopsOfOneTaskDoNotMix) {
  EventLoop* seen_by_one = nullptr;
  EventLoop* seen_by_two = nullptr;
  open_loop([&](EventLoop& one) {
    open_loop([&](EventLoop& two) {
      one.call_later(100ms, [&] { seen_by_one = current_loop(); });
      two.call_later(100ms, [&] { seen_by_two = current_loop(); });
      sleep(1s);
      EXPECT_EQ(seen_by_one, &one);
      EXPECT_EQ(seen_by_two, &two);
    });
  });
}

// --- Threads. ---

// trio-asyncio: aiotest/test_thread.py::test_ident
// trio-asyncio: aiotest/test_thread.py::test_run_twice
FIBER_TEST(TrioExecutorTest, CallsItsJobsInOtherThreads) {
  open_loop([](EventLoop& loop) {
    TrioExecutor executor;
    for (int i = 0; i < 2; ++i) {
      const auto there = run_aio_future(
          loop.run_in_executor(&executor, [] { return std::this_thread::get_id(); }));
      EXPECT_NE(there, std::this_thread::get_id());
    }
    EXPECT_TRUE(holds<Failure>(error_of(
        [&] { run_aio_future(loop.run_in_executor(&executor, [] { throw Failure("job"); })); })));
  });
}

// trio-asyncio: test_trio_asyncio.py::test_executor_limiter_deadlock
FIBER_TEST(TrioExecutorTest, AJobTakesOneToken) {
  fibers::CapacityLimiter limiter(1);
  open_loop([&](EventLoop& loop) {
    TrioExecutor executor({.limiter = &limiter, .thread_name_prefix = "job"});
    EXPECT_EQ(
        run_aio_future(loop.run_in_executor(&executor, [&] { return limiter.borrowed_tokens(); })),
        1U);
    TrioExecutor workers({.max_workers = 1});
    auto first = loop.run_in_executor(&workers, [] { return 1; });
    auto second = loop.run_in_executor(&workers, [] { return 2; });
    EXPECT_EQ(run_aio_future(second) + run_aio_future(first), 3);
  });
  EXPECT_EQ(limiter.borrowed_tokens(), 0U);
}

FIBER_TEST(TrioExecutorTest, AfterShutdownItRefusesJobs) {
  open_loop([](EventLoop& loop) {
    TrioExecutor executor;
    executor.shutdown();
    EXPECT_THROW(loop.run_in_executor(&executor, [] {}), UsageError);
  });
}

// A job that has begun is waited for; one that has not is dropped.
FIBER_TEST(TrioExecutorTest, TheEndOfTheBlockDropsWhatHasNotBegun) {
  TrioExecutor executor({.max_workers = 1});
  fibers::CapacityLimiter none(0);
  TrioExecutor never({.limiter = &none});
  loop::Future<int> dropped;
  bool ended = false;
  open_loop([&](EventLoop& loop) {
    static_cast<void>(loop.run_in_executor(&executor, [&] { ended = true; }));
    dropped = loop.run_in_executor(&never, [] { return 1; });
  });
  EXPECT_TRUE(ended);
  EXPECT_TRUE(dropped.cancelled());
}

// trio-asyncio: aiotest/test_thread.py::test_policy
FIBER_TEST(LoopOfOpenLoopTest, AnotherThreadHasNoLoop) {
  WEFT_NOT_ALLOCATION_SWEPT("its check in another thread says UsageError");
  open_loop([](EventLoop&) {
    fibers::to_thread::run_sync([] {
      EXPECT_EQ(current_loop(), nullptr);
      EXPECT_THROW(require_loop(), UsageError);
    });
  });
}

// trio-asyncio: aiotest/test_thread.py::test_run_in_thread
FIBER_TEST(LoopOfOpenLoopTest, ALoopOfAnotherThreadIsReachedByCallSoonThreadsafe) {
  WEFT_NOT_ALLOCATION_SWEPT("a thread of the test's own has nowhere to throw");
  EventLoop* theirs = nullptr;
  std::thread::id ran_in;
  fibers::to_thread::run_sync([&] {
    weft::run([&](EventLoop& loop) {
      theirs = &loop;
      std::thread([&] {
        loop.call_soon_threadsafe([&] {
          ran_in = std::this_thread::get_id();
          loop.stop();
        });
      }).join();
      loop.wait_stopped();
      EXPECT_EQ(ran_in, std::this_thread::get_id());
    });
  });
  EXPECT_NE(theirs, nullptr);
  EXPECT_NE(ran_in, std::this_thread::get_id());
}

// --- Both kinds of code in one object. ---

struct Thing {
  Log* log;
  // asyncio's, which calls Trio's.
  int ask(int n) const {
    log->push_back("ask " + std::string(current_async_library()));
    return await(run_trio([n, this] {
      log->push_back("answer " + std::string(current_async_library()));
      sleep(1s);
      return n + 1;
    }));
  }
  // Acquired and given back by each kind.
  void enter() const { log->push_back("enter " + std::string(current_async_library())); }
  void leave() const { log->push_back("leave " + std::string(current_async_library())); }
};

// trio-asyncio: interop/test_adapter.py::TestAdapt::test_asyncio_trio_adapted
// trio-asyncio: interop/test_adapter.py::TestAdapt::test_asyncio_trio_adapted_no_call
// trio-asyncio: interop/test_adapter.py::TestAdapt::test_trio_asyncio_adapted
FIBER_TEST(BothKindsTest, MethodsAreAdaptedBothWays) {
  Log log;
  const Thing thing{&log};
  open_loop([&](EventLoop& loop) {
    EXPECT_EQ(aio_as_trio(&Thing::ask)(thing, 1), 2);
    auto answer = loop.create_task([&] { return thing.ask(2); });
    EXPECT_EQ(aio_as_trio(loop::Future<int>(answer)), 3);
  });
  EXPECT_EQ(log, (Log{"ask asyncio", "answer trio", "ask asyncio", "answer trio"}));
}

// trio-asyncio: interop/test_adapter.py::TestAdapt::test_trio_asyncio_ctx
// trio-asyncio: interop/test_calls.py::test_call_asyncio_ctx
FIBER_TEST(BothKindsTest, AResourceOfAsynciosIsHeldByATask) {
  Log log;
  const Thing thing{&log};
  open_loop([&](EventLoop&) {
    aio_as_trio (&Thing::enter)(thing);
    log.push_back("hold " + std::string(current_async_library()));
    sleep(1s);
    aio_as_trio (&Thing::leave)(thing);
  });
  EXPECT_EQ(log, (Log{"enter asyncio", "hold trio", "leave asyncio"}));
}

// trio-asyncio: interop/test_adapter.py::TestAdapt::test_asyncio_trio_ctx
// trio-asyncio: interop/test_calls.py::test_call_trio_ctx
FIBER_TEST(BothKindsTest, AResourceOfTriosIsHeldByTheLoop) {
  Log log;
  const Thing thing{&log};
  open_loop([&](EventLoop& loop) {
    await(loop.create_task([&]() -> Coro<void> {
      auto entered = run_trio([&] { thing.enter(); });
      co_await entered;
      log.push_back("hold " + std::string(current_async_library()));
      co_await loop::sleep(1s);
      auto left = run_trio([&] { thing.leave(); });
      co_await left;
    }));
  });
  EXPECT_EQ(log, (Log{"enter trio", "hold asyncio", "leave trio"}));
}

// trio-asyncio: interop/test_calls.py::test_asyncio_trio_sync_error
FIBER_TEST(BothKindsTest, AnErrorThatATaskThrowsAtOnceIsThatOfItsFuture) {
  const auto original = std::make_exception_ptr(Failure("at once"));
  std::exception_ptr seen;
  open_loop([&](EventLoop& loop) {
    loop.call_soon([&] {
      seen = error_of([&] { await(run_trio([&] { std::rethrow_exception(original); })); });
    });
    sleep(1s);
    EXPECT_EQ(seen, original);
  });
}

// trio-asyncio's allow_asyncio: any task waits for whatever the loop has, without a word.
//
// trio-asyncio: interop/test_adapter.py::TestAllow::test_trio_asyncio
// trio-asyncio: interop/test_adapter.py::TestAllow::test_trio_asyncio_future
// trio-asyncio: interop/test_adapter.py::TestAllow::test_trio_asyncio_future_getter
// trio-asyncio: interop/test_adapter.py::TestAllow::test_trio_asyncio_adapted
// trio-asyncio: interop/test_adapter.py::TestAllow::test_trio_asyncio_iter
// trio-asyncio: interop/test_adapter.py::TestAllow::test_trio_asyncio_ctx
FIBER_TEST(BothKindsTest, ATaskWaitsForWhateverTheLoopHas) {
  open_loop([](EventLoop& loop) {
    auto future = loop.create_future<int>();
    const auto getter = [future] { return future; };
    loop.call_later(1s, [future]() mutable { future.set_result(1); });
    EXPECT_EQ(await(future) + await(getter()), 2);
    const auto coroutine = [future]() -> Coro<int> { co_return co_await future; };
    EXPECT_EQ(await(coroutine()), 1);
    const auto generator = [future]() -> loop::AsyncGenerator<int> {
      const int value = co_await future;
      co_yield value;
    };
    int sum = 0;
    for (const int value : generator()) sum += value;
    EXPECT_EQ(sum, 1);
    EXPECT_EQ(await(loop.create_task([&] { return await(future); })), 1);
  });
}

// trio-asyncio: interop/test_adapter.py::TestAllow::test_asyncio_trio
FIBER_TEST(BothKindsTest, CodeOfTheLoopWaitsForWhateverTasksWaitFor) {
  open_loop([](EventLoop& loop) {
    const auto start = current_time();
    const auto waited = await(loop.create_task([&] {
      sleep(1s);
      EXPECT_FALSE(fibers::move_on_after(1s, [] { fibers::sleep_forever(); }));
      return current_time() - start;
    }));
    EXPECT_EQ(waited, 2s);
  });
}

// --- Whose loop it is. ---

struct Connection {
  explicit Connection(EventLoop& of) : loop(of) {}
  int ask(int n) const {
    auto answer = loop.create_future<int>();
    loop.call_soon([answer, n]() mutable { answer.set_result(2 * n); });
    return await(answer);
  }
  EventLoop& loop;
};

// trio-asyncio: test_trio_asyncio.py::test_no_fixture
// trio-asyncio: test_trio_asyncio.py::test_half_fixtured_asyncpg_conn
// trio-asyncio: test_trio_asyncio.py::test_fixtured_asyncpg_conn
FIBER_TEST(BothKindsTest, AConnectionWorksWhereverItsLoopWasOpened) {
  open_loop([](EventLoop& loop) { EXPECT_EQ(Connection(loop).ask(1), 2); });
  const auto with_loop = [](const auto& body) { open_loop([&](EventLoop&) { body(); }); };
  with_loop([] { EXPECT_EQ(Connection(require_loop()).ask(2), 4); });
  const auto with_connection = [&](const auto& body) {
    open_loop([&](EventLoop& loop) {
      const Connection connection(loop);
      fibers::open_nursery(
          [&](fibers::Nursery& nursery) { nursery.start_soon([&] { body(connection); }); });
    });
  };
  with_connection([](const Connection& connection) { EXPECT_EQ(connection.ask(3), 6); });
}

// trio-asyncio: test_sync.py::test_explicit_mainloop
TEST(SyncLoopOfTrioAsyncioTest, RunsTwiceAndCloses) {
  loop::SyncLoop sync;
  EXPECT_EQ(sync.run_until_complete([]() -> Coro<int> { co_return 1; }), 1);
  EXPECT_EQ(sync.run_until_complete([] {
    sleep(1ms);
    return 2;
  }),
            2);
  sync.close();
  EXPECT_TRUE(sync.is_closed());
}

// trio-asyncio: test_trio_asyncio.py::test_system_exit
TEST(MainTest, TheBodysStatusIsThePrograms) {
  EXPECT_EQ(weft::main([](EventLoop& loop) { return await(loop.create_task([] { return 42; })); }),
            42);
}

}  // namespace
}  // namespace weft::shim
