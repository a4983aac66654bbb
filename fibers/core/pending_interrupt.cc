// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/pending_interrupt.h"

#include <exception>
#include <utility>
#include <vector>

#include "fibers/core/nursery_access.h"
#include "fibers/core/scheduler.h"
#include "fibers/sys/lasting.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lone_error.h"

namespace weft::fibers::detail {

// Needs no memory.
void cancel_by_interrupt(CancelScope& scope) {
  static const sys::NeverDestroyed cause(
      [] { return CancelReason{.source = "KeyboardInterrupt"}; });
  mark_cancelled(ScopeAccess::status(scope), unowned(*cause));
}

void PendingInterrupt::accept_request() {
  if (!requested_.load(std::memory_order_relaxed)) return;
  requested_.store(false);
  if (CancelScope* const scope = std::exchange(cancels_first, nullptr)) {
    return cancel_by_interrupt(*scope);
  }
  auto reason = std::make_shared<CancelReason>();
  reason->source = "KeyboardInterrupt";
  reason->interrupt = std::make_exception_ptr(KeyboardInterrupt());
  set(std::move(reason));
  if (main_task != nullptr) attempt_delivery(*main_task);
}

std::exception_ptr with_interrupt(std::exception_ptr interrupt, std::exception_ptr error,
                                  const char* message) {
  if (error == nullptr) return interrupt;
  if (has_interrupt_inside(error)) return error;
  std::vector<std::exception_ptr> both;
  both.push_back(std::move(interrupt));
  both.push_back(std::move(error));
  return make_exception_group(message, std::move(both));
}

}  // namespace weft::fibers::detail
