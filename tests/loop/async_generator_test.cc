// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Generators that are coroutines. Those with a stack: stack_generator_test.cc; how loops end them:
// shutdown_asyncgens_test.cc.

#include "weft/loop/async_generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/wait_for.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

AsyncGenerator<int> count(int to) {
  for (int i = 1; i <= to; ++i) co_yield i;
}
AsyncGenerator<int> count_slowly(int to) {
  for (int i = 1; i <= to; ++i) {
    co_await sleep(1s);
    co_yield i;
  }
}
AsyncGenerator<int> fails_after(int to) {
  for (int i = 1; i <= to; ++i) co_yield i;
  throw std::runtime_error("failed");
}
// Says when it ends, after a wait.
AsyncGenerator<int> closes_slowly(std::vector<std::string>& log) {
  std::exception_ptr error;
  try {
    for (int i = 1;; ++i) co_yield i;
  } catch (const GeneratorExit&) {
    error = std::current_exception();
  }
  log.emplace_back("closing");
  co_await sleep(1s);
  log.emplace_back("closed");
  std::rethrow_exception(error);
}
AsyncGenerator<int> never_ends() {
  for (;;) {
    try {
      co_yield 1;
    } catch (const GeneratorExit&) {
      // And goes on.
      static_cast<void>(0);
    }
  }
}
AsyncGenerator<std::string, int> echo() {
  std::string last = "begun";
  for (;;) {
    const std::optional<int> sent = co_yield last;
    last = sent ? "got " + std::to_string(*sent) : "asked";
  }
}

// Runs a coroutine in a task of the loop.
template <class F>
auto in_task(EventLoop& loop, F&& fn) {
  return await(loop.create_task(std::forward<F>(fn)));
}

// python: async generators, __anext__
FIBER_TEST(AsyncGeneratorTest, YieldsItsValuesAndEnds) {
  with_loop([](EventLoop& loop) {
    in_task(loop, []() -> Coro<void> {
      AsyncGenerator<int> generator = count(2);
      std::vector<int> values;
      while (auto value = co_await generator.next()) values.push_back(*value);
      EXPECT_THAT(values, ElementsAre(1, 2));
      const std::optional<int> more = co_await generator.next();
      EXPECT_FALSE(more.has_value());
    });
  });
}

FIBER_TEST(AsyncGeneratorTest, WaitsBetweenItsValues) {
  with_loop([](EventLoop& loop) {
    const auto start = loop.time();
    in_task(loop, []() -> Coro<void> {
      AsyncGenerator<int> generator = count_slowly(3);
      std::vector<int> values;
      while (auto value = co_await generator.next()) values.push_back(*value);
      EXPECT_THAT(values, ElementsAre(1, 2, 3));
    });
    EXPECT_EQ(loop.time() - start, 3s);
  });
}

FIBER_TEST(AsyncGeneratorTest, IsReadOnAStackByARangeFor) {
  with_loop([](EventLoop& loop) {
    const auto of_loop = loop.create_task([] {
      std::vector<int> values;
      for (const int value : count_slowly(3)) values.push_back(value);
      return values;
    });
    EXPECT_THAT(await(of_loop), ElementsAre(1, 2, 3));
    // A task of fibers.
    std::vector<int> values;
    for (const int value : count(3)) values.push_back(value);
    EXPECT_THAT(values, ElementsAre(1, 2, 3));
  });
}

FIBER_TEST(AsyncGeneratorTest, OneThatHasNotBegunRunsNothing) {
  with_loop([](EventLoop& loop) {
    in_task(loop, []() -> Coro<void> {
      std::vector<std::string> log;
      { const AsyncGenerator<int> unused = closes_slowly(log); }
      AsyncGenerator<int> generator = closes_slowly(log);
      co_await generator.aclose();
      const std::optional<int> none = co_await generator.next();
      EXPECT_FALSE(none.has_value());
      EXPECT_TRUE(log.empty());
    });
  });
}

FIBER_TEST(AsyncGeneratorTest, ItsValuesMayBeMoveOnly) {
  with_loop([](EventLoop& loop) {
    in_task(loop, []() -> Coro<void> {
      const auto boxes = []() -> AsyncGenerator<std::unique_ptr<int>> {
        co_yield std::make_unique<int>(1);
        co_yield std::make_unique<int>(2);
      };
      AsyncGenerator<std::unique_ptr<int>> generator = boxes();
      int sum = 0;
      while (auto box = co_await generator.next()) sum += **box;
      EXPECT_EQ(sum, 3);
    });
  });
}

FIBER_TEST(AsyncGeneratorTest, AnErrorComesOutAndEndsIt) {
  with_loop([](EventLoop& loop) {
    auto generator = fails_after(1);
    in_task(loop, [&]() -> Coro<void> {
      const std::optional<int> one = co_await generator.next();
      EXPECT_EQ(one, 1);
    });
    EXPECT_THROW(await(generator.next()), std::runtime_error);
    EXPECT_FALSE(await(generator.next()).has_value());
  });
}

// python: async generators, asend
FIBER_TEST(AsyncGeneratorTest, IsGivenWhatIsSent) {
  with_loop([](EventLoop& loop) {
    in_task(loop, []() -> Coro<void> {
      AsyncGenerator<std::string, int> generator = echo();
      auto got = co_await generator.next();
      EXPECT_EQ(*got, "begun");
      got = co_await generator.asend(7);
      EXPECT_EQ(*got, "got 7");
      got = co_await generator.next();
      EXPECT_EQ(*got, "asked");
      co_await generator.aclose();
      got = co_await generator.asend(7);
      EXPECT_FALSE(got.has_value());
    });
  });
}

FIBER_TEST(AsyncGeneratorTest, NothingIsSentToOneThatHasNotBegun) {
  with_loop([](EventLoop&) {
    AsyncGenerator<std::string, int> generator = echo();
    EXPECT_THAT(thrown<fibers::UsageError>([&] { await(generator.asend(1)); }),
                HasSubstr("can't send non-None value to a just-started async generator"));
    EXPECT_EQ(await(generator.next()), "begun");
  });
}

// python: async generators, athrow
FIBER_TEST(AsyncGeneratorTest, ThrowsWhatItIsGivenAtItsYield) {
  with_loop([](EventLoop& loop) {
    in_task(loop, []() -> Coro<void> {
      const auto catches = []() -> AsyncGenerator<std::string> {
        std::string seen = "nothing";
        for (;;) {
          try {
            co_yield seen;
          } catch (const std::runtime_error& error) {
            seen = error.what();
          }
        }
      };
      AsyncGenerator<std::string> generator = catches();
      auto got = co_await generator.next();
      got = co_await generator.athrow(std::runtime_error("thrown"));
      EXPECT_EQ(*got, "thrown");
      co_await generator.aclose();
      got = co_await generator.athrow(std::runtime_error("too late"));
      EXPECT_FALSE(got.has_value());
    });
  });
}

FIBER_TEST(AsyncGeneratorTest, AnErrorThrownAtOneThatHasNotBegunEndsIt) {
  with_loop([](EventLoop&) {
    AsyncGenerator<int> generator = count(3);
    EXPECT_THROW(await(generator.athrow(std::runtime_error("thrown"))), std::runtime_error);
    EXPECT_FALSE(await(generator.next()).has_value());
  });
}

// python: async generators, aclose
FIBER_TEST(AsyncGeneratorTest, IsClosedByAnExceptionAtItsYieldAndMayWait) {
  with_loop([](EventLoop& loop) {
    std::vector<std::string> log;
    const auto start = loop.time();
    in_task(loop, [&]() -> Coro<void> {
      AsyncGenerator<int> generator = closes_slowly(log);
      std::optional<int> value = co_await generator.next();
      co_await generator.aclose();
      EXPECT_THAT(log, ElementsAre("closing", "closed"));
      value = co_await generator.next();
      EXPECT_FALSE(value.has_value());
      co_await generator.aclose();
    });
    EXPECT_EQ(loop.time() - start, 1s);
  });
}

FIBER_TEST(AsyncGeneratorTest, ToYieldInsteadOfEndingIsAnError) {
  with_loop([](EventLoop& loop) {
    AsyncGenerator<int> generator = never_ends();
    in_task(loop, [&]() -> Coro<void> { co_await generator.next(); });
    EXPECT_THAT(thrown<fibers::UsageError>([&] { await(generator.aclose()); }),
                HasSubstr("async generator ignored GeneratorExit"));
    EXPECT_FALSE(await(generator.next()).has_value());
  });
}

FIBER_TEST(AsyncGeneratorTest, AnErrorWhileItIsClosedComesOut) {
  with_loop([](EventLoop& loop) {
    const auto fails = []() -> AsyncGenerator<int> {
      try {
        co_yield 1;
      } catch (const GeneratorExit&) {
        throw std::runtime_error("cannot close");
      }
    };
    AsyncGenerator<int> generator = fails();
    in_task(loop, [&]() -> Coro<void> { co_await generator.next(); });
    EXPECT_THROW(await(generator.aclose()), std::runtime_error);
  });
}

// python: bpo-30773, an asynchronous generator is already running
FIBER_TEST(AsyncGeneratorTest, IsAskedByOneAtATime) {
  with_loop([](EventLoop& loop) {
    AsyncGenerator<int> generator = count_slowly(2);
    auto first = loop.create_task([&]() -> Coro<void> {
      const std::optional<int> value = co_await generator.next();
      EXPECT_EQ(value, 1);
    });
    loop.synchronize();
    EXPECT_THAT(thrown<fibers::UsageError>([&] { await(generator.next()); }),
                HasSubstr("anext(): asynchronous generator is already running"));
    EXPECT_THAT(thrown<fibers::UsageError>([&] { await(generator.aclose()); }),
                HasSubstr("aclose(): asynchronous generator is already running"));
    await(first);
    in_task(loop, [&]() -> Coro<void> {
      const std::optional<int> value = co_await generator.next();
      EXPECT_EQ(value, 2);
      co_await generator.aclose();
    });
  });
}

FIBER_TEST(AsyncGeneratorTest, ACancellationArrivesWhereItsCodeWaits) {
  with_loop([](EventLoop& loop) {
    bool heard = false;
    const auto swallows = [&]() -> AsyncGenerator<int> {
      try {
        co_await sleep(1h);
      } catch (const CancelledError&) {
        heard = true;
      }
      co_yield 1;
    };
    AsyncGenerator<int> generator = swallows();
    auto task = loop.create_task(
        [&]() -> Coro<std::optional<int>> { co_return co_await generator.next(); });
    loop.synchronize();
    task.cancel();
    EXPECT_EQ(await(task), 1);
    EXPECT_TRUE(heard);
    await(generator.aclose());
  });
}

FIBER_TEST(AsyncGeneratorTest, ACancellationThatItLetsPassEndsIt) {
  with_loop([](EventLoop& loop) {
    AsyncGenerator<int> generator = count_slowly(3);
    auto task = loop.create_task([&]() -> Coro<void> { co_await generator.next(); });
    loop.synchronize();
    task.cancel();
    EXPECT_THROW(await(task), CancelledError);
    EXPECT_FALSE(await(generator.next()).has_value());
  });
}

FIBER_TEST(AsyncGeneratorTest, ATaskOfFibersThatIsCancelledEndsIt) {
  with_loop([](EventLoop&) {
    const auto waits = [](const Future<void>& future) -> AsyncGenerator<int> {
      co_await future;
      co_yield 1;
    };
    Future<void> future;
    fibers::move_on_after(1s, [&] {
      fibers::open_nursery([&](fibers::Nursery& nursery) {
        EventLoop other(nursery);
        other.start();
        future = other.create_future<void>();
        AsyncGenerator<int> generator = waits(future);
        struct Stop {
          EventLoop& loop;
          ~Stop() { loop.stop(); }
        } const stop{other};
        await(generator.next());
        ADD_FAILURE() << "nobody ends the future";
      });
    });
    EXPECT_TRUE(future.cancelled());
  });
}

// asyncio: wait_for(anext(generator), timeout)
FIBER_TEST(AsyncGeneratorTest, ItsCallsAreCoroutinesLikeOthers) {
  with_loop([](EventLoop& loop) {
    in_task(loop, []() -> Coro<void> {
      AsyncGenerator<int> generator = count_slowly(2);
      const std::optional<int> value = co_await wait_for(generator.next(), 2s);
      EXPECT_EQ(value, 1);
      bool late = false;
      try {
        co_await wait_for(generator.next(), 100ms);
      } catch (const TimeoutError&) {
        late = true;
      }
      EXPECT_TRUE(late);
    });
  });
}

FIBER_TEST(AsyncGeneratorTest, GeneratorsReadEachOther) {
  with_loop([](EventLoop& loop) {
    const auto twice = [](int to) -> AsyncGenerator<int> {
      AsyncGenerator<int> inner = count_slowly(to);
      while (auto value = co_await inner.next()) co_yield 2 * *value;
    };
    in_task(loop, [&]() -> Coro<void> {
      AsyncGenerator<int> generator = twice(3);
      std::vector<int> values;
      while (auto value = co_await generator.next()) values.push_back(*value);
      EXPECT_THAT(values, ElementsAre(2, 4, 6));
    });
  });
}

// One frame's locals, destroyed once.
struct Counted {
  explicit Counted(int& alive) : count(&alive) { ++*count; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --*count; }
  int* count;
};
AsyncGenerator<int> holds(int& alive) {
  const Counted counted(alive);
  co_yield 1;
  co_await sleep(1h);
  co_yield 2;
}

FIBER_TEST(AsyncGeneratorTest, ItsFrameGoesWithATaskThatIsNeverRunAgain) {
  int alive = 0;
  fibers::open_nursery([&](fibers::Nursery& nursery) {
    EventLoop loop(nursery);
    loop.set_exception_handler([](EventLoop&, const ExceptionContext&) {});
    loop.start();
    loop.create_task([&]() -> Coro<void> {
      AsyncGenerator<int> generator = holds(alive);
      while (co_await generator.next()) {
      }
    });
    loop.synchronize();
    loop.synchronize();
    EXPECT_EQ(alive, 1);
    loop.stop();
    loop.wait_stopped();
    loop.close();
    EXPECT_EQ(alive, 0);
  });
}

FIBER_TEST(AsyncGeneratorTest, ManyValuesNeedNoStack) {
  with_loop([](EventLoop& loop) {
    in_task(loop, []() -> Coro<void> {
      AsyncGenerator<int> generator = count(100'000);
      int sum = 0;
      while (auto value = co_await generator.next()) sum += *value % 2;
      EXPECT_EQ(sum, 50'000);
    });
  });
}

FIBER_TEST(AsyncGeneratorTest, AnEmptyOneIsRefused) {
  with_loop([](EventLoop&) {
    AsyncGenerator<int> none;
    EXPECT_FALSE(none);
    EXPECT_THAT(thrown<fibers::UsageError>([&] { await(none.next()); }), HasSubstr("empty"));
  });
}

}  // namespace
}  // namespace weft::loop
