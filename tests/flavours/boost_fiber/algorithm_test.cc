// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/boost_fiber/algorithm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/fiber/all.hpp>
#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/flavours/boost_fiber/boost_fiber_testing.h"
#include "tests/support/captured_log.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/open_loop.h"

namespace weft::boost_fiber {
namespace {

using namespace std::chrono_literals;
using fibers::Nursery;
using fibers::open_nursery;

TEST(SharedAlgorithmRunTest, WithoutARunItIsAPlainAlgorithm) {
  install();
  std::vector<int> order;
  bf::promise<int> promise;
  auto future = promise.get_future();
  bf::fiber one([&] {
    order.push_back(1);
    boost::this_fiber::yield();
    order.push_back(3);
  });
  bf::fiber two([&] { order.push_back(2); });
  one.join();
  two.join();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
  std::thread other([&] { promise.set_value(4); });
  EXPECT_EQ(future.wait_for(1h), bf::future_status::ready);
  EXPECT_EQ(future.get(), 4);
  other.join();
  bf::promise<void> never;
  EXPECT_EQ(never.get_future().wait_until(std::chrono::steady_clock::now()),
            bf::future_status::timeout);
}

// The fibers were there before the run, which is one fiber's business.
TEST(SharedAlgorithmRunTest, ARunOnABoostFiberLetsTheOthersGoOn) {
  install();
  std::vector<std::string> order;
  bf::buffered_channel<int> channel(4);
  bf::fiber reader([&] {
    for (const int value : channel) order.push_back("read " + std::to_string(value));
  });
  bf::fiber runner([&] {
    fibers::run([&] {
      share_thread([&] {
        for (std::size_t i = 0; i < 3; ++i) {
          boost_fiber_as_trio([&] { channel.push(static_cast<int>(i)); });
          while (order.size() <= i) fibers::checkpoint();
        }
      });
    });
    order.emplace_back("the run is over");
    channel.close();
  });
  runner.join();
  reader.join();
  EXPECT_EQ(order, (std::vector<std::string>{"read 0", "read 1", "read 2", "the run is over"}));
}

// --- Tasks that wait for Boost.Fiber directly. ---

FIBER_TEST(SharedAlgorithmTest, ADirectWaitOfATaskIsServedByTheOtherFibers) {
  shared([] {
    bf::promise<int> promise;
    const Joined fiber([&] {
      boost::this_fiber::yield();
      EXPECT_THROW(fibers::sleep(1s), fibers::UsageError);
      EXPECT_EQ(current_async_library(), "boost_fiber");
      promise.set_value(3);
    });
    EXPECT_EQ(promise.get_future().get(), 3);
    EXPECT_EQ(current_async_library(), "trio");
    fibers::checkpoint();
  });
}

// Boost.Fiber is idle meanwhile, and so the thread waits.
TEST(SharedAlgorithmRunTest, ADirectWaitForAnotherThreadIsWarnedOfOnce) {
  std::vector<std::string> lines;
  std::thread([&] {
    const test::CapturedLog log;
    bf::use_scheduling_algorithm<Shared<>>();
    fibers::run([] {
      share_thread([] {
        for (int i = 0; i < 2; ++i) {
          bf::promise<int> promise;
          std::thread other([&] { promise.set_value(i); });
          EXPECT_EQ(promise.get_future().get(), i);
          other.join();
        }
      });
    });
    lines = log.lines;
    bf::use_scheduling_algorithm<bf::algo::round_robin>();
  }).join();
  // None if the other thread was always there first.
  ASSERT_LE(lines.size(), 1U);
  for (const std::string& line : lines) {
    EXPECT_NE(line.find("boost_fiber_as_trio()"), std::string::npos) << line;
  }
}

FIBER_TEST(SharedAlgorithmTest, AFiberThatBeginsAtOnceIsNoTaskEither) {
  shared([] {
    bool ran = false;
    bf::fiber fiber(bf::launch::dispatch, [&] {
      EXPECT_FALSE(fibers::in_trio_task());
      EXPECT_THROW(fibers::sleep(1s), fibers::UsageError);
      ran = true;
      boost::this_fiber::yield();
    });
    EXPECT_TRUE(ran);
    EXPECT_TRUE(fibers::in_trio_task());
    fiber.join();
  });
}

// --- The exception state. ---

// Before Boost 1.88 these would rethrow each other's errors.
FIBER_TEST(SharedAlgorithmTest, EachWaitsInItsOwnCatchBlock) {
  WEFT_NOT_FAULT_SWEPT("without memory for its exception state a waiting fiber ends the process");
  shared([] {
    std::vector<std::string> seen;
    const auto catch_and = [&seen](const char* name, auto&& wait) {
      try {
        throw std::runtime_error(name);
      } catch (...) {
        wait();
        try {
          throw;
        } catch (const std::runtime_error& error) {
          seen.push_back(error.what() +
                         (std::string(error.what()) == name ? "" : " by " + std::string(name)));
        }
      }
    };
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        boost_fiber_as_trio([&] { catch_and("fiber 1", [] { boost::this_fiber::yield(); }); });
      });
      nursery.start_soon([&] {
        boost_fiber_as_trio([&] {
          catch_and("fiber 2", [&] {
            bf::fiber(bf::launch::dispatch, [&] {
              EXPECT_EQ(std::current_exception(), nullptr);
              catch_and("fiber 3", [] { boost::this_fiber::yield(); });
            }).join();
          });
        });
      });
      nursery.start_soon([&] {
        catch_and("task", [] {
          boost_fiber_as_trio([] { EXPECT_EQ(std::current_exception(), nullptr); });
        });
      });
    });
    std::sort(seen.begin(), seen.end());
    EXPECT_EQ(seen, (std::vector<std::string>{"fiber 1", "fiber 2", "fiber 3", "task"}));
  });
}

FIBER_TEST(SharedAlgorithmTest, AFiberMayWaitWhileItUnwinds) {
  WEFT_NOT_FAULT_SWEPT("without memory for its exception state a waiting fiber ends the process");
  shared([] {
    struct WaitsAtEnd {
      ~WaitsAtEnd() {
        EXPECT_EQ(std::uncaught_exceptions(), 1);
        try {
          trio_as_boost_fiber([] {
            EXPECT_EQ(std::uncaught_exceptions(), 0);
            fibers::sleep(1s);
          });
        } catch (const bf::fiber_error&) {  // NOLINT(bugprone-empty-catch): the test is cancelled.
        }
        boost::this_fiber::yield();
        EXPECT_EQ(std::uncaught_exceptions(), 1);
      }
    };
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([] {
        EXPECT_THROW(boost_fiber_as_trio([] {
                       const WaitsAtEnd waits;
                       throw std::out_of_range("far");
                     }),
                     std::out_of_range);
      });
      for (int i = 0; i < 5; ++i) {
        boost_fiber_as_trio([] {
          EXPECT_EQ(std::uncaught_exceptions(), 0);
          boost::this_fiber::yield();
          EXPECT_EQ(std::uncaught_exceptions(), 0);
        });
        EXPECT_EQ(std::uncaught_exceptions(), 0);
      }
    });
  });
}

// --- More of Boost.Fiber's own things, between fibers and tasks. ---

FIBER_TEST(SharedAlgorithmTest, ABarrierHoldsTasksAndFibersUntilAllAreThere) {
  WEFT_NOT_SWEPT("without one of them the others wait for ever");
  WEFT_NOT_ALLOCATION_SWEPT("without one of them the others wait for ever");
  shared([] {
    bf::barrier barrier(3);
    int there = 0;
    int seen = 0;
    const auto meet = [&] {
      ++there;
      barrier.wait();
      seen += there;
    };
    const Joined fiber(meet);
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { boost_fiber_as_trio(meet); });
      fibers::checkpoint();
      EXPECT_EQ(seen, 0);
      boost_fiber_as_trio(meet);
    });
    boost::this_fiber::yield();
    EXPECT_EQ(seen, 9);
  });
}

FIBER_TEST(SharedAlgorithmTest, ATaskWaitsForWhatAPackagedTaskReturnsOrThrows) {
  WEFT_NOT_SWEPT("the body would leave fibers behind");
  WEFT_NOT_ALLOCATION_SWEPT("an error would be another one");
  shared([] {
    bf::packaged_task<int(int)> twice([](int i) {
      if (i < 0) throw std::out_of_range("negative");
      return 2 * trio_as_boost_fiber([i] {
               fibers::checkpoint();
               return i;
             });
    });
    bf::future<int> result = twice.get_future();
    bf::fiber(std::move(twice), 4).detach();
    EXPECT_EQ(boost_fiber_as_trio([&] { return result.get(); }), 8);
    bf::future<int> other = bf::async([]() -> int { throw std::out_of_range("far"); });
    EXPECT_THROW(boost_fiber_as_trio([&] { return other.get(); }), std::out_of_range);
  });
}

// They are the thread's, not the block's: who wants them ended joins them.
TEST(SharedAlgorithmRunTest, ADetachedFiberOutlivesTheBlock) {
  install();
  bf::promise<void> go_on;
  bf::promise<int> last;
  bf::future<int> result = last.get_future();
  std::vector<std::string> order;
  fibers::run([&] {
    share_thread([&] {
      bf::fiber([&] {
        order.emplace_back("begins");
        go_on.get_future().get();
        try {
          trio_as_boost_fiber([] {});
        } catch (const fibers::UsageError&) {
          order.emplace_back("no tasks any more");
        }
        last.set_value(5);
      }).detach();
      boost_fiber_as_trio([] { boost::this_fiber::yield(); });
    });
    order.emplace_back("the block is over");
  });
  go_on.set_value();
  EXPECT_EQ(result.get(), 5);
  EXPECT_EQ(order, (std::vector<std::string>{"begins", "the block is over", "no tasks any more"}));
}

// --- Another algorithm below. ---

struct Priority : bf::fiber_properties {
  explicit Priority(bf::context* context) : fiber_properties(context) {}
  int value = 0;
};

// The highest first.
class ByPriority : public bf::algo::algorithm_with_properties<Priority> {
 public:
  void awakened(bf::context* context, Priority& priority) noexcept override {
    auto at = queue_.begin();
    while (at != queue_.end() && properties(&*at).value >= priority.value) ++at;
    context->ready_unlink();
    queue_.insert(at, *context);
  }
  bf::context* pick_next() noexcept override {
    if (queue_.empty()) return nullptr;
    bf::context* const next = &queue_.front();
    queue_.pop_front();
    return next;
  }
  bool has_ready_fibers() const noexcept override { return !queue_.empty(); }
  void suspend_until(const std::chrono::steady_clock::time_point&) noexcept override {}
  void notify() noexcept override {}

 private:
  bf::scheduler::ready_queue_type queue_;
};

TEST(SharedAlgorithmRunTest, AnotherAlgorithmMayBeBelow) {
  std::vector<int> order;
  std::thread([&] {
    bf::use_scheduling_algorithm<Shared<ByPriority>>();
    fibers::run([&] {
      share_thread([&] {
        std::vector<bf::fiber> all;
        for (const int value : {1, 3, 2}) {
          all.emplace_back([&order, value] { order.push_back(value); });
          all.back().properties<Priority>().value = value;
        }
        boost_fiber_as_trio([&] {
          for (bf::fiber& fiber : all) fiber.join();
        });
      });
    });
    bf::use_scheduling_algorithm<bf::algo::round_robin>();
    bf::fiber([&] { order.push_back(4); }).join();
  }).join();
  EXPECT_EQ(order.size(), 4U);
}

}  // namespace
}  // namespace weft::boost_fiber
