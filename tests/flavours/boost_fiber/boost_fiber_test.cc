// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/boost_fiber/boost_fiber.h"

#include <gmock/gmock.h>

#include <boost/fiber/all.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "tests/flavours/boost_fiber/boost_fiber_testing.h"
#include "tests/support/captured_log.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/event.h"
#include "weft/fibers/inspect.h"
#include "weft/fibers/instrument.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/open_loop.h"

namespace weft::boost_fiber {
namespace {

using namespace std::chrono_literals;
using fibers::CancelScope;
using fibers::Event;
using fibers::Nursery;
using fibers::open_nursery;

FIBER_TEST(BoostFiberTest, ATaskWaitsForAFiber) {
  shared([] {
    const auto sum = boost_fiber_as_trio([] {
      boost::this_fiber::yield();
      return 20 + 22;
    });
    EXPECT_EQ(sum, 42);
    int ran = 0;
    boost_fiber_as_trio([&] { ++ran; });
    EXPECT_EQ(ran, 1);
    EXPECT_THROW(boost_fiber_as_trio([] { throw std::out_of_range("far"); }), std::out_of_range);
  });
}

FIBER_TEST(BoostFiberTest, AFiberWaitsForATask) {
  shared([] {
    const int sum = boost_fiber_as_trio([] {
      EXPECT_THROW(trio_as_boost_fiber([] {
                     fibers::checkpoint();
                     throw std::out_of_range("far");
                   }),
                   std::out_of_range);
      int ran = 0;
      trio_as_boost_fiber([&] {
        fibers::sleep(1h);
        ++ran;
      });
      return ran + trio_as_boost_fiber([] { return 41; });
    });
    EXPECT_EQ(sum, 42);
  });
}

FIBER_TEST(BoostFiberTest, TheyTalkThroughChannelsOfEitherKind) {
  WEFT_NOT_FAULT_SWEPT("an error that leaves a Boost fiber ends the process");
  shared([] {
    bf::buffered_channel<int> questions(2);
    auto [send, receive] = fibers::open_memory_channel<int>(100);
    const Joined answers([&] {
      for (const int question : questions) send.send_nowait(question * 2);
    });
    const absl::Cleanup close = [&] { questions.close(); };
    for (int i = 0; i < 10; ++i) {
      boost_fiber_as_trio([&] { questions.push(i); });
      EXPECT_EQ(receive.receive(), i * 2);
    }
  });
}

FIBER_TEST(BoostFiberTest, AMutexOfBoostsIsHeldByEitherSide) {
  shared([] {
    bf::mutex mutex;
    int inside = 0;
    int turns = 0;
    const auto critical = [&](auto&& wait) {
      const std::unique_lock lock(mutex);
      EXPECT_EQ(inside++, 0);
      wait();
      --inside;
      ++turns;
    };
    open_nursery([&](Nursery& nursery) {
      for (int i = 0; i < 3; ++i) {
        nursery.start_soon([&] {
          boost_fiber_as_trio([&] { critical([] { boost::this_fiber::yield(); }); });
          boost_fiber_as_trio(
              [&] { critical([] { trio_as_boost_fiber([] { fibers::sleep(1s); }); }); });
        });
      }
    });
    EXPECT_EQ(turns, 6);
  });
}

FIBER_TEST(BoostFiberTest, NeitherSideStarvesTheOther) {
  shared([] {
    bool stop = false;
    int turns = 0;
    const Joined busy([&] {
      while (!stop) {
        ++turns;
        boost::this_fiber::yield();
      }
    });
    const absl::Cleanup end = [&] { stop = true; };
    for (int i = 0; i < 100; ++i) fibers::checkpoint();
    EXPECT_GT(turns, 10);
    // And a busy task does not keep a fiber from ending.
    bool ended = false;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        boost_fiber_as_trio([] {
          for (int i = 0; i < 10; ++i) boost::this_fiber::yield();
        });
        ended = true;
      });
      while (!ended) fibers::checkpoint();
    });
  });
}

TEST(BoostFiberRunTest, AnotherThreadWakesAFiber) {
  install();
  bf::promise<int> promise;
  bf::future<int> future = promise.get_future();
  std::thread other;
  const int got = fibers::run([&] {
    return share_thread([&] {
      return boost_fiber_as_trio([&] {
        other = std::thread([&] { promise.set_value(7); });
        return future.get();
      });
    });
  });
  other.join();
  EXPECT_EQ(got, 7);
}

// Tells when the run waits for longer than a minute, or has waited too often.
class TellsLongWaits : public fibers::Instrument {
 public:
  void before_io_wait(fibers::Duration timeout) override {
    const bool tells = timeout > 1min || waits == kTooMany;
    if (waits++ <= kTooMany && tells && !std::exchange(told, true)) seen.set_value();
  }
  static constexpr int kTooMany = 20;
  std::promise<void> seen;
  bool told = false;
  int waits = 0;
};

TEST(BoostFiberRunTest, AFiberWithADeadlineIsWaitedForAndNotPolledFor) {
  install();
  const auto instrument = std::make_shared<TellsLongWaits>();
  bf::promise<void> promise;
  bf::future<void> future = promise.get_future();
  std::thread other([&] {
    instrument->seen.get_future().wait();
    promise.set_value();
  });
  fibers::run(
      [&] {
        share_thread([&] {
          boost_fiber_as_trio([&] { EXPECT_EQ(future.wait_for(1h), bf::future_status::ready); });
        });
      },
      {.instruments = {instrument}});
  other.join();
  EXPECT_LT(instrument->waits, TellsLongWaits::kTooMany);
}

// A deadline of Boost's is by the machine's clock, and ten hours of the run's are not one of those.
FIBER_TEST(BoostFiberTest, ATimedWaitOfBoostsTakesRealTimeUnderAClockThatJumps) {
  shared([] {
    bf::promise<void> promise;
    bf::future<void> future = promise.get_future();
    bf::future_status status{};
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        const absl::Cleanup give = [&] { promise.set_value(); };
        fibers::sleep(10h);
      });
      nursery.start_soon(
          [&] { status = boost_fiber_as_trio([&] { return future.wait_for(1h); }); });
    });
    EXPECT_EQ(status, bf::future_status::ready);
  });
}

FIBER_TEST(BoostFiberTest, ACancelledTaskWaitsForTheEndOfTheFiber) {
  shared([] {
    bool ended = false;
    CancelScope scope;
    scope.run([&] {
      const int value = boost_fiber_as_trio([&] {
        scope.cancel();
        boost::this_fiber::yield();
        ended = true;
        return 5;
      });
      EXPECT_EQ(value, 5);
    });
    EXPECT_TRUE(ended);
  });
}

FIBER_TEST(BoostFiberTest, OrLeavesItAlone) {
  shared([] {
    auto promise = std::make_shared<bf::promise<void>>();
    auto ended = std::make_shared<Event>();
    absl::Cleanup let_it_end = [promise] { promise->set_value(); };
    const bool in_time = fibers::move_on_after(1s, [&] {
      boost_fiber_as_trio(
          [promise, ended] {
            promise->get_future().get();
            ended->set();
          },
          {.abandon_on_cancel = true});
    });
    EXPECT_FALSE(in_time);
    EXPECT_FALSE(ended->is_set());
    std::move(let_it_end).Invoke();
    ended->wait();
  });
}

// Options that have a name, or are written with their type, are not taken for a cancel function.
FIBER_TEST(BoostFiberTest, OptionsMayHaveAName) {
  shared([] {
    const AsTrioOptions waits_on;
    AsTrioOptions leaves = waits_on;
    leaves.abandon_on_cancel = true;
    EXPECT_EQ(boost_fiber_as_trio([] { return 1; }, waits_on), 1);
    EXPECT_EQ(boost_fiber_as_trio([] { return 2; }, leaves), 2);
    EXPECT_EQ(boost_fiber_as_trio([] { return 3; }, AsTrioOptions{.abandon_on_cancel = true}), 3);
  });
}

// As a wait of Boost's ends then by itself: value_pop() throws operation_not_permitted.
FIBER_TEST(BoostFiberTest, OrClosesTheChannelThatTheFiberWaitsFor) {
  shared([] {
    bf::buffered_channel<int> channel(2);
    const auto pop = [&] { return channel.value_pop(); };
    const auto close = [&] {
      channel.close();
      return CancelResult::kWillComplete;
    };
    CancelScope scope({.relative_deadline = 1s});
    scope.run([&] { boost_fiber_as_trio(pop, close); });
    EXPECT_TRUE(scope.cancelled_caught());
    EXPECT_THROW(boost_fiber_as_trio(pop, close), bf::fiber_error) << "nobody is cancelled";
  });
}

FIBER_TEST(BoostFiberTest, AFibersErrorThatNoCancelFunctionHasMadeIsThrown) {
  shared([] {
    bf::buffered_channel<int> channel(2);
    CancelScope scope({.relative_deadline = 1s});
    EXPECT_THROW(scope.run([&] {
      boost_fiber_as_trio([&] {
        trio_as_boost_fiber([] { fibers::sleep(2s); });
        channel.close();
        channel.value_pop();
      });
    }),
                 bf::fiber_error);
  });
}

FIBER_TEST(BoostFiberTest, CancelledBeforehandNoFiberIsStarted) {
  shared([] {
    CancelScope scope;
    scope.run([&] {
      scope.cancel();
      boost_fiber_as_trio([] { ADD_FAILURE(); });
    });
    EXPECT_TRUE(scope.cancelled_caught());
  });
}

FIBER_TEST(BoostFiberTest, AFiberSeesTheCancellationOfItsTaskAsAnErrorOfBoosts) {
  WEFT_NOT_FAULT_SWEPT("an error that leaves a Boost fiber ends the process");
  install();
  std::vector<std::string> seen;
  {
    const auto wait = [&] {
      try {
        trio_as_boost_fiber([] { fibers::sleep_forever(); });
      } catch (const bf::fiber_error& error) {
        if (error.code() == std::errc::operation_canceled) seen.emplace_back("cancelled");
      } catch (const fibers::UsageError&) {
        // The test itself has been cancelled before the block.
      }
    };
    const Joined fiber([&] {
      wait();
      wait();  // The block is about to end.
    });
    share_thread([] { fibers::sleep(1s); });
    boost::this_fiber::yield();
    EXPECT_EQ(seen, (std::vector<std::string>{"cancelled", "cancelled"}));
  }
}

// A fiber whose task waits for ever, and what the fiber is told of its end.
class Asking {
 public:
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;
  Asking() = default;
  ~Asking() = default;

  int cancelled = 0;
  Event begun;

 private:
  void ask() {
    try {
      trio_as_boost_fiber([this] {
        begun.set();
        fibers::sleep_forever();
      });
    } catch (const bf::fiber_error& error) {
      cancelled += error.code() == std::errc::operation_canceled ? 1 : 0;
    } catch (const fibers::UsageError&) {
      // The test itself has been cancelled before the block.
    }
  }
  Joined fiber_{[this] { ask(); }};
};

// Of the two that see it, the fiber and the scope, none keeps it from the other: a scope that
// misses its Cancelled would be reported.
FIBER_TEST(BoostFiberTest, TheEndOfTheBlockTakesTheCancelledOfItsTasks) {
  WEFT_NOT_FAULT_SWEPT("an error that leaves a Boost fiber ends the process");
  const test::CapturedLog log;
  install();
  {
    Asking asking;
    share_thread([&] { asking.begun.wait(); });
    boost::this_fiber::yield();
    EXPECT_EQ(asking.cancelled, 1);
  }
  EXPECT_THAT(log.lines, ::testing::IsEmpty());
  EXPECT_EQ(fibers::last_swallowed_cancelled(), "");
}

// Nobody but the task of the fiber waits in the scope.
FIBER_TEST(BoostFiberTest, AScopeAroundTheBlockGetsTheCancelledOfItsTasks) {
  WEFT_NOT_FAULT_SWEPT("an error that leaves a Boost fiber ends the process");
  const test::CapturedLog log;
  install();
  CancelScope scope;
  {
    Asking asking;
    scope.run([&] {
      share_thread([&] {
        CancelScope shield({.shield = true});
        shield.run([&] {
          asking.begun.wait();
          scope.cancel();
          while (asking.cancelled == 0) fibers::checkpoint();
        });
      });
    });
  }
  EXPECT_TRUE(scope.cancelled_caught());
  EXPECT_THAT(log.lines, ::testing::IsEmpty());
  EXPECT_EQ(fibers::last_swallowed_cancelled(), "");
}

FIBER_TEST(BoostFiberTest, TheBlockWaitsForCallsOfOtherTasks) {
  install();
  bool ended = false;
  Event begun;
  open_nursery([&](Nursery& nursery) {
    share_thread([&] {
      nursery.start_soon([&] {
        boost_fiber_as_trio([&] {
          begun.set();
          for (int i = 0; i < 5; ++i) boost::this_fiber::yield();
        });
        ended = true;
      });
      begun.wait();
    });
    EXPECT_TRUE(ended);
  });
}

FIBER_TEST(BoostFiberTest, TheBodysErrorAndValueComeOutAsTheyAre) {
  install();
  EXPECT_EQ(share_thread([] { return std::string("value"); }), "value");
  EXPECT_THROW(share_thread([] { throw std::out_of_range("far"); }), std::out_of_range);
}

FIBER_TEST(BoostFiberTest, EachKnowsHowItIsCancelled) {
  shared([] {
    EXPECT_EQ(current_async_library(), "trio");
    boost_fiber_as_trio([] {
      EXPECT_EQ(current_async_library(), "boost_fiber");
      trio_as_boost_fiber([] { EXPECT_EQ(current_async_library(), "trio"); });
      EXPECT_EQ(current_async_library(), "boost_fiber");
    });
    EXPECT_EQ(current_async_library(), "trio");
  });
  shared([] {
    open_loop([](EventLoop& loop) {
      const auto called = std::make_shared<Event>();
      loop.call_soon([called] {
        boost_fiber_as_trio([] { EXPECT_EQ(current_async_library(), "boost_fiber"); });
        EXPECT_EQ(current_async_library(), "asyncio");
        called->set();
      });
      called->wait();
    });
  });
}

FIBER_TEST(BoostFiberTest, AFiberMayActOnTheRunButNotWaitInIt) {
  shared([] {
    Event event;
    CancelScope scope;
    boost_fiber_as_trio([&] {
      EXPECT_THROW(fibers::sleep(1s), fibers::UsageError);
      EXPECT_THROW(event.wait(), fibers::UsageError);
      EXPECT_THROW(boost_fiber_as_trio([] {}), fibers::UsageError);
      EXPECT_TRUE(fibers::in_trio_run());
      EXPECT_FALSE(fibers::in_trio_task());
      event.set();
      scope.cancel();
    });
    event.wait();
    EXPECT_TRUE(scope.cancel_called());
  });
}

FIBER_TEST(BoostFiberTest, AFiberMayStartATask) {
  shared([] {
    auto value = std::make_unique<int>(0);
    open_nursery([&](Nursery& nursery) {
      boost_fiber_as_trio([&] {
        // What a fiber has on its own stack is its own business.
        nursery.start_soon([value = value.get()] { ++*value; });
      });
    });
    EXPECT_EQ(*value, 1);
  });
}

FIBER_TEST(BoostFiberTest, MisuseIsRefused) {
  WEFT_NOT_FAULT_SWEPT("an error that leaves a plain thread ends the process");
  std::thread([] {
    fibers::run([] { EXPECT_THROW(share_thread([] {}), fibers::UsageError); });
  }).join();
  install();
  EXPECT_THROW(boost_fiber_as_trio([] {}), fibers::UsageError);
  EXPECT_THROW(trio_as_boost_fiber([] {}), fibers::UsageError);
  share_thread([] {
    EXPECT_THROW(share_thread([] {}), fibers::UsageError);
    EXPECT_THROW(trio_as_boost_fiber([] {}), fibers::UsageError);
  });
}

}  // namespace
}  // namespace weft::boost_fiber
