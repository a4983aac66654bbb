// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Generators whose code is a function with a stack.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/memory_channel.h"
#include "weft/loop/async_generator.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

void yield_deeply(Yield<int>& yield, int depth) {
  if (depth > 0) return yield_deeply(yield, depth - 1);
  yield(7);
}

FIBER_TEST(StackGeneratorTest, YieldsFromAnyDepthToAnyKindOfReader) {
  with_loop([](EventLoop& loop) {
    const auto code = [](Yield<int>& yield) {
      yield(1);
      fibers::sleep(1s);
      yield_deeply(yield, 10);
    };
    auto in_coroutine = loop.create_task([&]() -> Coro<std::vector<int>> {
      AsyncGenerator<int> generator = async_generator<int>(code);
      std::vector<int> values;
      while (auto value = co_await generator.next()) values.push_back(*value);
      co_return values;
    });
    auto on_stack = loop.create_task([&] {
      std::vector<int> values;
      for (const int value : async_generator<int>(code)) values.push_back(value);
      return values;
    });
    EXPECT_THAT(await(in_coroutine), ElementsAre(1, 7));
    EXPECT_THAT(await(on_stack), ElementsAre(1, 7));
    std::vector<int> values;
    for (const int value : async_generator<int>(loop, code)) values.push_back(value);
    EXPECT_THAT(values, ElementsAre(1, 7));
  });
}

FIBER_TEST(StackGeneratorTest, WaitsForFuturesAndForFibers) {
  with_loop([](EventLoop& loop) {
    auto future = loop.create_future<int>();
    auto [send, receive] = fibers::open_memory_channel<int>(1);
    auto generator = async_generator<int>(loop, [future, &receive = receive](Yield<int>& yield) {
      yield(await(future));
      yield(receive.receive());
    });
    loop.call_later(1s, [future]() mutable { future.set_result(1); });
    EXPECT_EQ(await(generator.next()), 1);
    send.send(2);
    EXPECT_EQ(await(generator.next()), 2);
    EXPECT_FALSE(await(generator.next()).has_value());
  });
}

FIBER_TEST(StackGeneratorTest, NeedsALoop) {
  with_loop([](EventLoop&) {
    auto generator = async_generator<int>([](Yield<int>& yield) { yield(1); });
    EXPECT_THAT(thrown<fibers::UsageError>([&] { await(generator.next()); }),
                HasSubstr("no running event loop"));
  });
}

FIBER_TEST(StackGeneratorTest, IsGivenWhatIsSentAndThrown) {
  with_loop([](EventLoop& loop) {
    auto generator = async_generator<std::string, int>(loop, [](Yield<std::string, int>& yield) {
      std::string last = "begun";
      for (;;) {
        try {
          const std::optional<int> sent = yield(last);
          last = sent ? "got " + std::to_string(*sent) : "asked";
        } catch (const std::runtime_error& error) {
          last = error.what();
        }
      }
    });
    EXPECT_THAT(thrown<fibers::UsageError>([&] { await(generator.asend(1)); }),
                HasSubstr("just-started"));
    EXPECT_EQ(await(generator.next()), "begun");
    EXPECT_EQ(await(generator.asend(7)), "got 7");
    EXPECT_EQ(await(generator.next()), "asked");
    EXPECT_EQ(await(generator.athrow(std::runtime_error("thrown"))), "thrown");
    await(generator.aclose());
    EXPECT_FALSE(await(generator.next()).has_value());
  });
}

FIBER_TEST(StackGeneratorTest, IsClosedByAnExceptionAndMayWaitMeanwhile) {
  with_loop([](EventLoop& loop) {
    std::vector<std::string> log;
    auto generator = async_generator<int>(loop, [&](Yield<int>& yield) {
      try {
        for (;;) yield(1);
      } catch (const GeneratorExit&) {
        log.emplace_back("closing");
        fibers::sleep(1s);
        log.emplace_back("closed");
        throw;
      }
    });
    await(generator.next());
    const auto start = loop.time();
    await(generator.aclose());
    EXPECT_EQ(loop.time() - start, 1s);
    EXPECT_THAT(log, ElementsAre("closing", "closed"));
  });
}

FIBER_TEST(StackGeneratorTest, ToYieldInsteadOfEndingIsAnErrorAndEndsItAllTheSame) {
  with_loop([](EventLoop& loop) {
    auto ended = std::make_shared<bool>(false);
    auto generator = async_generator<int>(loop, [ended](Yield<int>& yield) {
      struct Note {
        std::shared_ptr<bool> flag;
        ~Note() { *flag = true; }
      } const note{ended};
      try {
        yield(1);
      } catch (const GeneratorExit&) {
        yield(2);
      }
    });
    await(generator.next());
    EXPECT_THAT(thrown<fibers::UsageError>([&] { await(generator.aclose()); }),
                HasSubstr("async generator ignored GeneratorExit"));
    loop.synchronize();
    loop.synchronize();
    EXPECT_TRUE(*ended);
  });
}

FIBER_TEST(StackGeneratorTest, AnErrorComesOutAndEndsIt) {
  with_loop([](EventLoop& loop) {
    auto generator = async_generator<int>(loop, [](Yield<int>& yield) {
      yield(1);
      throw std::runtime_error("failed");
    });
    EXPECT_EQ(await(generator.next()), 1);
    EXPECT_THROW(await(generator.next()), std::runtime_error);
    EXPECT_FALSE(await(generator.next()).has_value());
  });
}

FIBER_TEST(StackGeneratorTest, ACancellationArrivesWhereItsCodeWaits) {
  with_loop([](EventLoop& loop) {
    auto future = loop.create_future<void>();
    auto heard = std::make_shared<bool>(false);
    auto generator = async_generator<int>(loop, [future, heard](Yield<int>& yield) {
      try {
        await(future);
      } catch (const CancelledError&) {
        *heard = true;
      }
      yield(1);
    });
    auto task = loop.create_task(
        [&]() -> Coro<std::optional<int>> { co_return co_await generator.next(); });
    loop.synchronize();
    loop.synchronize();
    task.cancel();
    EXPECT_EQ(await(task), 1);
    EXPECT_TRUE(*heard);
    await(generator.aclose());
  });
}

FIBER_TEST(StackGeneratorTest, ATaskOfFibersThatIsCancelledEndsIt) {
  with_loop([](EventLoop& loop) {
    auto generator = async_generator<int>(loop, [](Yield<int>& yield) {
      fibers::sleep(1h);
      yield(1);
    });
    EXPECT_FALSE(fibers::move_on_after(1s, [&] { await(generator.next()); }));
    EXPECT_FALSE(await(generator.next()).has_value());
  });
}

FIBER_TEST(StackGeneratorTest, SomebodyElsesYieldIsRefused) {
  with_loop([](EventLoop& loop) {
    Yield<int>* lent = nullptr;
    auto generator = async_generator<int>(loop, [&](Yield<int>& yield) {
      lent = &yield;
      yield(1);
    });
    await(generator.next());
    EXPECT_THAT(thrown<fibers::UsageError>([&] { (*lent)(2); }), HasSubstr("own function"));
    await(generator.aclose());
  });
}

FIBER_TEST(StackGeneratorTest, ReaderAndCodeGoWithTheLoop) {
  auto alive = std::make_shared<int>(0);
  fibers::open_nursery([&](fibers::Nursery& nursery) {
    EventLoop loop(nursery);
    loop.set_exception_handler([](EventLoop&, const ExceptionContext&) {});
    loop.start();
    loop.create_task([&loop, alive]() -> Coro<void> {
      AsyncGenerator<int> generator = async_generator<int>(loop, [alive](Yield<int>& yield) {
        yield(1);
        fibers::sleep_forever();
      });
      while (co_await generator.next()) {
      }
    });
    for (int i = 0; i < 5; ++i) loop.synchronize();
    loop.stop();
    loop.wait_stopped();
    loop.close();
  });
  EXPECT_EQ(alive.use_count(), 1);
}

}  // namespace
}  // namespace weft::loop
