// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What finds the running loop by itself, and what it says where there is none: in a task of fibers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/errors.h"
#include "weft/loop/as_completed.h"
#include "weft/loop/ensure_future.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/gather.h"
#include "weft/loop/shield.h"
#include "weft/loop/stream_reader.h"
#include "weft/loop/task.h"

namespace weft::loop {
namespace {

using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

// asyncio: test_tasks.py::BaseTaskTests::test_as_completed_coroutine_without_loop
// asyncio: test_tasks.py::BaseTaskTests::test_shield_coroutine_without_loop
// asyncio: test_tasks.py::CoroutineGatherTests::test_constructor_without_loop
FIBER_TEST(RunningLoopTest, CombinatorsOfCoroutinesNeedOne) {
  const CapturedLog never_awaited;
  const auto refusal = [](auto call) { return thrown<fibers::UsageError>(call); };
  const auto says_so = HasSubstr("no running event loop");
  EXPECT_THAT(refusal([] {
                std::vector<Coro<int>> both;
                both.push_back(answer());
                both.push_back(answer());
                as_completed(std::move(both));
              }),
              says_so);
  EXPECT_THAT(refusal([] { shield(answer()); }), says_so);
  EXPECT_THAT(refusal([] { gather(answer(), answer()); }), says_so);
}

// A future knows its loop.
FIBER_TEST(RunningLoopTest, CombinatorsOfFuturesDoNot) {
  with_loop([](EventLoop& loop) {
    const Task<int> task = loop.create_task(answer());
    const Future<int> outer = shield(task);
    EXPECT_EQ(&outer.get_loop(), &loop);
    EXPECT_EQ(await(outer), 42);
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_shield_coroutine_use_running_loop
FIBER_TEST(RunningLoopTest, AShieldedCoroutineIsATaskOfIt) {
  with_loop([](EventLoop& loop) {
    auto shielded = await(loop.create_task([] { return shield(answer()); }));
    EXPECT_EQ(&shielded.get_loop(), &loop);
    EXPECT_EQ(await(shielded), 42);
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_ensure_future_coroutine
FIBER_TEST(RunningLoopTest, EnsureFutureMakesACoroutineATaskOfIt) {
  {
    const CapturedLog never_awaited;
    EXPECT_THAT(thrown<fibers::UsageError>([] { ensure_future(answer()); }),
                HasSubstr("no running event loop"));
  }
  with_loop([](EventLoop& loop) {
    const Task<int> given = ensure_future(answer(), loop);
    EXPECT_EQ(await(given), 42);
    auto made = await(loop.create_task([] { return ensure_future(answer()); }));
    static_assert(std::is_same_v<decltype(made), Task<int>>);
    EXPECT_EQ(&made.get_loop(), &loop);
    EXPECT_EQ(await(made), 42);
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_bare_create_task
FIBER_TEST(RunningLoopTest, ACoroutineMakesTasksOfItsOwnLoop) {
  with_loop([](EventLoop& loop) {
    auto outer = loop.create_task([]() -> Coro<EventLoop*> {
      Task<int> task = get_running_loop().create_task(answer());
      EXPECT_EQ(co_await task, 42);
      co_return &task.get_loop();
    });
    EXPECT_EQ(await(outer), &loop);
  });
}

// asyncio: test_streams.py::StreamTests::test_streamreader_constructor_use_running_loop
FIBER_TEST(RunningLoopTest, AStreamReaderBelongsToTheLoopWhereItWaitsFirst) {
  with_loop([](EventLoop& loop) {
    StreamReader reader;
    auto reads = loop.create_task([reader]() mutable { return await(reader.readline()); });
    loop.synchronize();
    reader.feed_data("line\n");
    EXPECT_EQ(await(reads), "line\n");
    reader.feed_data("again\n");
    EXPECT_EQ(await(reader.readline()), "again\n") << "there is nothing to wait for";
  });
}

// asyncio says that there is no running loop; here it is an empty task that says so.
// asyncio: test_tasks.py::BaseCurrentLoopTests::test_current_task_no_running_loop_implicit
FIBER_TEST(RunningLoopTest, WithoutOneNoTaskIsTheCurrentOne) {
  EXPECT_EQ(running_loop(), nullptr);
  EXPECT_FALSE(current_task());
  EXPECT_THAT(thrown<fibers::UsageError>([] { get_running_loop(); }),
              HasSubstr("no running event loop"));
}

}  // namespace
}  // namespace weft::loop
