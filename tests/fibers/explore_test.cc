// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/explore.h"

#include <gmock/gmock.h>

#include <chrono>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "weft/fibers/detail/sanitizers.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers::testing {
namespace {

using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Tasks that each append their number, `steps` times, with a checkpoint before each.
void append_all(std::vector<int>& order, int tasks, int steps) {
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < tasks; ++i) {
      nursery.start_soon([&order, i, steps] {
        for (int step = 0; step < steps; ++step) {
          if (step > 0) checkpoint();
          order.push_back(i);
        }
      });
    }
  });
}

std::set<std::vector<int>> all_orders(int tasks, int steps, ExploreOptions options = {}) {
  std::set<std::vector<int>> orders;
  const auto result = explore(
      [&] {
        std::vector<int> order;
        append_all(order, tasks, steps);
        orders.insert(order);
      },
      options);
  EXPECT_TRUE(result.exhausted);
  EXPECT_GE(result.schedules, orders.size());
  return orders;
}

// Two tasks and a lock, which the second one looks at, waits, and takes. It fails in one order of
// the first batch and one of the second.
void careless_lock() {
  bool taken = false;
  const auto hold = [&] {
    if (std::exchange(taken, true)) throw std::logic_error("two inside");
    checkpoint();
    taken = false;
  };
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      if (!taken) hold();
    });
    nursery.start_soon([&] {
      if (taken) return;
      checkpoint();
      hold();
    });
  });
}

TEST(ExploreTest, TriesEveryOrderOfABatch) {
  EXPECT_EQ(all_orders(3, 1).size(), 6U);
  EXPECT_EQ(all_orders(4, 1).size(), 24U);
  // Every batch in every order: 3! times 3!.
  EXPECT_EQ(all_orders(3, 2).size(), 36U);
}

TEST(ExploreTest, WithoutFairnessTriesEveryInterleaving) {
  // 4! / (2! 2!) ways of putting two sequences of two together, against the 2! 2! of batches.
  EXPECT_EQ(all_orders(2, 2, {.fair = false}).size(), 6U);
  EXPECT_EQ(all_orders(2, 2).size(), 4U);
}

TEST(ExploreTest, ABodyWithoutChoicesIsRunOnce) {
  const auto result = explore([] { sleep(seconds(5)); });
  EXPECT_EQ(result.schedules, 1U);
  EXPECT_EQ(result.choices, 0U);
  EXPECT_TRUE(result.exhausted);
}

TEST(ExploreTest, StopsAtTheMostSchedulesThatAreWanted) {
  std::vector<int> order;
  const auto result = explore([&] { append_all(order, 3, 1); }, {.schedules = 4});
  EXPECT_EQ(result.schedules, 4U);
  EXPECT_FALSE(result.exhausted);
  EXPECT_EQ(order.size(), 12U);
}

TEST(ExploreTest, BeyondTheMostChoicesDoesNotBranch) {
  std::vector<int> order;
  const auto result = explore([&] { append_all(order, 3, 1); }, {.choices = 1});
  EXPECT_EQ(result.schedules, 3U);
  EXPECT_FALSE(result.exhausted);
}

class ExploreStrategyTest : public ::testing::TestWithParam<Strategy> {};

TEST_P(ExploreStrategyTest, AFailureIsReplayedByItsToken) {
  std::string token;
  try {
    explore(&careless_lock, {.strategy = GetParam()});
  } catch (const ExploreError& error) {
    token = error.token();
    EXPECT_THAT(error.what(), AllOf(HasSubstr("two inside"), HasSubstr("WEFT_REPLAY=" + token)));
    EXPECT_THROW(std::rethrow_if_nested(error), ExceptionGroup);
  }
  ASSERT_NE(token, "");
  for (int again = 0; again < 2; ++again) {
    try {
      explore(&careless_lock, {.replay = token});
      FAIL() << "the schedule " << token << " does not fail again";
    } catch (const ExploreError& error) {
      EXPECT_THAT(error.what(), HasSubstr("schedule 1 failed"));
      EXPECT_EQ(error.token(), token);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ExploreStrategyTest,
                         ::testing::Values(Strategy::kExhaustive, Strategy::kRandom,
                                           Strategy::kPct));

TEST(ExploreTest, TheEnvironmentAsksForOneSchedule) {
  std::vector<std::vector<int>> orders;
  const auto body = [&] { append_all(orders.emplace_back(), 3, 1); };
  ::setenv("WEFT_REPLAY", "s21", 1);
  const auto result = explore(body);
  ::unsetenv("WEFT_REPLAY");
  EXPECT_EQ(result.schedules, 1U);
  EXPECT_EQ(orders, (std::vector<std::vector<int>>{{2, 0, 1}}));
}

// The numbers were taken from a debug build; other builds have to come to the same.
TEST(ExploreTest, TheSameTokenDoesTheSameEverywhere) {
  const auto body = [] {
    auto [send, receive] = open_memory_channel<int>(1);
    open_nursery([&, &send = send, &receive = receive](Nursery& nursery) {
      for (int i = 0; i < 3; ++i) {
        nursery.start_soon([&send, i] {
          sleep(seconds(i % 2));
          send.send(i);
        });
      }
      for (int i = 0; i < 3; ++i) receive.receive();
    });
  };
  const auto hash = [&](const std::string& token) {
    return explore(body, {.replay = token}).trace_hash;
  };
  EXPECT_EQ(hash("s"), hash("s"));
  EXPECT_NE(hash("s"), hash("s1"));
  EXPECT_EQ(hash("s"), 12599491271353714359U);
  EXPECT_EQ(hash("r7"), 7984185020489920227U);
  EXPECT_EQ(explore(body, {.strategy = Strategy::kPct, .schedules = 50}).trace_hash,
            12128341749774521696U);
}

TEST(ExploreTest, PruningLeavesOutWhatHasBeenSeen) {
  const auto body = [](Exploration& exploration, bool prune) {
    if (prune) exploration.prune();
    Event event;
    int done = 0;
    open_nursery([&](Nursery& nursery) {
      for (int i = 0; i < 3; ++i) {
        nursery.start_soon([&] {
          checkpoint();
          event.wait();
          ++done;
        });
      }
      checkpoint();
      checkpoint();
      event.set();
    });
    if (done != 3) throw std::logic_error("lost");
  };
  const auto whole = explore([&](Exploration& e) { body(e, false); });
  const auto pruned = explore([&](Exploration& e) { body(e, true); });
  EXPECT_TRUE(whole.exhausted);
  EXPECT_EQ(whole.pruned, 0U);
  EXPECT_TRUE(pruned.exhausted);
  // What a sanitizer leaves on the stacks differs from run to run, so that no state is seen twice.
#if !defined(WEFT_ASAN) && !defined(WEFT_TSAN)
  EXPECT_GT(pruned.pruned, 0U);
  EXPECT_LT(pruned.schedules, whole.schedules);
#endif
}

TEST(ExploreTest, PruningStillFindsTheFailure) {
  EXPECT_THROW(explore([](Exploration& exploration) {
                 exploration.prune();
                 careless_lock();
               }),
               ExploreError);
}

TEST(ExploreTest, ABodyThatCanNeverGoOnFails) {
  try {
    explore([] {
      Event never;
      never.wait();
    });
    FAIL();
  } catch (const ExploreError& error) {
    EXPECT_THROW(std::rethrow_if_nested(error), DeadlockError);
    EXPECT_EQ(error.token(), "s");
  }
}

TEST(ExploreTest, ABodyThatNeverEndsFails) {
  try {
    explore(
        [] {
          while (true) checkpoint();
        },
        {.steps = 100});
    FAIL();
  } catch (const ExploreError& error) {
    EXPECT_THAT(error.what(), HasSubstr("within 100 steps"));
  }
}

TEST(ExploreTest, ACheckOfTheCallersCounts) {
  int runs = 0;
  std::vector<int> order;
  EXPECT_THROW(explore([&] { append_all(order, 3, 1); }, {.failed = [&] { return ++runs == 5; }}),
               ExploreError);
  EXPECT_EQ(order.size(), 15U);
}

TEST(ExploreTest, ABodyThatRemembersIsRefused) {
  int runs = 0;
  try {
    explore([&] {
      std::vector<int> order;
      append_all(order, 2 + runs++ % 2, 1);
    });
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("does not do the same"));
  }
}

TEST(ExploreTest, ATokenThatIsNoneIsRefused) {
  const auto body = [] {};
  for (const char* token : {"x", "s1!", "s(12", "r", "rabc", "r1x", "p1", "p1.0.5", "p1.2"}) {
    EXPECT_THROW(explore(body, {.replay = token}), UsageError) << token;
  }
  EXPECT_THROW(explore(body, {.replay = "s01"}), UsageError) << "of another body";
}

TEST(ExploreTest, LargeChoicesHaveTokensToo) {
  std::vector<int> order;
  explore([&] { append_all(order, 50, 1); }, {.replay = "s(40)z"});
  ASSERT_EQ(order.size(), 50U);
  EXPECT_EQ(order[0], 40);
  EXPECT_EQ(order[1], 36);
}

TEST(ExploreTest, IsRefusedInsideARun) {
  EXPECT_THROW(run([] { explore([] {}); }), std::exception);
}

EXPLORE_TEST(ExploreTest, IsAlsoAMacro) {
  exploration.prune();
  int sum = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 1; i <= 4; ++i) nursery.start_soon([&sum, i] { sum += i; });
  });
  EXPECT_EQ(sum, 10);
}

}  // namespace
}  // namespace weft::fibers::testing
