// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How loops end asynchronous generators.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/loop/async_generator.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/loop_generators.h"
#include "weft/loop/sync_loop.h"

namespace weft::loop {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

using Log = std::shared_ptr<std::vector<std::string>>;

AsyncGenerator<int> closes_slowly(Log log, std::string name) {
  std::exception_ptr error;
  try {
    for (int i = 1;; ++i) co_yield i;
  } catch (const GeneratorExit&) {
    error = std::current_exception();
  }
  co_await sleep(1s);
  log->push_back(name);
  std::rethrow_exception(error);
}
AsyncGenerator<int> fails_to_close() {
  try {
    co_yield 1;
  } catch (const GeneratorExit&) {
    throw std::runtime_error("cannot close");
  }
}
Coro<void> begin(AsyncGenerator<int>& generator) {
  const std::optional<int> first = co_await generator.next();
  EXPECT_EQ(first, 1);
}

struct Report {
  std::string message;
  const void* asyncgen;
};
std::vector<Report>& collect_reports(EventLoop& loop, std::vector<Report>& reports) {
  loop.set_exception_handler([&reports](EventLoop&, const ExceptionContext& context) {
    reports.push_back({context.message, context.asyncgen});
  });
  return reports;
}

FIBER_TEST(ShutdownAsyncgensTest, ClosesAllThatHaveBegunAtOnce) {
  const Log log = std::make_shared<std::vector<std::string>>();
  with_loop([&](EventLoop& loop) {
    AsyncGenerator<int> one = closes_slowly(log, "one");
    AsyncGenerator<int> two = closes_slowly(log, "two");
    AsyncGenerator<int> three = async_generator<int>(loop, [log](Yield<int>& yield) {
      try {
        for (;;) yield(1);
      } catch (const GeneratorExit&) {
        fibers::sleep(1s);
        log->emplace_back("three");
        throw;
      }
    });
    const AsyncGenerator<int> unused = closes_slowly(log, "unused");
    await(loop.create_task(begin(one)));
    await(loop.create_task(begin(two)));
    await(loop.create_task(begin(three)));
    const auto start = loop.time();
    await(loop.create_task(loop.shutdown_asyncgens()));
    EXPECT_EQ(loop.time() - start, 1s);
    EXPECT_THAT(*log, UnorderedElementsAre("one", "two", "three"));
    EXPECT_FALSE(await(one.next()).has_value());
    // There is nobody left.
    await(loop.shutdown_asyncgens());
    EXPECT_EQ(loop.time() - start, 1s);
  });
}

// As asyncio: BaseEventLoop.shutdown_asyncgens reports what closing throws, and goes on
FIBER_TEST(ShutdownAsyncgensTest, ReportsWhatClosingThrows) {
  const Log log = std::make_shared<std::vector<std::string>>();
  std::vector<Report> reports;
  with_loop([&](EventLoop& loop) {
    collect_reports(loop, reports);
    AsyncGenerator<int> fails = fails_to_close();
    AsyncGenerator<int> closes = closes_slowly(log, "closed");
    await(loop.create_task(begin(fails)));
    await(loop.create_task(begin(closes)));
    await(loop.shutdown_asyncgens());
    be_strict(loop);
  });
  EXPECT_THAT(*log, ElementsAre("closed"));
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_THAT(reports[0].message,
              HasSubstr("an error occurred during closing of asynchronous generator"));
  EXPECT_THAT(reports[0].message, HasSubstr("fails_to_close"));
  EXPECT_NE(reports[0].asyncgen, nullptr);
}

// asyncio: test_base_events.py::BaseEventLoopTests::test_asyncgen_finalization_by_gc
FIBER_TEST(ShutdownAsyncgensTest, OneThatIsDroppedIsClosedInATask) {
  const Log log = std::make_shared<std::vector<std::string>>();
  with_loop([&](EventLoop& loop) {
    for (const bool stack : {false, true}) {
      log->clear();
      const auto start = loop.time();
      await(loop.create_task([&]() -> Coro<void> {
        AsyncGenerator<int> generator = closes_slowly(log, "closed");
        if (stack) {
          generator = async_generator<int>([log](Yield<int>& yield) {
            try {
              yield(1);
            } catch (const GeneratorExit&) {
              fibers::sleep(1s);
              log->emplace_back("closed");
              throw;
            }
          });
        }
        co_await begin(generator);
      }));
      EXPECT_THAT(*log, IsEmpty());
      fibers::sleep(2s);
      EXPECT_THAT(*log, ElementsAre("closed"));
      EXPECT_EQ(loop.time() - start, 2s);
    }
  });
}

// As asyncio: the finalizer hook of a generator that fails
FIBER_TEST(ShutdownAsyncgensTest, WhatADroppedOneThrowsIsReported) {
  std::vector<Report> reports;
  with_loop([&](EventLoop& loop) {
    collect_reports(loop, reports);
    await(loop.create_task([]() -> Coro<void> {
      AsyncGenerator<int> generator = fails_to_close();
      co_await begin(generator);
    }));
    for (int i = 0; i < 3; ++i) loop.synchronize();
    be_strict(loop);
  });
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_NE(reports[0].asyncgen, nullptr);
}

FIBER_TEST(ShutdownAsyncgensTest, OneThatIsDroppedInALoopThatIsClosedGoesAsItIs) {
  const Log log = std::make_shared<std::vector<std::string>>();
  std::optional<AsyncGenerator<int>> generator(closes_slowly(log, "closed"));
  with_loop([&](EventLoop& loop) { await(loop.create_task(begin(*generator))); });
  EXPECT_EQ(log.use_count(), 2);
  generator.reset();
  EXPECT_EQ(log.use_count(), 1);
  EXPECT_THAT(*log, IsEmpty());
}

// As asyncio: BaseEventLoop._asyncgen_firstiter_hook
FIBER_TEST(ShutdownAsyncgensTest, OneThatBeginsAfterwardsIsReported) {
  const Log log = std::make_shared<std::vector<std::string>>();
  CapturedLog logged;
  with_loop([&](EventLoop& loop) {
    await(loop.shutdown_asyncgens());
    AsyncGenerator<int> generator = closes_slowly(log, "closed");
    await(loop.create_task(begin(generator)));
    await(loop.create_task(generator.aclose()));
  });
  EXPECT_THAT(logged.lines,
              Contains(HasSubstr("was scheduled after loop.shutdown_asyncgens() call")));
}

FIBER_TEST(ShutdownAsyncgensTest, OneThatRunsIsReportedAndLeft) {
  std::vector<Report> reports;
  with_loop([&](EventLoop& loop) {
    collect_reports(loop, reports);
    auto future = loop.create_future<void>();
    const auto waits = [](Future<void> until) -> AsyncGenerator<int> {
      co_await until;
      co_yield 1;
    };
    AsyncGenerator<int> generator = waits(future);
    auto task = loop.create_task(begin(generator));
    loop.synchronize();
    await(loop.shutdown_asyncgens());
    future.set_result();
    await(task);
    await(loop.shutdown_asyncgens());
    be_strict(loop);
    EXPECT_FALSE(await(generator.next()).has_value());
  });
  ASSERT_EQ(reports.size(), 1U);
}

TEST(ShutdownAsyncgensOfSyncLoopTest, RunsToItsEnd) {
  const Log log = std::make_shared<std::vector<std::string>>();
  SyncLoop loop;
  AsyncGenerator<int> generator = async_generator<int>([log](Yield<int>& yield) {
    try {
      for (;;) yield(1);
    } catch (const GeneratorExit&) {
      log->emplace_back("closed");
      throw;
    }
  });
  loop.run_until_complete(loop->create_task(begin(generator)));
  loop.run_until_complete(loop->create_task(loop->shutdown_asyncgens()));
  EXPECT_THAT(*log, ElementsAre("closed"));
}

}  // namespace
}  // namespace weft::loop
