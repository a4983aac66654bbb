// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Generators that cross the border, in both directions.

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/shim/shim_test_support.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/async_generator.h"
#include "weft/loop/coro.h"
#include "weft/shim/aio_as_trio.h"
#include "weft/shim/open_loop.h"
#include "weft/shim/run_aio_generator.h"
#include "weft/shim/trio_generator.h"

namespace weft::shim {
namespace {

using namespace std::chrono_literals;
using fibers::CancelScope;
using fibers::current_time;
using fibers::SafeSendChannel;
using fibers::sleep;
using loop::AsyncGenerator;
using loop::CancelledError;
using loop::Coro;

// --- From asyncio to Trio. ---

// Counts in asyncio's flavour; takes a second for each, and for its end.
AsyncGenerator<int> count(int to, SharedLog log) {
  std::exception_ptr exit;
  try {
    for (int i = 1; i <= to; ++i) {
      EXPECT_EQ(current_async_library(), "asyncio");
      co_await loop::sleep(1s);
      co_yield i;
    }
  } catch (const loop::GeneratorExit&) {
    log->emplace_back("exit");
    exit = std::current_exception();
  } catch (const CancelledError&) {
    log->emplace_back("cancelled");
    exit = std::current_exception();
  }
  EXPECT_EQ(current_async_library(), "asyncio");
  co_await loop::sleep(1s);
  log->emplace_back("clean");
  if (exit != nullptr) std::rethrow_exception(exit);
}

// trio-asyncio: interop/test_calls.py::test_trio_asyncio_generator
// trio-asyncio: interop/test_calls.py::test_trio_asyncio_iterator_depr
FIBER_TEST(RunAioGeneratorTest, GivesEachValueAndThenNone) {
  open_loop([](EventLoop& loop) {
    auto numbers = run_aio_generator(loop, count(2, make_log()));
    EXPECT_EQ(numbers.next(), 1);
    EXPECT_EQ(current_async_library(), "trio");
    EXPECT_EQ(numbers.next(), 2);
    EXPECT_EQ(numbers.next(), std::nullopt);
    const auto before = fibers::checkpoint_counts().schedule_points;
    EXPECT_EQ(numbers.next(), std::nullopt);
    EXPECT_GT(fibers::checkpoint_counts().schedule_points, before) << "always a checkpoint";
  });
}

// trio-asyncio: interop/test_calls.py::test_trio_asyncio_iterator
// trio-asyncio: interop/test_adapter.py::TestAdapt::test_trio_asyncio_iter
FIBER_TEST(RunAioGeneratorTest, IsARangeOfTrios) {
  open_loop([](EventLoop&) {
    int sum = 0;
    for (const int number : aio_as_trio(count(3, make_log()))) sum += number;
    for (const int number : aio_as_trio (&count)(2, make_log())) sum += number;
    EXPECT_EQ(sum, 9);
  });
}

// trio-asyncio: interop/test_calls.py::test_trio_asyncio_generator_with_error
FIBER_TEST(RunAioGeneratorTest, ThrowsWhatTheGeneratorThrows) {
  const auto fails = []() -> AsyncGenerator<int> {
    co_yield 1;
    throw Failure("second");
  };
  open_loop([&](EventLoop&) {
    auto numbers = aio_as_trio(fails)();
    EXPECT_EQ(numbers.next(), 1);
    EXPECT_TRUE(holds<Failure>(error_of([&] { numbers.next(); })));
    EXPECT_EQ(numbers.next(), std::nullopt);
  });
}

// trio-asyncio: interop/test_calls.py::test_trio_asyncio_generator_with_cancellation
FIBER_TEST(RunAioGeneratorTest, CancelledWhileItFetchesItWaitsForTheGenerator) {
  open_loop([](EventLoop&) {
    const SharedLog log = make_log();
    auto numbers = aio_as_trio(count(3, log));
    const auto start = current_time();
    EXPECT_FALSE(fibers::move_on_after(500ms, [&] { numbers.next(); }));
    EXPECT_EQ(*log, (std::vector<std::string>{"cancelled", "clean"})) << "once, and to its end";
    EXPECT_EQ(current_time() - start, 1500ms);
  });
}

FIBER_TEST(RunAioGeneratorTest, CancelledBetweenItemsItGoesAtOnce) {
  open_loop([](EventLoop&) {
    const SharedLog log = make_log();
    auto numbers = aio_as_trio(count(3, log));
    const auto start = current_time();
    fibers::move_on_after(1500ms, [&] {
      EXPECT_EQ(numbers.next(), 1);
      sleep(1h);
    });
    EXPECT_EQ(current_time() - start, 1500ms);
    EXPECT_TRUE(log->empty());
    EXPECT_EQ(numbers.next(), 2) << "it may be read on";
  });
}

FIBER_TEST(RunAioGeneratorTest, AValueInSpiteOfTheCancellationIsGiven) {
  const auto stubborn = []() -> AsyncGenerator<int> {
    try {
      co_await loop::sleep(1h);
    } catch (const CancelledError&) {
    }
    co_yield 1;
  };
  open_loop([&](EventLoop&) {
    auto numbers = aio_as_trio(stubborn)();
    CancelScope scope({.relative_deadline = fibers::Duration(1s)});
    const auto value = scope.run([&] { return numbers.next(); });
    EXPECT_EQ(value.value(), 1);
    EXPECT_FALSE(scope.cancelled_caught());
  });
}

FIBER_TEST(RunAioGeneratorTest, IsClosedInItsOwnFlavour) {
  open_loop([](EventLoop&) {
    const SharedLog log = make_log();
    auto numbers = aio_as_trio(count(3, log));
    EXPECT_EQ(numbers.next(), 1);
    numbers.aclose();
    EXPECT_EQ(*log, (std::vector<std::string>{"exit", "clean"}));
    numbers.aclose();
  });
}

FIBER_TEST(RunAioGeneratorTest, OneThatIsDroppedIsClosedInItsOwnFlavour) {
  const SharedLog log = make_log();
  open_loop([&](EventLoop&) {
    for (const int number : aio_as_trio(count(3, log))) {
      EXPECT_EQ(number, 1);
      break;
    }
  });
  EXPECT_EQ(*log, (std::vector<std::string>{"exit", "clean"}));
}

// --- Coroutines. ---

Coro<int> twice(int n) {
  EXPECT_EQ(current_async_library(), "asyncio");
  co_await loop::sleep(1s);
  co_return 2 * n;
}

// trio-asyncio: interop/test_adapter.py::TestAdapt::test_trio_asyncio_awaitable
// trio-asyncio: aiotest/test_coroutine.py::test_hello_world
FIBER_TEST(AioAsTrioCoroTest, WaitsForACoroutine) {
  open_loop([](EventLoop&) { EXPECT_EQ(aio_as_trio(twice(3)), 6); });
}

// trio-asyncio: interop/test_adapter.py::TestAdapt::test_trio_asyncio
FIBER_TEST(AioAsTrioCoroTest, CallsAFunctionThatReturnsOneInATask) {
  open_loop([](EventLoop&) {
    auto call = aio_as_trio([](int n) -> Coro<int> {
      EXPECT_TRUE(loop::current_task()) << "also before the first await";
      auto inner = twice(n);
      co_return co_await std::move(inner);
    });
    EXPECT_EQ(call(4), 8);
    EXPECT_EQ(call(5), 10);
    auto pass = aio_as_trio([](std::unique_ptr<int> p) -> Coro<int> { co_return *p; });
    EXPECT_EQ(pass(std::make_unique<int>(6)), 6);
  });
}

FIBER_TEST(AioAsTrioCoroTest, CancellingTheTaskThrowsOneCancelledErrorIntoIt) {
  int cancelled = 0;
  bool cleaned_up = false;
  open_loop([&](EventLoop&) {
    auto call = aio_as_trio([&]() -> Coro<void> {
      try {
        co_await loop::sleep(1h);
      } catch (const CancelledError&) {
        ++cancelled;
      }
      co_await loop::sleep(5s);
      cleaned_up = true;
      throw CancelledError();
    });
    CancelScope scope({.relative_deadline = fibers::Duration(1s)});
    scope.run([&] { call(); });
    EXPECT_TRUE(scope.cancelled_caught());
  });
  EXPECT_EQ(cancelled, 1);
  EXPECT_TRUE(cleaned_up);
}

FIBER_TEST(AioAsTrioCoroTest, OutsideALoopTheCoroutineIsClosed) {
  const CapturedLog log;
  EXPECT_THROW(aio_as_trio(twice(1)), fibers::UsageError);
  EXPECT_TRUE(log.lines.empty()) << log.lines[0];
}

// --- From Trio to asyncio. ---

AsyncGenerator<int> count_in_trio(int to, SharedLog log) {
  return trio_as_aio<int>([to, log](SafeSendChannel<int>& out) {
    try {
      for (int i = 1; i <= to; ++i) {
        EXPECT_EQ(current_async_library(), "trio");
        sleep(1s);
        out.send(i);
      }
    } catch (const fibers::Cancelled&) {
      CancelScope shield({.shield = true});
      shield.run([] { sleep(1s); });
      log->emplace_back("clean");
      throw;
    }
  });
}

Coro<int> sum_of(AsyncGenerator<int> numbers) {
  int sum = 0;
  for (;;) {
    const std::optional<int> number = co_await numbers.next();
    if (!number) break;
    EXPECT_EQ(current_async_library(), "asyncio");
    sum += *number;
  }
  co_return sum;
}

// trio-asyncio: interop/test_adapter.py::TestAdapt::test_asyncio_trio_iter
FIBER_TEST(TrioGeneratorTest, GivesItsItemsToTheLoop) {
  open_loop([](EventLoop& loop) {
    EXPECT_EQ(await(loop.create_task(sum_of(count_in_trio(3, make_log())))), 6);
    int sum = 0;
    await(loop.create_task([&] {
      for (const int number : count_in_trio(2, make_log())) sum += number;
    }));
    EXPECT_EQ(sum, 3);
  });
}

FIBER_TEST(TrioGeneratorTest, ItsErrorIsThrownByNext) {
  open_loop([](EventLoop& loop) {
    auto fails = trio_as_aio<int>([](SafeSendChannel<int>& out) {
      out.send(1);
      throw Failure("second");
    });
    EXPECT_TRUE(
        holds<Failure>(error_of([&] { await(loop.create_task(sum_of(std::move(fails)))); })));
  });
}

FIBER_TEST(TrioGeneratorTest, ACancelledReaderCancelsItAndWaitsForItsEnd) {
  open_loop([](EventLoop& loop) {
    const SharedLog log = make_log();
    auto task = loop.create_task(sum_of(count_in_trio(3, log)));
    const auto start = current_time();
    loop.call_later(1500ms, [task]() mutable { task.cancel(); });
    EXPECT_THROW(await(task), CancelledError);
    EXPECT_EQ(*log, (std::vector<std::string>{"clean"}));
    EXPECT_EQ(current_time() - start, 2500ms);
  });
}

FIBER_TEST(TrioGeneratorTest, IsClosedInItsOwnFlavour) {
  open_loop([](EventLoop& loop) {
    const SharedLog log = make_log();
    await(loop.create_task([&]() -> Coro<void> {
      auto numbers = count_in_trio(3, log);
      const std::optional<int> first = co_await numbers.next();
      EXPECT_EQ(first, 1);
      co_await numbers.aclose();
      EXPECT_EQ(*log, (std::vector<std::string>{"clean"}));
    }));
  });
}

FIBER_TEST(TrioGeneratorTest, OneThatIsLeftSuspendedEndsWithTheLoop) {
  const SharedLog log = make_log();
  std::optional<AsyncGenerator<int>> numbers;
  open_loop([&](EventLoop& loop) {
    numbers = count_in_trio(3, log);
    await(loop.create_task([&]() -> Coro<void> {
      const std::optional<int> first = co_await numbers->next();
      EXPECT_EQ(first, 1);
    }));
  });
  EXPECT_EQ(*log, (std::vector<std::string>{"clean"}));
}

// There and back.
FIBER_TEST(TrioGeneratorTest, CrossesBothBorders) {
  open_loop([](EventLoop&) {
    int sum = 0;
    for (const int number : aio_as_trio(count_in_trio(3, make_log()))) sum += number;
    EXPECT_EQ(sum, 6);
  });
}

}  // namespace
}  // namespace weft::shim
