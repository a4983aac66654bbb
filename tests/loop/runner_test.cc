// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/thread_event.h"
#include "weft/loop/async_generator.h"
#include "weft/loop/errors.h"
#include "weft/loop/sync_loop.h"
#include "weft/loop/timeout.h"

namespace weft::loop {
namespace {

using fibers::KeyboardInterrupt;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

// 1 if it was cancelled.
Coro<int> cleans_up() {
  int cleaned = 0;
  try {
    co_await sleep(1000s);
  } catch (const CancelledError&) {
    cleaned = 1;
  }
  co_return cleaned;
}

struct SetAtEnd {
  bool& flag;
  ~SetAtEnd() { flag = true; }
};

AsyncGenerator<int> numbers(bool& ended) {
  const SetAtEnd at_end{ended};
  co_yield 1;
  co_yield 2;
}

void (*interrupt_action())(int) {
  struct sigaction present {};
  ::sigaction(SIGINT, nullptr, &present);
  return present.sa_handler;
}

// --- run. ---

// asyncio: test_runners.py::RunTests::test_asyncio_run_return
TEST(RunTest, ReturnsWhatTheMainTaskReturns) {
  EXPECT_EQ(run(answer()), 42);
  EXPECT_EQ(run([] { return await(answer()) + 1; }), 43);  // With a stack.
  EXPECT_EQ(*run([] { return std::make_unique<int>(5); }), 5);
  bool ran = false;
  run([&]() -> Coro<void> {
    co_await sleep(0s);
    ran = true;
  });
  EXPECT_TRUE(ran);
}

// asyncio: test_runners.py::RunTests::test_asyncio_run_raises
TEST(RunTest, ThrowsWhatTheMainTaskThrows) {
  const auto fails = []() -> Coro<void> {
    co_await sleep(0s);
    throw std::runtime_error("spam");
  };
  EXPECT_EQ(thrown<std::runtime_error>([&] { run(fails()); }), "spam");
}

template <class A>
concept MayBeRun = requires(Runner& runner, A main) {
  runner.run(std::move(main));
};
// asyncio: test_runners.py::RunTests::test_asyncio_run_only_coro
// asyncio: test_runners.py::RunnerTests::test_run_non_coro
// asyncio: test_runners.py::RunnerTests::test_run_future
static_assert(MayBeRun<Coro<int>> && !MayBeRun<int> && !MayBeRun<Future<int>> &&
              !MayBeRun<Task<int>>);

// asyncio: test_runners.py::RunTests::test_asyncio_run_debug
// asyncio: test_runners.py::RunnerTests::test_debug
// asyncio: test_runners.py::RunnerTests::test_non_debug
TEST(RunTest, SetsDebugModeIfItIsAsked) {
  const auto debugs = [] { return get_running_loop().get_debug(); };
  EXPECT_FALSE(run(debugs));
  EXPECT_TRUE(run(debugs, {.debug = true}));
  EXPECT_FALSE(run(debugs, {.debug = false}));
}

// asyncio: test_runners.py::RunTests::test_asyncio_run_from_running_loop
// asyncio: claims_running::a_nested_run_is_refused_with_both_messages
TEST(RunTest, IsRefusedInsideARunningLoop) {
  run([] {
    EXPECT_THAT(thrown<fibers::UsageError>([] { run([] {}); }),
                HasSubstr("asyncio.run() cannot be called from a running event loop"));
  });
}

// asyncio: test_runners.py::RunTests::test_asyncio_run_cancels_hanging_tasks
TEST(RunTest, CancelsTasksThatAreLeft) {
  std::vector<std::string> log;
  const auto hangs = [&]() -> Coro<void> {
    struct Left {
      std::vector<std::string>& log;
      ~Left() { log.emplace_back("left"); }
    } const left{log};
    co_await sleep(1000s);
  };
  Task<void> task;
  run([&]() -> Coro<void> {
    task = get_running_loop().create_task(hangs());
    co_await sleep(0s);
    log.emplace_back("main");
  });
  EXPECT_THAT(log, ElementsAre("main", "left"));
  EXPECT_TRUE(task.cancelled());
}

// asyncio: test_runners.py::RunTests::test_asyncio_run_reports_hanging_tasks_errors
TEST(RunTest, ReportsTheErrorsOfTasksThatAreLeft) {
  std::vector<std::string> reported;
  run([&]() -> Coro<void> {
    EventLoop& loop = get_running_loop();
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
      reported.push_back(context.message + ": " + fibers::describe_exception(context.exception));
    });
    loop.create_task([]() -> Coro<void> {
      bool cancelled = false;
      try {
        co_await sleep(1000s);
      } catch (const CancelledError&) {
        cancelled = true;
      }
      if (cancelled) throw std::runtime_error("while it was cancelled");
    });
    co_await sleep(0s);
  });
  ASSERT_EQ(reported.size(), 1U);
  EXPECT_THAT(reported[0], HasSubstr("unhandled exception during asyncio.run() shutdown"));
  EXPECT_THAT(reported[0], HasSubstr("while it was cancelled"));
}

// What is left unwinds in asyncio's order: tasks, then the executor, which is waited for, then the
// loop is closed.
//
// asyncio: claims_running::run_tears_down_in_order
TEST(RunTest, TearsDownInOrder) {
  std::vector<std::string> log;
  fibers::ThreadEvent gate;
  run([&]() -> Coro<void> {
    EventLoop& loop = get_running_loop();
    loop.create_task([&]() -> Coro<void> {
      struct Left {
        std::vector<std::string>& log;
        EventLoop& loop;
        fibers::ThreadEvent& gate;
        ~Left() {
          log.emplace_back(loop.is_closed() ? "closed too early" : "task");
          gate.set();
        }
      } const left{log, loop, gate};
      co_await sleep(1000s);
    });
    loop.run_in_executor(nullptr, [&] {
      gate.wait();
      log.emplace_back("job");
    });
    loop.call_later(1000s, [keep = std::shared_ptr<void>(
                                nullptr, [&](void*) { log.emplace_back("loop"); })] {});
    co_await sleep(0s);
    log.emplace_back("main");
  });
  EXPECT_THAT(log, ElementsAre("main", "task", "job", "loop"));
}

// A round of cancellations, and no more: a task that comes anew at each could else never end.
TEST(RunTest, ATaskThatIsStartedWhileOthersAreCancelledIsReportedAndGoes) {
  bool begun = false;
  bool gone = false;
  const CapturedLog logged;
  const auto late = [&]() -> Coro<void> {
    const SetAtEnd at_end{gone};
    begun = true;
    co_await sleep(1000s);
  };
  const auto restarts = [&]() -> Coro<void> {
    bool cancelled = false;
    try {
      co_await sleep(1000s);
    } catch (const CancelledError&) {
      cancelled = true;
    }
    if (cancelled) get_running_loop().create_task(late);
  };
  run([&]() -> Coro<void> {
    get_running_loop().create_task(restarts);
    co_await sleep(0s);
  });
  EXPECT_TRUE(begun);
  EXPECT_TRUE(gone);
  EXPECT_THAT(logged.lines, ElementsAre(HasSubstr("Task was destroyed but it is pending!")));
}

// asyncio: test_runners.py::RunTests::test_asyncio_run_without_uncancel
TEST(RunTest, AMainTaskThatIsCancelledThrowsCancelledError) {
  EXPECT_THROW(run([]() -> Coro<void> {
                 current_task().cancel();
                 co_await sleep(0s);
               }),
               CancelledError);
}

// asyncio: test_runners.py::RunTests::test_asyncio_run_loop_factory
// asyncio: test_runners.py::RunnerTests::test_custom_factory
TEST(RunTest, TakesTheLoopOfItsFactory) {
  SyncLoop* made = nullptr;
  const auto factory = [&made] {
    auto loop =
        std::make_unique<SyncLoop>(EventLoopOptions{.callback_stack = CallbackStack::kCaller});
    made = loop.get();
    return loop;
  };
  EventLoop* ran_in =
      run([&] { return &get_running_loop() == &made->loop() ? running_loop() : nullptr; },
          {.loop_factory = factory});
  EXPECT_NE(ran_in, nullptr);
  EXPECT_THROW(run([] {}, {.loop_factory = [] { return std::unique_ptr<SyncLoop>(); }}),
               fibers::UsageError);
}

// asyncio: test_runners.py::RunTests::test_loop_factory_default_event_loop
TEST(RunTest, AFactoryMayMakeTheLoopThatThereIsWithoutOne) {
  std::shared_ptr<SyncLoop> made;
  const auto factory = [&made] { return made = std::make_shared<SyncLoop>(); };
  EXPECT_TRUE(run([&] { return &get_running_loop() == &made->loop() && await(answer()) == 42; },
                  {.loop_factory = factory}));
  EXPECT_TRUE(made->is_closed());
}

// --- Runner. ---

// Whatever it meets on the way.
TEST(RunnerTest, ClosesALoopThatOthersLookAtToo) {
  auto loop = std::make_shared<SyncLoop>();
  Runner runner({.loop_factory = [&loop] { return loop; }});
  runner.run([]() -> Coro<void> {
    get_running_loop().create_task([]() -> Coro<void> {
      try {
        co_await sleep(1000s);
      } catch (const CancelledError&) {
        get_running_loop().call_soon([] { throw KeyboardInterrupt(); });
      }
    });
    co_await sleep(0s);
  });
  EXPECT_THROW(runner.close(), KeyboardInterrupt);
  EXPECT_TRUE(loop->is_closed());
}

// asyncio: test_runners.py::RunnerTests::test_run
TEST(RunnerTest, RunsSeveralTimesInOneLoop) {
  Runner runner;
  EventLoop* const first = runner.run([] { return running_loop(); });
  EXPECT_EQ(&runner.get_loop().loop(), first);
  EXPECT_EQ(runner.run([] { return running_loop(); }), first);
  EXPECT_EQ(runner.run(answer()), 42);
}

// asyncio: test_runners.py::RunnerTests::test_explicit_close
// asyncio: test_runners.py::RunnerTests::test_double_close
// asyncio: test_runners.py::RunnerTests::test_second_with_block_raises
TEST(RunnerTest, RefusesToRunOnceItIsClosed) {
  Runner runner;
  static_cast<void>(runner.get_loop());
  runner.close();
  EXPECT_THAT(thrown<fibers::UsageError>([&] { runner.get_loop(); }),
              HasSubstr("Runner is closed"));
  EXPECT_THAT(thrown<fibers::UsageError>([&] { runner.run([] {}); }),
              HasSubstr("Runner is closed"));
  runner.close();
}

// asyncio: test_runners.py::RunTests::test_asyncio_run_closes_gens_after_hanging_tasks_errors
TEST(RunnerTest, ClosesTheGeneratorsThatHaveNotEnded) {
  bool ended = false;
  AsyncGenerator<int> left = numbers(ended);
  {
    Runner runner;
    EXPECT_EQ(*runner.run(left.next()), 1);
    EXPECT_FALSE(ended);
  }
  EXPECT_TRUE(ended);
}

// asyncio: test_runners.py::RunnerTests::test_run_keeps_context
TEST(RunnerTest, KeepsTheContextBetweenRuns) {
  static fibers::ContextVar<int> cvar("cvar");
  const auto exchange = [](int next) -> Coro<int> {
    const int before = cvar.get_or(-1);
    cvar.set(next);
    co_await sleep(0s);
    co_return before;
  };
  Runner runner;
  EXPECT_EQ(runner.run(exchange(1)), -1);
  EXPECT_EQ(runner.run(exchange(2)), 1);
  EXPECT_EQ(runner.run([] { return cvar.get_or(-1); }), 2);
  EXPECT_EQ(cvar.get_or(-1), -1);
}

// asyncio: test_runners.py::RunnerTests::test_recursive_run
TEST(RunnerTest, IsRefusedInsideItself) {
  Runner runner;
  runner.run([&] {
    EXPECT_THAT(thrown<fibers::UsageError>([&] { runner.run([] {}); }),
                HasSubstr("Runner.run() cannot be called from a running event loop"));
  });
}

TEST(RunnerTest, AnInterruptOfTheProgramsConsumesTheTasksError) {
  CapturedLog log;
  {
    Runner runner;
    EXPECT_THROW(runner.run([]() -> Coro<void> {
      get_running_loop().call_soon([] { throw KeyboardInterrupt(); });
      throw std::runtime_error("of the task");
      co_return;
    }),
                 KeyboardInterrupt);
  }
  EXPECT_THAT(log.lines, ::testing::IsEmpty());
}

// --- Ctrl-C. ---

// asyncio: test_runners.py::RunnerTests::test_interrupt_wait
// asyncio: claims_running::ctrl_c_cancels_the_main_task_first
TEST(RunnerInterruptTest, CancelsTheMainTaskAndWhatItAwaits) {
  const auto before = interrupt_action();
  {
    Runner runner;
    Future<void> awaited = runner.get_loop()->create_future<void>();
    bool unwound = false;
    runner.get_loop()->call_soon([] { ::raise(SIGINT); });
    EXPECT_THROW(runner.run([&]() -> Coro<void> {
      struct Unwound {
        bool& flag;
        ~Unwound() { flag = true; }
      } const unwinding{unwound};
      co_await awaited;
    }),
                 KeyboardInterrupt);
    EXPECT_TRUE(awaited.cancelled());
    EXPECT_TRUE(unwound);
    // The next run is none the worse.
    EXPECT_EQ(runner.run(answer()), 42);
  }
  EXPECT_EQ(interrupt_action(), before);
}

// asyncio: test_runners.py::RunnerTests::test_interrupt_call_soon
// asyncio: claims_running::ctrl_c_that_is_swallowed_is_raised
TEST(RunnerInterruptTest, IsRaisedThoughTheTaskCatchesTheCancellation) {
  Runner runner;
  runner.get_loop()->call_soon([] { ::raise(SIGINT); });
  EXPECT_THROW(runner.run([]() -> Coro<void> {
    bool cancelled = false;
    while (!cancelled) {
      try {
        co_await sleep(0s);
      } catch (const CancelledError&) {
        cancelled = true;
      }
    }
    throw CancelledError();
  }),
               KeyboardInterrupt);
}

TEST(RunnerInterruptTest, ATaskThatGoesOnReturnsItsResult) {
  Runner runner;
  runner.get_loop()->call_soon([] { ::raise(SIGINT); });
  EXPECT_EQ(runner.run(cleans_up()), 1);
}

// SIGINT has weft's own handler then.
TEST(RunnerInterruptTest, BesideASuspendedLoopTheMainTaskIsCancelledFirstToo) {
  SyncLoop other;
  other.run_until_complete([] {});
  Runner runner;
  runner.get_loop()->call_soon([] { ::raise(SIGINT); });
  EXPECT_EQ(runner.run(cleans_up()), 1);
}

// asyncio: test_runners.py::RunnerTests::test_interrupt_cancelled_task
TEST(RunnerInterruptTest, DoesNotHideACancellationOfSomebodyElses) {
  Runner runner;
  const auto cancels_too = [](TaskBase main) -> Coro<void> {
    ::raise(SIGINT);
    while (main.cancelling() == 0) co_await sleep(0s);
    main.cancel();
  };
  EXPECT_THROW(runner.run([&]() -> Coro<void> {
    TaskBase here = current_task();
    Task<void> other = get_running_loop().create_task(cancels_too(here));
    co_await sleep(1000s);
  }),
               CancelledError);
}

TEST(RunnerInterruptTest, TheSecondOneIsRaisedAtOnce) {
  int passed = 0;  // The runner's end cancels the task, which counts that.
  Runner runner;
  runner.get_loop()->call_soon([] { ::raise(SIGINT); });
  EXPECT_THROW(runner.run([&]() -> Coro<void> {
    for (;;) {
      try {
        co_await sleep(1000s);
      } catch (const CancelledError&) {
        if (++passed == 1) ::raise(SIGINT);
      }
      if (passed > 1) co_return;
    }
  }),
               KeyboardInterrupt);
  EXPECT_EQ(passed, 1);
}

// asyncio: test_runners.py::RunnerTests::test_signal_install_not_supported_ok
TEST(RunnerInterruptTest, LeavesAHandlerOfTheProgramsAlone) {
  static int calls;
  calls = 0;
  const auto before = ::signal(SIGINT, [](int) { ++calls; });
  {
    Runner runner;
    EXPECT_EQ(runner.run([]() -> Coro<int> {
      ::raise(SIGINT);
      co_await sleep(0s);
      co_return 3;
    }),
              3);
  }
  EXPECT_EQ(calls, 1);
  ::signal(SIGINT, before);
}

TEST(RunnerInterruptTest, AProgramMayHandleTheSignalItself) {
  const auto before = interrupt_action();
  auto meanwhile = before;
  Runner runner({.handle_interrupt = false});
  EXPECT_THROW(runner.interrupt(), KeyboardInterrupt);  // Nothing runs.
  runner.get_loop()->call_soon([&] {
    meanwhile = interrupt_action();
    runner.interrupt();
    EXPECT_THROW(runner.interrupt(), KeyboardInterrupt);
  });
  EXPECT_THROW(runner.run([]() -> Coro<void> { co_await sleep(1000s); }), KeyboardInterrupt);
  EXPECT_EQ(meanwhile, before);
  EXPECT_EQ(runner.run(answer()), 42);
}

// asyncio: test_runners.py::RunnerTests::test_signal_install_not_supported_ok
TEST(RunnerInterruptTest, RunsOnAnyThread) {
  int result = 0;
  std::thread([&] { result = run(answer()); }).join();
  EXPECT_EQ(result, 42);
}

}  // namespace
}  // namespace weft::loop
