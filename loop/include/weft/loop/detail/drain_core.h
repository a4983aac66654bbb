// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// When whoever writes to a stream is to wait. Not for use outside weft.
// (asyncio: streams.FlowControlMixin.)

#pragma once

#include <exception>

#include "weft/loop/coro.h"
#include "weft/loop/detail/waiters.h"

namespace weft::loop::detail {

class DrainCore {
 public:
  explicit DrainCore(EventLoop& loop) : binding_(loop) {}

  bool paused() const { return paused_; }
  bool connection_lost() const { return lost_; }

  // By the transport, in turns.
  void pause_writing() noexcept { paused_ = true; }
  void resume_writing() noexcept;
  // Whoever waits goes on: with the error, if there is one.
  void connection_lost(std::exception_ptr error) noexcept;

  // Waits until writing is not paused. Throws std::system_error, ECONNRESET, if the connection was
  // lost before.
  Coro<void> wait();

 private:
  void wake_all() noexcept;

  LoopBinding binding_;
  Waiters waiters_;
  std::exception_ptr error_;  // For whoever waited when the connection was lost.
  bool paused_ = false;
  bool lost_ = false;
};

}  // namespace weft::loop::detail
