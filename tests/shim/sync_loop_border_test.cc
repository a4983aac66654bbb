// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Loops outside of runs, beside loops of open_loop's and on several threads.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/shim/shim_test_support.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/event.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/greenlet.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/runner.h"
#include "weft/loop/sync_loop.h"
#include "weft/shim/shim.h"

namespace weft::shim {
namespace {

using loop::SyncLoop;

std::string present_exception() {
  try {
    throw;
  } catch (const std::exception& error) {
    return error.what();
  }
}

// The caller is in a handler, the callback throws and catches, and waits in a handler of its own.
TEST(SyncLoopBorderTest, ExceptionsThatAreBeingHandledAreKeptApart) {
  SyncLoop sync;
  std::string inside;
  bool empty_inside = false;
  try {
    throw std::runtime_error("caller");
  } catch (const std::runtime_error&) {
    sync.run_until_complete([&] {
      empty_inside = std::current_exception() == nullptr;
      try {
        throw std::runtime_error("callback");
      } catch (const std::runtime_error&) {
        fibers::checkpoint();
        inside = present_exception();
      }
    });
    EXPECT_EQ(present_exception(), "caller");
  }
  EXPECT_TRUE(empty_inside);
  EXPECT_EQ(inside, "callback");
}

TEST(SyncLoopBorderTest, AnErrorComesOutIntoWhicheverGreenletRunsTheLoop) {
  SyncLoop sync;
  std::string seen;
  fibers::Greenlet other([&] {
    try {
      sync.run_until_complete([] { throw std::runtime_error("inside"); });
    } catch (const std::runtime_error& error) {
      seen = error.what();
    }
  });
  other.switch_to();
  EXPECT_EQ(seen, "inside");
  EXPECT_EQ(sync.run_until_complete([] { return 1; }), 1) << "it may go on";
}

// In a callback: a task of asyncio's awaits futures of its own loop only.
TEST(SyncLoopBorderTest, ItsCallbacksMayOpenLoops) {
  SyncLoop sync;
  auto answer = sync->create_future<int>();
  sync->call_soon([answer]() mutable {
    answer.set_result(open_loop([](EventLoop& inner) {
      EXPECT_EQ(current_loop(), &inner);
      return await(run_trio([] { return aio_as_trio([] { return 42; })(); }));
    }));
  });
  EXPECT_EQ(sync.run_until_complete(answer), 42);
}

TEST(SyncLoopBorderTest, ItsCallbacksMayStartTasks) {
  SyncLoop sync;
  std::string library;
  const bool same = sync.run_until_complete([&] {
    return await(run_trio([&] {
      library = current_async_library();
      fibers::checkpoint();
      return current_loop() == &sync.loop() && aio_as_trio([] { return 42; })() == 42;
    }));
  });
  EXPECT_TRUE(same);
  EXPECT_EQ(library, "trio");
}

TEST(SyncLoopBorderTest, ATaskGoesOnWhenTheLoopRunsAgain) {
  SyncLoop sync;
  fibers::Event go;
  loop::Future<int> answer = sync.run_until_complete([&] {
    return run_trio([&] {
      go.wait();
      return 7;
    });
  });
  EXPECT_FALSE(answer.done());
  sync->call_soon([&] { go.set(); });
  EXPECT_EQ(sync.run_until_complete(answer), 7);
}

TEST(SyncLoopBorderTest, ATaskIsCancelledByItsFuture) {
  SyncLoop sync;
  bool cancelled = false;
  auto answer = sync.run_until_complete([&] {
    return run_trio([&] {
      try {
        fibers::sleep_forever();
      } catch (const fibers::Cancelled&) {
        cancelled = true;
        throw;
      }
    });
  });
  sync->call_soon([&] { answer.cancel("enough"); });
  EXPECT_THROW(sync.run_until_complete(answer), loop::CancelledError);
  EXPECT_TRUE(cancelled);
}

// What unwinds finds no loop any more, and may not hang on it either.
TEST(SyncLoopBorderTest, ClosingTheLoopCancelsItsTasksAndWaitsForThem) {
  std::vector<std::string> seen;
  {
    SyncLoop sync;
    sync.run_until_complete([&] {
      for (const char* name : {"first", "second"}) {
        run_trio([&seen, name] {
          try {
            fibers::sleep_forever();
          } catch (const fibers::Cancelled&) {
            fibers::cancel_shielded_checkpoint();
            EXPECT_EQ(current_loop(), nullptr);
            EXPECT_THROW(run_trio([] {}), fibers::UsageError);
            seen.emplace_back(name);
            throw;
          }
        });
      }
      fibers::checkpoint();
    });
    EXPECT_EQ(seen, std::vector<std::string>());
  }
  EXPECT_THAT(seen, testing::UnorderedElementsAre("first", "second"));
}

TEST(SyncLoopBorderTest, ATaskThatHasNotBegunWhenTheLoopClosesNeverDoes) {
  bool begun = false;
  loop::Future<void> answer;
  {
    SyncLoop sync;
    sync->call_soon([&] {
      sync.stop();
      answer = run_trio([&] { begun = true; });
    });
    sync.run_forever();
    EXPECT_FALSE(answer.done());
  }
  EXPECT_FALSE(begun);
  EXPECT_TRUE(answer.cancelled());
}

TEST(SyncLoopBorderTest, TheErrorOfATaskThatNobodyAsksGoesToTheLoopsHandler) {
  SyncLoop sync;
  std::vector<std::string> reports;
  sync->set_exception_handler([&](EventLoop&, const loop::ExceptionContext& context) {
    reports.push_back(context.message + ": " + fibers::describe_exception(context.exception));
  });
  sync.run_until_complete([] {
    run_trio_task([] { throw std::runtime_error("lost"); });
    fibers::checkpoint();
    fibers::checkpoint();
  });
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_THAT(reports[0], testing::HasSubstr("exception in a task of run_trio_task"));
  EXPECT_THAT(reports[0], testing::HasSubstr("lost"));
}

TEST(SyncLoopBorderTest, AnInterruptOfATaskEndsTheRunOfTheLoop) {
  const CapturedLog log;
  SyncLoop sync;
  for (int i = 0; i < 2; ++i) {  // The loop stays usable.
    EXPECT_THROW(sync.run_until_complete([&] {
      static_cast<void>(run_trio([] { throw fibers::KeyboardInterrupt(); }));
      await(sync->create_future<void>());
    }),
                 fibers::KeyboardInterrupt);
  }
}

TEST(SyncLoopBorderTest, ALoopOfARunnersHasTasksToo) {
  std::vector<int> seen;
  const int answer = loop::run([&] {
    run_trio([&] {
      try {
        fibers::sleep_forever();
      } catch (const fibers::Cancelled&) {
        seen.push_back(1);
        throw;
      }
    });
    return await(run_trio([] { return 3; }));
  });
  EXPECT_EQ(answer, 3);
  EXPECT_EQ(seen, std::vector{1});
}

FIBER_TEST(LoneLoopTest, ALoopInANurseryHasTasksToo) {
  std::vector<std::string> seen;
  const auto note_the_end = [&seen] {
    try {
      fibers::sleep_forever();
    } catch (const fibers::Cancelled&) {
      seen.emplace_back("cancelled");
      throw;
    }
  };
  int answer = 0;
  fibers::open_nursery([&](fibers::Nursery& nursery) {
    EventLoop loop(nursery);
    loop.start();
    loop::Future<int> told = loop.create_future<int>();
    loop.call_soon([&note_the_end, told]() mutable {
      try {
        run_trio_task(note_the_end);
        const int value = await(run_trio([] {
          fibers::sleep(std::chrono::seconds(1));
          return 5;
        }));
        told.set_result(value);
      } catch (const std::bad_alloc&) {
        told.set_exception(std::current_exception());
      }
    });
    answer = await(told);
    loop.stop();
    loop.wait_stopped();
  });
  EXPECT_EQ(answer, 5);
  EXPECT_EQ(seen, std::vector<std::string>{"cancelled"});
}

// Nobody has its future, and when the task fails there is no loop whose handler could be asked.
FIBER_TEST(LoneLoopTest, TheErrorOfATaskThatOutlivesTheLoopIsLogged) {
  WEFT_NOT_ALLOCATION_SWEPT("the error would be another one");
  const CapturedLog log;
  fibers::Event begun;
  fibers::open_nursery([&](fibers::Nursery& nursery) {
    {
      EventLoop loop(nursery);
      loop.start();
      loop.call_soon([&begun] {
        run_trio_task([&begun] {
          begun.set();
          try {
            fibers::sleep_forever();
          } catch (const fibers::Cancelled&) {
            fibers::CancelScope shield({.shield = true});
            shield.run([] { fibers::sleep(std::chrono::seconds(1)); });
            throw std::runtime_error("the task's own");
          }
        });
      });
      begun.wait();
    }
    EXPECT_TRUE(log.lines.empty());
  });
  ASSERT_EQ(log.lines.size(), 1U);
  EXPECT_NE(log.lines[0].find("the task's own"), std::string::npos) << log.lines[0];
}

TEST(SyncLoopBorderTest, ALoopOfEachKindOnEachThread) {
  std::array<int, 3> answers{};
  std::vector<std::thread> threads;
  threads.reserve(answers.size());
  for (int& answer : answers) {
    threads.emplace_back([&answer] {
      SyncLoop sync;
      for (int i = 0; i < 3; ++i) {
        answer += sync.run_until_complete([] { return 1; });
        answer += weft::run([](EventLoop& loop) {
          return await(loop.create_task([] { return await(run_trio([] { return 10; })); }));
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answers, (std::array{33, 33, 33}));
}

}  // namespace
}  // namespace weft::shim
