// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Whose threads and tokens the jobs of a TrioExecutor have. What becomes of them is in
// trio_asyncio_test.cc.

#include "weft/shim/trio_executor.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <array>
#include <string>

#include "tests/shim/shim_test_support.h"
#include "weft/fibers/from_thread.h"
#include "weft/fibers/to_thread.h"
#include "weft/shim/shim.h"

namespace weft::shim {
namespace {

std::string name_of_thread() {
  std::array<char, 16> name{};
  pthread_getname_np(pthread_self(), name.data(), name.size());
  return name.data();
}

FIBER_TEST(TrioExecutorTest, ItsThreadsHaveTheName) {
  open_loop([](EventLoop& loop) {
    TrioExecutor executor({.thread_name_prefix = "weft job"});
    EXPECT_EQ(run_aio_future(loop.run_in_executor(&executor, &name_of_thread)), "weft job");
  });
}

FIBER_TEST(TrioExecutorTest, JobsTakeATokenOfTheRunOnlyWithoutALimitOfTheirOwn) {
  open_loop([](EventLoop& loop) {
    const auto& of_run = fibers::to_thread::current_default_thread_limiter();
    // A job's future ends before its thread has told the run, which then has the token back.
    const auto tokens = [&] {
      return fibers::from_thread::run_sync([&] { return of_run.borrowed_tokens(); });
    };
    TrioExecutor plain;
    EXPECT_EQ(run_aio_future(loop.run_in_executor(&plain, tokens)), 1U);
    while (of_run.borrowed_tokens() > 0) fibers::checkpoint();
    TrioExecutor limited({.max_workers = 1});
    EXPECT_EQ(run_aio_future(loop.run_in_executor(&limited, tokens)), 0U);
  });
}

FIBER_TEST(TrioExecutorTest, JobsMayOutliveTheExecutor) {
  open_loop([](EventLoop& loop) {
    loop::Future<int> first;
    loop::Future<int> second;
    {
      TrioExecutor executor({.max_workers = 1});
      first = loop.run_in_executor(&executor, [] { return 1; });
      second = loop.run_in_executor(&executor, [] { return 2; });
    }
    EXPECT_EQ(run_aio_future(second) + run_aio_future(first), 3);
  });
}

}  // namespace
}  // namespace weft::shim
