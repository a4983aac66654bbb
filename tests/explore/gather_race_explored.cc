// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// gather, race and first_success.

#include <functional>
#include <stdexcept>
#include <variant>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/gather.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/race.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using Jobs = std::vector<std::function<int()>>;

// Waits that often, then returns `value`.
std::function<int()> after(int checkpoints, int value) {
  return [=] {
    for (int i = 0; i < checkpoints; ++i) checkpoint();
    return value;
  };
}
std::function<int()> fails_after(int checkpoints) {
  return [=]() -> int {
    for (int i = 0; i < checkpoints; ++i) checkpoint();
    throw std::runtime_error("failed");
  };
}

// Counts who is inside.
std::function<int()> counted(int& inside, std::function<int()> job) {
  return [&inside, job = std::move(job)] {
    struct Leave {
      int& count;
      ~Leave() { --count; }
    } const leave{++inside};
    return job();
  };
}

// What leaves `body`: null if nothing does. Never a Cancelled.
template <class Body>
std::exception_ptr error_of(Body&& body) {
  try {
    body();
  } catch (...) {
    auto error = std::current_exception();
    EXPECT_EQ(split(error, is_any_of<Cancelled>()).first, nullptr);
    return error;
  }
  return nullptr;
}

// explores: gather
EXPLORE_TEST(GatherExplored, ResultsComeInTheOrderOfTheCalls) {
  EXPECT_EQ(gather(Jobs{after(2, 1), after(0, 2), after(1, 3)}), (std::vector{1, 2, 3}));
}

// One error is itself, several are a group, and everybody has ended.
// explores: gather
EXPLORE_TEST(GatherExplored, ErrorsComeOutWhenAllHaveEnded) {
  int inside = 0;
  int failures = 0;
  const auto failing = [&] {
    return counted(inside, [&]() -> int {
      checkpoint();
      ++failures;
      throw std::runtime_error("failed");
    });
  };
  const auto error = error_of([&] {
    gather(Jobs{failing(), failing(), counted(inside, after(3, 1))});
  });
  EXPECT_EQ(inside, 0);
  const auto* group = exception_cast<ExceptionGroup>(error);
  EXPECT_EQ(group != nullptr ? group->exceptions().size() : 1, static_cast<std::size_t>(failures));
}

// explores: gather
EXPLORE_TEST(GatherExplored, IsCancelledAsAWhole) {
  CancelScope scope;
  int inside = 0;
  bool got = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      got = scope.run([&] {
        gather(Jobs{counted(inside, after(2, 1)), counted(inside, after(1, 2))});
      });
      EXPECT_EQ(inside, 0);
    });
    nursery.start_soon([&] {
      checkpoint();
      checkpoint();
      scope.cancel();
    });
  });
  EXPECT_NE(got, scope.cancelled_caught());
}

// explores: race
EXPLORE_TEST(RaceExplored, OneWinsAndTheOthersHaveEnded) {
  int inside = 0;
  int first = -1;
  const auto runner = [&](int number) {
    return counted(inside, [&first, number] {
      checkpoint();
      if (first < 0) first = number;
      return number;
    });
  };
  const RaceResult<int> won = race(Jobs{runner(0), runner(1), counted(inside, [] {
                                          sleep_forever();
                                          return 2;
                                        })});
  EXPECT_EQ(inside, 0);
  EXPECT_EQ(won.value, first);
  EXPECT_EQ(won.index, static_cast<std::size_t>(first));
}

// What decides is who comes first, the value or the error; an error is never dropped.
// explores: race
EXPLORE_TEST(RaceExplored, AnErrorOfAnybodyComesOut) {
  bool failed = false;
  int value = 0;
  const auto error = error_of([&] {
    value = race(Jobs{after(1, 1),
                      [&]() -> int {
                        checkpoint();
                        failed = true;
                        throw std::runtime_error("failed");
                      }})
                .value;
  });
  EXPECT_EQ(error != nullptr, failed);
  EXPECT_EQ(value, failed ? 0 : 1);
}

// explores: race
EXPLORE_TEST(RaceExplored, IsWonOrCancelled) {
  CancelScope scope;
  int inside = 0;
  ScopeResult<RaceResult<int>> won;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      won = scope.run([&] {
        return race(Jobs{counted(inside, after(1, 5)), counted(inside, after(2, 5))});
      });
      EXPECT_EQ(inside, 0);
    });
    nursery.start_soon([&] {
      checkpoint();
      checkpoint();
      scope.cancel();
    });
  });
  EXPECT_NE(won.finished(), scope.cancelled_caught());
  if (won.finished()) {
    EXPECT_EQ(won.value().value, 5);
  }
}

// explores: first_success
EXPLORE_TEST(FirstSuccessExplored, WhoFailsIsOnlyOutOfIt) {
  int inside = 0;
  const RaceResult<int> won =
      first_success(Jobs{counted(inside, fails_after(1)), counted(inside, after(2, 7)),
                         counted(inside, fails_after(1))});
  EXPECT_EQ(inside, 0);
  EXPECT_EQ(won.index, 1U);
  EXPECT_EQ(won.value, 7);
}

// explores: first_success
EXPLORE_TEST(FirstSuccessExplored, IfAllFailEveryErrorIsThere) {
  const auto error = error_of([] {
    first_success(Jobs{fails_after(0), fails_after(1), fails_after(1)});
  });
  const auto* group = exception_cast<ExceptionGroup>(error);
  ASSERT_NE(group, nullptr);
  EXPECT_EQ(group->exceptions().size(), 3U);
}

// A loser that fails on being cancelled does not take the victory away.
// explores: first_success
EXPLORE_TEST(FirstSuccessExplored, AVictoryStays) {
  const RaceResult<int> won = first_success(Jobs{after(1, 0), [] {
                                                   try {
                                                     checkpoint();
                                                     checkpoint();
                                                   } catch (const Cancelled&) {
                                                     throw std::runtime_error("while leaving");
                                                   }
                                                   return 1;
                                                 }});
  EXPECT_EQ(won.value, static_cast<int>(won.index));
}

}  // namespace
}  // namespace weft::fibers
