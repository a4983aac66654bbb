// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// as_completed, asynchronous generators and shutdown_asyncgens of weft::loop, between tasks of the
// loop, whose order is its own, and tasks of fibers, whose order is any.

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/loop/as_completed.h"
#include "weft/loop/async_generator.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {
namespace {

using fibers::Nursery;
using testing::with_loop;

// --- as_completed. ---

// explores: loop.as_completed
EXPLORE_TEST(LoopAsCompletedExplored, EachFutureComesOnce) {
  with_loop([](EventLoop& loop, Nursery& nursery) {
    std::vector<Future<int>> futures{loop.create_future<int>(), loop.create_future<int>()};
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon(
          [mine = futures[static_cast<std::size_t>(i)], i]() mutable { mine.set_result(i + 1); });
    }
    auto row = as_completed(futures);
    int sum = 0;
    while (const Future<int> next = await(row.next())) sum += next.result();
    EXPECT_EQ(sum, 3);
  });
}

// explores: loop.as_completed
EXPLORE_TEST(LoopAsCompletedExplored, ACancelledReaderLosesNothing) {
  fibers::CancelScope scope;
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    auto one = loop.create_future<int>();
    auto row = as_completed(std::vector{one});
    nursery.start_soon([&] { scope.cancel(); });
    nursery.start_soon([one]() mutable { one.set_result(1); });
    bool had = false;
    scope.run([&] { had = static_cast<bool>(await(row.next())); });
    if (!had) {
      EXPECT_TRUE(await(row.next()));
    }
    EXPECT_FALSE(await(row.next()));
  });
}

// explores: loop.as_completed
EXPLORE_TEST(LoopAsCompletedExplored, TwoReadersShareTheRow) {
  with_loop([](EventLoop& loop, Nursery&) {
    auto one = loop.create_future<int>();
    auto two = loop.create_future<int>();
    auto row = as_completed(std::vector{one, two});
    int sum = 0;
    fibers::open_nursery([&](Nursery& readers) {
      for (int i = 0; i < 2; ++i) {
        readers.start_soon([&] { sum += await(row.next()).result(); });
      }
      one.set_result(1);
      two.set_result(2);
    });
    EXPECT_EQ(sum, 3);
  });
}

// --- Generators. ---

AsyncGenerator<int> passes_on(Future<int> from, std::shared_ptr<int> ends) {
  struct Note {
    explicit Note(std::shared_ptr<int> c) : count(std::move(c)) {}
    Note(const Note&) = delete;
    Note& operator=(const Note&) = delete;
    ~Note() { ++*count; }
    std::shared_ptr<int> count;
  };
  const auto note = std::make_unique<Note>(std::move(ends));
  const int value = co_await from;
  co_yield value;
}

// explores: loop.AsyncGenerator
EXPLORE_TEST(LoopAsyncGeneratorExplored, AValueComesWhoeverIsFirst) {
  with_loop([](EventLoop& loop, Nursery& nursery) {
    const auto ends = std::make_shared<int>(0);
    auto future = loop.create_future<int>();
    AsyncGenerator<int> generator = passes_on(future, ends);
    nursery.start_soon([future]() mutable { future.set_result(7); });
    const std::optional<int> value = await(generator.next());
    EXPECT_EQ(value, 7);
    await(generator.aclose());
    EXPECT_EQ(*ends, 1);
  });
}

// explores: loop.AsyncGenerator
EXPLORE_TEST(LoopAsyncGeneratorExplored, ItYieldsOrIsCancelledAndItsFrameGoesOnce) {
  const auto ends = std::make_shared<int>(0);
  fibers::CancelScope scope;
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    auto future = loop.create_future<int>();
    nursery.start_soon([&] { scope.cancel(); });
    nursery.start_soon([future]() mutable {
      if (!future.done()) future.set_result(7);
    });
    std::optional<int> value;
    {
      AsyncGenerator<int> generator = passes_on(future, ends);
      scope.run([&] { value = await(generator.next()); });
      EXPECT_NE(value.has_value(), scope.cancelled_caught());
    }
    EXPECT_EQ(*ends, 1);
  });
}

// explores: loop.AsyncGenerator
EXPLORE_TEST(LoopAsyncGeneratorExplored, OneWithAStackLosesNoValueToACancellation) {
  fibers::CancelScope scope;
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    auto future = loop.create_future<int>();
    const auto yields = std::make_shared<bool>(false);
    auto generator = async_generator<int>(loop, [future, yields](Yield<int>& yield) {
      const int value = await(future);
      *yields = true;
      yield(value);
    });
    nursery.start_soon([&] { scope.cancel(); });
    nursery.start_soon([future]() mutable {
      if (!future.done()) future.set_result(7);
    });
    std::optional<int> value;
    scope.run([&] { value = await(generator.next()); });
    // It has come, or comes with the next call, or the code was cancelled where it waited.
    if (!value) value = await(generator.next());
    EXPECT_EQ(value.has_value(), *yields);
    await(generator.aclose());
  });
}

// explores: loop.AsyncGenerator
EXPLORE_TEST(LoopAsyncGeneratorExplored, OneWithAStackIsClosedAsItIsRead) {
  with_loop([](EventLoop& loop, Nursery& nursery) {
    auto generator = async_generator<int>(loop, [](Yield<int>& yield) {
      yield(1);
      yield(2);
    });
    EXPECT_EQ(await(generator.next()), 1);
    nursery.start_soon([] { fibers::checkpoint(); });
    await(generator.aclose());
    EXPECT_FALSE(await(generator.next()).has_value());
  });
}

// --- shutdown_asyncgens. ---

AsyncGenerator<int> counts(std::shared_ptr<int> closed) {
  try {
    for (int i = 0;; ++i) co_yield i;
  } catch (const GeneratorExit&) {
    ++*closed;
    throw;
  }
}

// explores: loop.shutdown_asyncgens
EXPLORE_TEST(LoopShutdownAsyncgensExplored, ClosesOneThatIsDroppedMeanwhileOnce) {
  const auto closed = std::make_shared<int>(0);
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    std::optional<AsyncGenerator<int>> generator(counts(closed));
    await(loop.create_task([&]() -> Coro<void> { co_await generator->next(); }));
    nursery.start_soon([&, held = std::move(generator)]() mutable { held.reset(); });
    await(loop.shutdown_asyncgens());
    loop.synchronize();
    loop.synchronize();
    EXPECT_EQ(*closed, 1);
  });
}

// explores: loop.shutdown_asyncgens
EXPLORE_TEST(LoopShutdownAsyncgensExplored, ClosesThoseOfBothKinds) {
  const auto closed = std::make_shared<int>(0);
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    AsyncGenerator<int> one = counts(closed);
    AsyncGenerator<int> two = async_generator<int>(loop, [closed](Yield<int>& yield) {
      try {
        yield(1);
      } catch (const GeneratorExit&) {
        ++*closed;
        throw;
      }
    });
    await(loop.create_task([&]() -> Coro<void> { co_await one.next(); }));
    await(two.next());
    nursery.start_soon([] { fibers::checkpoint(); });
    await(loop.shutdown_asyncgens());
    EXPECT_EQ(*closed, 2);
  });
}

// explores: loop.shutdown_asyncgens
EXPLORE_TEST(LoopShutdownAsyncgensExplored, OneThatIsBeingClosedIsLeftToWhoeverDoesThat) {
  const auto closed = std::make_shared<int>(0);
  with_loop([&](EventLoop& loop, Nursery&) {
    loop.set_exception_handler(
        [](EventLoop&, const ExceptionContext& context) { EXPECT_NE(context.asyncgen, nullptr); });
    AsyncGenerator<int> generator = counts(closed);
    await(loop.create_task([&]() -> Coro<void> { co_await generator.next(); }));
    fibers::open_nursery([&](Nursery& both) {
      both.start_soon([&] { await(generator.aclose()); });
      both.start_soon([&] { await(loop.shutdown_asyncgens()); });
    });
    EXPECT_EQ(*closed, 1);
  });
}

}  // namespace
}  // namespace weft::loop
