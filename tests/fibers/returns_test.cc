// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/detail/returns.h"

#include <gtest/gtest.h>

#include <any>
#include <cstdint>
#include <utility>

#include "weft/fibers/greenlet.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

// Waits below `depth` frames, each of which has something to do afterwards.
[[gnu::noinline]] std::uint64_t wait_below(int depth) {
  if (depth == 0) {
    checkpoint();
    return 1;
  }
  return 2 * wait_below(depth - 1) + 1;
}

void wait_often(int depth) {
  for (int i = 0; i < 200; ++i) EXPECT_EQ(wait_below(depth), (std::uint64_t{2} << depth) - 1);
}

// Where a task returns to after a switch is its own affair, whatever the processor has guessed.
FIBER_TEST(ReturnsTest, TasksAtTheSamePlaceReturnToTheirOwnFrames) {
  open_nursery([](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) nursery.start_soon([] { wait_often(5); });
  });
}

FIBER_TEST(ReturnsTest, TasksAtDifferentPlacesReturnToTheirOwnFrames) {
  open_nursery([](Nursery& nursery) {
    for (int depth = 0; depth < 7; ++depth) nursery.start_soon([depth] { wait_often(depth); });
    auto [sender, receiver] = open_memory_channel<int>(0);
    nursery.start_soon([sender = std::move(sender)]() mutable {
      for (int i = 0; i < 200; ++i) sender.send(i);
    });
    for (int i = 0; i < 200; ++i) EXPECT_EQ(receiver.receive(), i);
    for (int i = 0; i < 200; ++i) cancel_shielded_checkpoint();
  });
}

FIBER_TEST(ReturnsTest, GreenletsInsideOfTasksReturnToTheirOwnFrames) {
  open_nursery([](Nursery& nursery) {
    nursery.start_soon([] { wait_often(3); });
    Greenlet numbers([] {
      for (int i = 0;; ++i) getcurrent().parent().switch_to(i);
    });
    for (int i = 0; i < 200; ++i) {
      EXPECT_EQ(std::any_cast<int>(numbers.switch_to()), i);
      checkpoint();
    }
  });
}

}  // namespace
}  // namespace weft::fibers
