// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/entry_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "fibers/core/current_scheduler.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/to_thread.h"

namespace weft::fibers::detail {
namespace {

using ::testing::ElementsAre;

// Submits a call that appends `number` to `order`.
struct Note {
  std::vector<int>* order;
  int number;
};
bool submit(EntryQueue& queue, std::vector<int>& order, int number) {
  EntrySlot* slot = queue.take_slot();
  ::new (static_cast<void*>(slot->storage)) Note{&order, number};
  slot->run_and_destroy = [](EntrySlot& s) {
    const Note note = *std::launder(reinterpret_cast<Note*>(s.storage));
    note.order->push_back(note.number);
    if (note.number < 0) throw std::runtime_error("negative");
  };
  if (queue.submit(slot)) return true;
  queue.give_slot_back(slot);
  return false;
}

const auto kNoError = [](const std::exception_ptr&) { ADD_FAILURE() << "a call failed"; };

bool is_readable(int fd) {
  pollfd p{fd, POLLIN, 0};
  return ::poll(&p, 1, 0) == 1;
}

TEST(EntryQueueTest, DrainsInTheOrderOfSubmission) {
  EntryQueue queue;
  std::vector<int> order;
  EXPECT_TRUE(queue.empty());
  for (const int i : {1, 2, 3}) EXPECT_TRUE(submit(queue, order, i));
  EXPECT_FALSE(queue.empty());
  queue.drain(kNoError);
  EXPECT_TRUE(queue.empty());
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
}

TEST(EntryQueueTest, AFailingCallDoesNotStopTheOthers) {
  EntryQueue queue;
  std::vector<int> order;
  for (const int i : {1, -2, 3}) submit(queue, order, i);
  int errors = 0;
  queue.drain([&errors](const std::exception_ptr&) { ++errors; });
  EXPECT_THAT(order, ElementsAre(1, -2, 3));
  EXPECT_EQ(errors, 1);
}

TEST(EntryQueueTest, AfterCloseNothingIsAcceptedAndNothingAcceptedIsLost) {
  EntryQueue queue;
  std::vector<int> order;
  submit(queue, order, 1);
  submit(queue, order, 2);
  queue.close();
  EXPECT_FALSE(submit(queue, order, 3));
  queue.drain(kNoError);
  queue.drain(kNoError);
  EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST(EntryQueueTest, SlotsArePooledAndThenAllocated) {
  EntryQueue queue;
  std::set<EntrySlot*> slots;
  for (int i = 0; i < 300; ++i) slots.insert(queue.take_slot());
  EXPECT_EQ(slots.size(), 300U);
  for (EntrySlot* slot : slots) queue.give_slot_back(slot);
  // The pooled ones come back.
  std::size_t again = 0;
  std::set<EntrySlot*> second;
  for (int i = 0; i < 256; ++i) second.insert(queue.take_slot());
  for (EntrySlot* slot : second) again += slots.count(slot);
  EXPECT_EQ(again, 256U);
  for (EntrySlot* slot : second) queue.give_slot_back(slot);
}

TEST(EntryQueueTest, SlotsSurviveThreadsThatTakeAndGiveThemBack) {
  EntryQueue queue;
  std::array<std::thread, 4> threads;
  for (std::thread& thread : threads) {
    thread = std::thread([&queue] {
      for (int i = 0; i < 5000; ++i) {
        EntrySlot* one = queue.take_slot();
        EntrySlot* two = queue.take_slot();
        one->heap = &one;
        two->heap = &two;
        if (one == two || one->heap != &one || two->heap != &two) ADD_FAILURE() << "shared slot";
        queue.give_slot_back(one);
        queue.give_slot_back(two);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<EntrySlot*> slots;
  for (int i = 0; i < 256; ++i) slots.insert(queue.take_slot());
  EXPECT_EQ(slots.size(), 256U);
  for (EntrySlot* slot : slots) queue.give_slot_back(slot);
}

TEST(EntryQueueTest, ABurstWakesOnce) {
  EntryQueue queue;
  std::vector<int> order;
  EXPECT_FALSE(is_readable(queue.wakeup().fd()));
  submit(queue, order, 1);
  submit(queue, order, 2);
  EXPECT_TRUE(is_readable(queue.wakeup().fd()));
  queue.wakeup().clear();
  EXPECT_FALSE(is_readable(queue.wakeup().fd()));
  submit(queue, order, 3);
  EXPECT_TRUE(is_readable(queue.wakeup().fd()));
  queue.drain(kNoError);
}

// The write of a wake-up may come after its call has been run: between the two a submitting thread
// can be held up. It ends a wait for nothing, and the next call still wakes the run.
FIBER_TEST(EntryQueueTest, AWakeUpThatComesLateDoesNotHideTheNext) {
  const int fd = current_scheduler().entries()->wakeup().fd();
  for (int i = 0; i < 3; ++i) {
    const std::uint64_t one = 1;
    ASSERT_EQ(::write(fd, &one, sizeof one), static_cast<ssize_t>(sizeof one));
    EXPECT_EQ(to_thread::run_sync([i] { return i; }), i);
  }
}

}  // namespace
}  // namespace weft::fibers::detail
