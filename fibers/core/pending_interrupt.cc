// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/pending_interrupt.h"

#include <exception>

#include "fibers/core/scheduler.h"
#include "weft/fibers/errors.h"

namespace weft::fibers::detail {

void PendingInterrupt::accept_request() {
  if (!requested_.load(std::memory_order_relaxed)) return;
  requested_.store(false);
  auto reason = std::make_shared<CancelReason>();
  reason->source = "KeyboardInterrupt";
  reason->interrupt = std::make_exception_ptr(KeyboardInterrupt());
  set(std::move(reason));
  if (main_task != nullptr) attempt_delivery(*main_task);
}

}  // namespace weft::fibers::detail
