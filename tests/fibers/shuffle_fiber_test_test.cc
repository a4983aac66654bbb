// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/shuffle_fiber_test.h"

#include <gmock/gmock.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

using ::testing::HasSubstr;
using testing::parse_wanted_schedules;
using testing::shuffle_fiber_test;
using testing::shuffle_total;

std::vector<int> order_of_three() {
  std::vector<int> order;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) nursery.start_soon([&order, i] { order.push_back(i); });
  });
  return order;
}

// What `statement` has failed with.
template <class Statement>
std::string failure_of(Statement statement) {
  ::testing::TestPartResultArray failures;
  {
    const ::testing::ScopedFakeTestPartResultReporter reporter(&failures);
    statement();
  }
  std::string text;
  for (int i = 0; i < failures.size(); ++i) text += failures.GetTestPartResult(i).message();
  return text;
}

TEST(ShuffleFiberTestTest, ABodyIsRunInEveryOrderThereIs) {
  static std::set<std::vector<int>> orders;
  orders.clear();
  const auto before = shuffle_total();
  shuffle_fiber_test([] { orders.insert(order_of_three()); }, {.count = 60});
  EXPECT_EQ(orders.size(), 6U);
  EXPECT_EQ(shuffle_total().tests, before.tests + 1);
  EXPECT_EQ(shuffle_total().schedules, before.schedules + 60);
}

TEST(ShuffleFiberTestTest, AnotherSeedTakesOtherOrders) {
  static std::vector<std::vector<int>> orders;
  const auto orders_with = [](std::uint64_t seed) {
    orders.clear();
    shuffle_fiber_test([] { orders.push_back(order_of_three()); }, {.count = 20, .seed = seed});
    return orders;
  };
  EXPECT_EQ(orders_with(7), orders_with(7));
  EXPECT_NE(orders_with(7), orders_with(8));
}

TEST(ShuffleFiberTestTest, AFailureNamesTheScheduleThatIsRunAloneThen) {
  static int runs = 0;
  static const auto last_must_not_be_first = [] {
    ++runs;
    if (order_of_three().front() == 2) throw std::runtime_error("the last came first");
  };
  const std::string failure =
      failure_of([] { shuffle_fiber_test(last_must_not_be_first, {.count = 60}); });
  EXPECT_THAT(failure, HasSubstr("the last came first"));
  const std::string marker = "WEFT_REPLAY=";
  const std::size_t token = failure.find(marker);
  ASSERT_NE(token, std::string::npos) << failure;
  const std::size_t begin = token + marker.size();
  ::setenv("WEFT_REPLAY", failure.substr(begin, failure.find('\n', begin) - begin).c_str(), 1);
  runs = 0;
  const std::string again = failure_of([] { testing::fiber_test(last_must_not_be_first); });
  ::unsetenv("WEFT_REPLAY");
  EXPECT_THAT(again, HasSubstr("the last came first"));
  EXPECT_EQ(runs, 1);
}

TEST(ShuffleFiberTestTest, ABodyMayBeLeftOut) {
  static int shuffled = 0;
  shuffle_fiber_test(
      [] {
        WEFT_NOT_SHUFFLED("this is about leaving it out");
        ++shuffled;
      },
      {.count = 10});
  EXPECT_EQ(shuffled, 0);
}

TEST(ShuffleFiberTestTest, TheEnvironmentSaysHowManyAndWhich) {
  EXPECT_EQ(parse_wanted_schedules("100").count, 100U);
  EXPECT_EQ(parse_wanted_schedules("100").seed, 0U);
  EXPECT_EQ(parse_wanted_schedules("100,7").count, 100U);
  EXPECT_EQ(parse_wanted_schedules("100,7").seed, 7U);
  for (const char* text : {"", "many", "-1", "100,", "100;7", "100,7,8"}) {
    EXPECT_THROW(parse_wanted_schedules(text), UsageError) << text;
  }
  static int runs = 0;
  ::setenv("WEFT_SCHEDULES", "many", 1);
  const std::string refused = failure_of([] { testing::fiber_test([] { ++runs; }); });
  ::unsetenv("WEFT_SCHEDULES");
  EXPECT_THAT(refused, HasSubstr("WEFT_SCHEDULES='many' is neither"));
  EXPECT_GE(runs, 1);
}

}  // namespace
}  // namespace weft::fibers
