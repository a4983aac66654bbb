// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/gather.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "weft/fibers/exception_group.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

FIBER_TEST(GatherTest, ReturnsWhatEachReturnsInTheirOrder) {
  bool ran = false;
  const auto [number, text, nothing] = gather(
      [] {
        sleep(seconds(2));
        return 1;
      },
      [] { return std::string("a"); }, [&] { ran = true; });
  EXPECT_EQ(number, 1);
  EXPECT_EQ(text, "a");
  EXPECT_TRUE(ran);
  static_assert(std::is_same_v<decltype(nothing), const std::monostate>);
}

FIBER_TEST(GatherTest, TheyRunAtTheSameTime) {
  const Instant start = current_time();
  gather([] { sleep(seconds(2)); }, [] { sleep(seconds(3)); }, [] { sleep(seconds(1)); });
  EXPECT_EQ(current_time() - start, std::chrono::seconds(3));
}

FIBER_TEST(GatherTest, TakesAsManyAsThereAre) {
  std::vector<std::function<int()>> fns;
  for (int i = 0; i < 5; ++i) {
    fns.emplace_back([i] {
      sleep(seconds(5 - i));
      return i * i;
    });
  }
  EXPECT_EQ(gather(fns), (std::vector<int>{0, 1, 4, 9, 16}));
  EXPECT_EQ(gather(std::vector<std::function<bool()>>(2, [] { return true; })),
            (std::vector<bool>{true, true}));
  EXPECT_TRUE(gather(std::vector<std::function<int()>>()).empty());
}

FIBER_TEST(GatherTest, ValuesMayBeMoveOnly) {
  auto [a, b] = gather([] { return std::make_unique<int>(1); }, [] { return 2; });
  EXPECT_EQ(*a + b, 3);
}

FIBER_TEST(GatherTest, TheFirstErrorCancelsTheOthersAndComesOutAsItIs) {
  bool finished = false;
  const Instant start = current_time();
  EXPECT_THROW(gather(
                   [] {
                     sleep(seconds(1));
                     throw std::out_of_range("far");
                   },
                   [&] {
                     sleep(seconds(10));
                     finished = true;
                   }),
               std::out_of_range);
  EXPECT_FALSE(finished);
  EXPECT_EQ(current_time() - start, std::chrono::seconds(1));
}

FIBER_TEST(GatherTest, SeveralErrorsAllComeOut) {
  try {
    gather([]() -> int { throw std::out_of_range("a"); },
           []() -> int { throw std::runtime_error("b"); });
    ADD_FAILURE() << "no error";
  } catch (const ExceptionGroup& group) {
    EXPECT_EQ(group.exceptions().size(), 2U);
  }
}

FIBER_TEST(GatherTest, CancellationReachesAll) {
  int cancelled = 0;
  const auto wait = [&] {
    try {
      sleep_forever();
    } catch (...) {
      ++cancelled;
      throw;
    }
  };
  EXPECT_FALSE(move_on_after(seconds(1), [&] { gather(wait, wait); }));
  EXPECT_EQ(cancelled, 2);
}

FIBER_TEST(GatherTest, NothingIsACheckpointToo) {
  testing::assert_checkpoints([] { gather([] {}); });
}

}  // namespace
}  // namespace weft::fibers
