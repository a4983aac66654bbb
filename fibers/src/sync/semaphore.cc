// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/semaphore.h"

#include "weft/fibers/errors.h"

namespace weft::fibers {

Semaphore::Semaphore(std::size_t initial_value, std::optional<std::size_t> max_value)
    : value_(initial_value), max_value_(max_value) {
  if (max_value && initial_value > *max_value) {
    throw UsageError("a Semaphore's initial value must not be above its max_value");
  }
}

void Semaphore::acquire() {
  // Where that suspends and a shield then lets the task go on, somebody may have come first.
  if (value_ > 0) checkpoint_if_cancelled();
  if (value_ > 0) {
    --value_;
    return cancel_shielded_checkpoint();
  }
  detail::Waiter waiter;
  detail::wait_in(waiting_, waiter, {.what = "Semaphore.acquire", .on = this});
}

void Semaphore::acquire_nowait() {
  if (value_ == 0) throw WouldBlock();
  --value_;
}

void Semaphore::release() {
  if (detail::wake_first(waiting_) != nullptr) return;
  if (max_value_ && value_ == *max_value_) {
    throw UsageError("a Semaphore was released above its max_value; release once for each acquire");
  }
  ++value_;
}

}  // namespace weft::fibers
