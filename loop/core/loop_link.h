// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The loops of a thread, for those who look at the whole program.

#pragma once

namespace weft::loop::detail {

class LoopCore;

// Lists a loop while it lives, for the thread that has made it.
class LoopLink {
 public:
  explicit LoopLink(LoopCore& loop) noexcept;
  LoopLink(const LoopLink&) = delete;
  LoopLink& operator=(const LoopLink&) = delete;
  ~LoopLink();

  // Of this thread, the youngest first; also those whose EventLoop is gone.
  static const LoopLink* first() noexcept;
  const LoopLink* next() const { return next_; }
  LoopCore& loop() const { return loop_; }

 private:
  LoopCore& loop_;
  LoopLink* next_;
  LoopLink** at_;  // Where the pointer to this one lies.
};

}  // namespace weft::loop::detail
