// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A way back into a loop that cannot fail. Not for use outside weft.

#pragma once

#include <source_location>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "weft/fibers/detail/requirements.h"

namespace weft::loop::detail {

class LoopCore;
struct ThreadsafeCall;

// A callback of a loop that another thread will ask for, once. It has all its memory from the
// beginning. The loop owns the callable: it is called and destroyed on the loop's thread, at the
// latest when the loop is closed. So it may hold futures.
class HandBack {
 public:
  HandBack() = default;
  // On the loop's thread. Throws UsageError if the loop is closed.
  HandBack(LoopCore& loop, absl::AnyInvocable<void()> fn,
           std::source_location site = std::source_location::current());
  HandBack(HandBack&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
  HandBack& operator=(HandBack&& other) noexcept {
    std::swap(call_, other.call_);
    return *this;
  }
  // Unless post() was called, the callable is only destroyed.
  ~HandBack();

  // Has the loop call it, as call_soon_threadsafe does; nothing happens if the loop is closed. Any
  // thread.
  void post() noexcept;

 private:
  ThreadsafeCall* call_ = nullptr;
};

// Counts work that goes on outside of the loop's run, for clocks that jump. The loop's thread.
void count_work_outside(const LoopCore& loop, int change) noexcept;

}  // namespace weft::loop::detail
