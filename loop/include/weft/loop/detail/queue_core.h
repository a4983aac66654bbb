// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A queue's state machine, which does not depend on what its items are. Not for use outside weft.

#pragma once

#include <cstddef>

#include "weft/loop/coro.h"
#include "weft/loop/detail/waiters.h"
#include "weft/loop/event.h"

namespace weft::loop::detail {

// Counts the items, which somebody else keeps: put_nowait() is require_slot(), the item goes in,
// added(). get_nowait() is require_item(), the item comes out, removed(). No wait lies in between.
class QueueCore {
 public:
  explicit QueueCore(std::ptrdiff_t maxsize) : maxsize_(maxsize) { finished_.set(); }
  QueueCore(EventLoop& loop, std::ptrdiff_t maxsize)
      : binding_(loop), maxsize_(maxsize), finished_(loop) {
    finished_.set();
  }

  std::size_t qsize() const { return size_; }
  std::ptrdiff_t maxsize() const { return maxsize_; }
  bool empty() const { return size_ == 0; }
  bool full() const { return maxsize_ > 0 && size_ >= static_cast<std::size_t>(maxsize_); }
  std::size_t getters() const { return getters_.size(); }
  std::size_t putters() const { return putters_.size(); }
  // Put in, and not done yet.
  std::size_t unfinished() const { return unfinished_; }
  bool shut_down() const { return shut_down_; }

  // Throws QueueShutDown or QueueFull.
  void require_slot() const;
  void added() noexcept;
  // Throws QueueShutDown or QueueEmpty.
  void require_item() const;
  void removed() noexcept;
  // Until require_slot() does not throw QueueFull.
  Coro<void> wait_for_slot();
  // Until require_item() does not throw QueueEmpty.
  Coro<void> wait_for_item();

  void task_done();
  Coro<void> join();
  // Immediate: the items have gone, and are done.
  void shutdown(bool immediate);

 private:
  class Turn;
  void done(std::size_t count) noexcept;

  LoopBinding binding_;
  Waiters getters_;
  Waiters putters_;
  std::size_t size_ = 0;
  std::size_t unfinished_ = 0;
  const std::ptrdiff_t maxsize_;
  bool shut_down_ = false;
  Event finished_;  // Set while there is no unfinished item.
};

}  // namespace weft::loop::detail
