// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/stack.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/task.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers::detail {
namespace {

constexpr std::size_t kSize = 64 * 1024;

std::byte* low_end(const Stack& stack) {
  return stack.bottom + guard_size(stack.size);
}

TEST(StackPoolTest, SizesAreRoundedUpToAClass) {
  StackPool pool;
  EXPECT_EQ(pool.take(1).size, 16U * 1024);
  EXPECT_EQ(pool.take(16 * 1024 + 1).size, 32U * 1024);
  EXPECT_EQ(pool.take(kSize).size, kSize);
  EXPECT_EQ(pool.take(1000 * 1000).size, 1024U * 1024);
  EXPECT_THROW(pool.take((std::size_t{1} << 30) + 1), UsageError);
}

TEST(StackPoolTest, TheLastOneGivenBackIsTheFirstOneOut) {
  StackPool pool;
  std::array<Stack, 3> stacks{pool.take(kSize), pool.take(kSize), pool.take(kSize)};
  for (const Stack& stack : stacks) pool.give_back(stack);
  EXPECT_EQ(pool.take(kSize).bottom, stacks[2].bottom);
  EXPECT_EQ(pool.take(kSize).bottom, stacks[1].bottom);
  EXPECT_EQ(pool.take(kSize).bottom, stacks[0].bottom);
}

TEST(StackPoolTest, StacksDoNotOverlapAndAreWritableAsAWhole) {
  StackPool pool;
  std::vector<Stack> stacks;
  for (int i = 0; i < 200; ++i) stacks.push_back(pool.take(16 * 1024));
  for (std::size_t i = 0; i < stacks.size(); ++i) {
    std::memset(low_end(stacks[i]), static_cast<int>(i),
                static_cast<std::size_t>(stacks[i].top() - low_end(stacks[i])));
  }
  for (std::size_t i = 0; i < stacks.size(); ++i) {
    EXPECT_EQ(*low_end(stacks[i]), static_cast<std::byte>(i));
    EXPECT_EQ(*(stacks[i].top() - 1), static_cast<std::byte>(i));
  }
}

TEST(StackPoolTest, ManyStacksNeedFewMappings) {
  StackPool pool;
  std::set<std::byte*> bottoms;
  for (int i = 0; i < 5000; ++i) bottoms.insert(pool.take(kSize).bottom);
  EXPECT_EQ(bottoms.size(), 5000U);
  const StackStatistics s = pool.statistics();
  EXPECT_EQ(s.in_use, 5000U);
  EXPECT_EQ(s.pooled, 0U);
  EXPECT_LE(s.mappings, 8U);
  EXPECT_GE(s.bytes_reserved, 5000 * kSize);
  EXPECT_LE(s.bytes_reserved, 2 * 5000 * kSize);
}

// A processor's first table of pages has 16 sets, chosen by the low bits of the page's number.
TEST(StackPoolTest, TopsOfStacksAreInAllSetsOfTheTableOfPages) {
  StackPool pool;
  std::set<std::uintptr_t> sets;
  for (int i = 0; i < 16; ++i) {
    sets.insert(reinterpret_cast<std::uintptr_t>(pool.take(kSize).top()) / 4096 % 16);
  }
  EXPECT_EQ(sets.size(), 16U);
}

TEST(StackPoolTest, StatisticsCountWhatIsInUseAndPooled) {
  StackPool pool;
  const Stack a = pool.take(kSize);
  const Stack b = pool.take(2 * kSize);
  EXPECT_EQ(pool.statistics().in_use, 2U);
  pool.give_back(a);
  EXPECT_EQ(pool.statistics().in_use, 1U);
  EXPECT_EQ(pool.statistics().pooled, 1U);
  pool.give_back(b);
  EXPECT_EQ(pool.statistics().in_use, 0U);
  EXPECT_EQ(pool.statistics().pooled, 2U);
  EXPECT_EQ(pool.statistics().mappings, 2U);
}

bool is_zero(const Stack& stack) {
  const std::byte* end = stack.top() - kPageSize;
  return std::all_of(low_end(stack), const_cast<std::byte*>(end),
                     [](std::byte b) { return b == std::byte{0}; });
}

TEST(StackPoolTest, TrimGivesTheMemoryOfAllButSomeBack) {
  StackPool pool;
  std::vector<Stack> stacks;
  for (int i = 0; i < 8; ++i) {
    stacks.push_back(pool.take(kSize));
    std::memset(low_end(stacks.back()), 1, kSize - guard_size(kSize) - 64);
  }
  for (const Stack& stack : stacks) pool.give_back(stack);
  pool.trim(3);
  pool.trim(3);
  for (int i = 0; i < 8; ++i) {
    const Stack stack = pool.take(kSize);
    EXPECT_EQ(is_zero(stack), i >= 3) << i;
  }
}

// After a burst of a million tasks there is something to do for seconds, which nobody can wait for.
TEST(StackPoolTest, TrimmingStopsWhereItIsToldToAndGoesOnFromThere) {
  StackPool pool;
  std::vector<Stack> stacks;
  for (int i = 0; i < 8; ++i) {
    stacks.push_back(pool.take(kSize));
    std::memset(low_end(stacks.back()), 1, kSize - guard_size(kSize) - 64);
  }
  for (const Stack& stack : stacks) pool.give_back(stack);
  pool.trim(1, 3);
  EXPECT_TRUE(pool.worth_trimming(4));
  EXPECT_FALSE(pool.worth_trimming(5));
  pool.trim(1, 3);
  pool.trim(1, 3);
  EXPECT_FALSE(pool.worth_trimming(1));
  EXPECT_EQ(pool.statistics().pooled, 8U);
  EXPECT_FALSE(is_zero(pool.take(kSize)));
  for (int i = 0; i < 7; ++i) EXPECT_TRUE(is_zero(pool.take(kSize))) << i;
}

// What was trimmed is known, also after some of it has been used again.
TEST(StackPoolTest, TrimmingAgainFindsWhatHasBeenUsedSince) {
  StackPool pool;
  std::vector<Stack> stacks;
  for (int i = 0; i < 6; ++i) stacks.push_back(pool.take(kSize));
  for (const Stack& stack : stacks) pool.give_back(stack);
  pool.trim(0);
  std::vector<Stack> used;
  for (int i = 0; i < 4; ++i) {
    used.push_back(pool.take(kSize));
    std::memset(low_end(used.back()), 1, kSize - guard_size(kSize) - 64);
  }
  for (const Stack& stack : used) pool.give_back(stack);
  pool.trim(1);
  EXPECT_FALSE(is_zero(pool.take(kSize)));
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(is_zero(pool.take(kSize))) << i;
}

TEST(StackPoolTest, WhatIsTrimmedIsNotWorthTrimmingAgain) {
  StackPool pool;
  std::vector<Stack> stacks;
  for (int i = 0; i < 6; ++i) stacks.push_back(pool.take(kSize));
  EXPECT_FALSE(pool.worth_trimming(0)) << "nothing is pooled";
  for (const Stack& stack : stacks) pool.give_back(stack);
  EXPECT_TRUE(pool.worth_trimming(5));
  EXPECT_FALSE(pool.worth_trimming(6));
  pool.trim(2);
  EXPECT_FALSE(pool.worth_trimming(2));
  EXPECT_TRUE(pool.worth_trimming(1));
  for (Stack& stack : stacks) stack = pool.take(kSize);
  for (const Stack& stack : stacks) pool.give_back(stack);
  EXPECT_TRUE(pool.worth_trimming(2)) << "they have been used since";
}

// A page that is resident, as mincore() sees it.
std::size_t resident_pages(const Stack& stack) {
  std::byte* const low = stack.bottom + guard_size(stack.size);
  std::vector<unsigned char> pages(static_cast<std::size_t>(stack.top() - low) / kPageSize);
  EXPECT_EQ(::mincore(low, pages.size() * kPageSize, pages.data()), 0);
  return static_cast<std::size_t>(
      std::count_if(pages.begin(), pages.end(), [](unsigned char page) { return page & 1; }));
}

TEST(StackPoolTest, TrimmingLeavesNoPageOfAStack) {
  StackPool pool;
  std::vector<Stack> stacks;
  for (int i = 0; i < 5; ++i) {
    stacks.push_back(pool.take(kSize));
    *low_end(stacks.back()) = std::byte{1};
    *(stacks.back().top() - 1) = std::byte{1};
  }
  for (const Stack& stack : stacks) pool.give_back(stack);
  pool.trim(0);
  for (const Stack& stack : stacks) EXPECT_EQ(resident_pages(stack), 0U);
  std::vector<std::byte*> before;
  std::vector<std::byte*> after;
  for (const Stack& stack : stacks) {
    before.push_back(stack.bottom);
    after.push_back(pool.take(kSize).bottom);
  }
  std::sort(before.begin(), before.end());
  std::sort(after.begin(), after.end());
  EXPECT_EQ(after, before) << "each is there still, once";
}

TEST(StackPoolDeathTest, TheGuardFaults) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  StackPool pool;
  for (const std::size_t size : {std::size_t{16} * 1024, kSize, std::size_t{256} * 1024}) {
    const Stack stack = pool.take(size);
    *low_end(stack) = std::byte{1};
    auto* guard = static_cast<volatile std::byte*>(low_end(stack) - 1);
    EXPECT_DEATH(*guard = std::byte{1}, "") << size;
    auto* bottom = static_cast<volatile std::byte*>(stack.bottom);
    EXPECT_DEATH(*bottom = std::byte{1}, "") << size;
    // Also once it has been used and taken again.
    pool.give_back(stack);
    pool.trim(0);
    ASSERT_EQ(pool.take(size).bottom, stack.bottom);
    EXPECT_DEATH(*guard = std::byte{1}, "") << size;
  }
}

// The pool of a thread, as the tasks of a run see it.
FIBER_TEST(StackPoolTest, TasksUseEachOthersStacks) {
  const StackStatistics before = stack_statistics();
  for (int round = 0; round < 50; ++round) {
    open_nursery([](Nursery& nursery) { nursery.start_soon([] {}); });
  }
  const StackStatistics after = stack_statistics();
  EXPECT_EQ(after.in_use, before.in_use);
  EXPECT_LE(after.pooled, before.pooled + 1);
}

[[gnu::noinline]] void touch(std::size_t bytes) {
  auto* memory = static_cast<volatile char*>(__builtin_alloca(bytes));
  for (std::size_t i = 0; i < bytes; i += 1024) memory[i] = 1;
}

FIBER_TEST(StackPoolTest, TheHighWaterMarkFollowsWhatATaskTouches) {
  trim_stacks();
  open_nursery([](Nursery& nursery) {
    nursery.start_soon(
        [] {
          const Task& me = current_task();
          const std::size_t before = me.stack_high_water();
          EXPECT_GT(before, 0U);
          touch(200 * 1024);
          EXPECT_GE(me.stack_high_water(), before + 150U * 1024);
          EXPECT_LE(me.stack_high_water(), me.stack_size());
        },
        {.stack_size = 512 * 1024});
  });
}

}  // namespace
}  // namespace weft::fibers::detail
