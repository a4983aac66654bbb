// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/ensure_future.h"

#include <gmock/gmock.h>

#include <utility>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/loop/gather.h"
#include "weft/loop/shield.h"
#include "weft/loop/wait_for.h"

namespace weft::loop {
namespace {

using ::testing::HasSubstr;
using testing::thrown;
using testing::with_idle_loop;
using testing::with_loop;
using namespace std::chrono_literals;

// asyncio: test_tasks.py::BaseTaskTests::test_ensure_future_future
FIBER_TEST(EnsureFutureTest, AFutureOfTheLoopComesBackAndOneOfAnotherIsRefused) {
  with_loop([](EventLoop& loop) {
    with_idle_loop([&](EventLoop& other) {
      Future<int> mine = loop.create_future<int>();
      EXPECT_EQ(ensure_future(mine, loop), mine);
      EXPECT_EQ(ensure_future(mine), mine);
      const auto refused = thrown<fibers::UsageError>([&] { ensure_future(mine, other); });
      EXPECT_THAT(refused, HasSubstr("different loop than the one specified"));
      EXPECT_THAT(refused, HasSubstr("give its own loop"));
      // What is refused has not been taken.
      EXPECT_THROW(ensure_future(std::move(mine), other), fibers::UsageError);
      mine.set_result(3);  // NOLINT(bugprone-use-after-move): that is the claim.
      EXPECT_EQ(await(mine), 3);
    });
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_ensure_future_task
FIBER_TEST(EnsureFutureTest, ATaskOfTheLoopComesBackAndOneOfAnotherIsRefused) {
  with_loop([](EventLoop& loop) {
    with_idle_loop([&](EventLoop& other) {
      Task<int> task = loop.create_task([]() -> Coro<int> { co_return 5; });
      EXPECT_EQ(ensure_future(task, loop), task);
      EXPECT_THROW(ensure_future(task, other), fibers::UsageError);
      EXPECT_EQ(await(task), 5);
      // What is no future yet becomes a task of the loop that was asked for.
      Task<int> elsewhere = ensure_future([]() -> Coro<int> { co_return 6; }, other);
      EXPECT_EQ(&elsewhere.get_loop(), &other);
      elsewhere.add_done_callback([&other] { other.stop(); });
      other.main_loop();
      EXPECT_EQ(elsewhere.result(), 6);
    });
  });
}

// None of these says which loop it wants: they go by the futures.
FIBER_TEST(EnsureFutureTest, WhatTakesNoLoopWorksWithTheFuturesOwn) {
  with_loop([](EventLoop& loop) {
    with_idle_loop([&](EventLoop& other) {
      Future<int> ended = other.create_future<int>();
      ended.set_result(7);
      EXPECT_TRUE(await(loop.create_task([&] {
        return &gather(ended, ended).get_loop() == &other &&
               &gather(std::vector{ended}).get_loop() == &other &&
               &shield(ended).get_loop() == &other;
      })));
      EXPECT_EQ(await(loop.create_task([](Future<int> future) -> Coro<int> {
                  co_return co_await wait_for(future, 0s);
                }(ended))),
                7);
    });
  });
}

}  // namespace
}  // namespace weft::loop
