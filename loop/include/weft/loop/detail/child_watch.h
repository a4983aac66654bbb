// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The end of a child as a callback: see EventLoop::add_child_handler. Not for use outside weft.

#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "weft/fibers/detail/child.h"

namespace weft::loop::detail {

class LoopCore;

// What asyncio says of a child whose status somebody else has taken.
inline constexpr int kLostStatus = 255;

// A descriptor that becomes readable when a child ends: its pidfd; where the system has none, one
// that a thread writes to. As long as it lives a clock that jumps may wait for the child.
class ChildWatch {
 public:
  // Throws std::system_error.
  ChildWatch(LoopCore& loop, std::shared_ptr<fibers::detail::Child> child);
  ChildWatch(const ChildWatch&) = delete;
  ChildWatch& operator=(const ChildWatch&) = delete;
  ~ChildWatch();

  int fd() const;
  // In the callback of the descriptor's reader: the status, if the child has ended. Removes the
  // reader then, so that it is not called again.
  std::optional<int> take_status();

 private:
  void count(int change) const;

  LoopCore& loop_;
  std::shared_ptr<fibers::detail::Child> child_;
  fibers::detail::PlainFd told_by_thread_;
};

// A callback for the end of a child. What `fn` holds lives until it has returned.
template <class F>
struct CallAtExit {
  std::unique_ptr<ChildWatch> watch;
  F fn;
  void operator()() {
    if (const std::optional<int> status = watch->take_status()) std::invoke(fn, *status);
  }
};

}  // namespace weft::loop::detail
