// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Loops outside of runs, beside loops of open_loop's and on several threads.

#include <gtest/gtest.h>

#include <array>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/shim/shim_test_support.h"
#include "weft/fibers/greenlet.h"
#include "weft/fibers/lowlevel.h"
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
    EXPECT_THROW(run_trio([] {}), fibers::UsageError) << "tasks need a loop of open_loop's";
    answer.set_result(open_loop([](EventLoop& inner) {
      EXPECT_EQ(current_loop(), &inner);
      return await(run_trio([] { return aio_as_trio([] { return 42; })(); }));
    }));
  });
  EXPECT_EQ(sync.run_until_complete(answer), 42);
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
