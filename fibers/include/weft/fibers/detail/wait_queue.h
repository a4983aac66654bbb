// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The queue that every primitive above the kernel waits in: strictly first come, first served. Its
// nodes lie on the stacks of the waiting tasks, so that a wait allocates nothing. Not for use
// outside weft: see ParkingLot.

#pragma once

#include <cstddef>
#include <initializer_list>
#include <string_view>

#include "weft/fibers/lowlevel.h"

namespace weft::fibers::detail {

class WaitQueue;

// One waiting task. Lives in the frame of the call that waits.
struct Waiter {
  Waiter() = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  inline ~Waiter();

  Waiter* next = nullptr;
  Waiter* prev = nullptr;
  Task* task = nullptr;
  WaitQueue* queue =
      nullptr;  // Where it stands; null before, and as soon as it has been taken out.
};

class WaitQueue {
 public:
  WaitQueue() = default;
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;

  bool empty() const { return head_ == nullptr; }
  std::size_t size() const { return size_; }
  Waiter* front() const { return head_; }

  void push_back(Waiter& waiter) {
    waiter.queue = this;
    waiter.next = nullptr;
    waiter.prev = tail_;
    (tail_ == nullptr ? head_ : tail_->next) = &waiter;
    tail_ = &waiter;
    ++size_;
  }
  void remove(Waiter& waiter) {
    (waiter.prev == nullptr ? head_ : waiter.prev->next) = waiter.next;
    (waiter.next == nullptr ? tail_ : waiter.next->prev) = waiter.prev;
    waiter.queue = nullptr;
    --size_;
  }
  // Null if nobody waits.
  Waiter* pop_front() {
    Waiter* first = head_;
    if (first != nullptr) remove(*first);
    return first;
  }

 private:
  Waiter* head_ = nullptr;
  Waiter* tail_ = nullptr;
  std::size_t size_ = 0;
};

// A wait that ends by an exception other than the abort's, a misuse say, must not leave its node
// behind.
Waiter::~Waiter() {
  if (queue != nullptr) queue->remove(*this);
}

// Puts the running task at the end of `queue` and waits until somebody takes it out and reschedules
// it. If it is cancelled it leaves the queue at that moment. A waiter that has been taken out is
// promised something: no cancellation reaches it until wake().
void wait_in(WaitQueue& queue, Waiter& waiter, const WaitingFor& waiting_for);
// Ends the wait of one that has been taken out of its queue.
void wake(const Waiter& waiter);
// Lets the first one go. Null if nobody waits.
Task* wake_first(WaitQueue& queue);
// Says that a waiter, which has been put into another queue, waits for something else now.
void rename_wait(const Waiter& waiter, const WaitingFor& waiting_for);
// Lets all go with `error`: for what is destroyed or broken while tasks wait for it.
void fail_all(WaitQueue& queue, const std::exception_ptr& error);
// A BrokenResourceError that says so, or std::bad_alloc without memory for the words: for ends that
// must not fail.
std::exception_ptr broken_resource(std::initializer_list<std::string_view> words) noexcept;
// For destructors: whoever still waits for `what` gets a BrokenResourceError that says so.
void fail_all_destroyed(WaitQueue& queue, const char* what) noexcept;

}  // namespace weft::fibers::detail
