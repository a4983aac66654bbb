// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/core/callback_scope.h"

#include "weft/fibers/timeouts.h"
#include "weft/loop/errors.h"

namespace weft::loop::detail {

std::exception_ptr CallbackScope::leave(const std::exception_ptr& error) {
  scope_ = nullptr;
  return taken_ && error != nullptr ? without_cancelled_errors(error) : error;
}

void CallbackScope::cancel() noexcept {
  if (scope_ != nullptr) scope_->cancel("the callback was cancelled");
}

bool CallbackScope::pending() const {
  return scope_ != nullptr && !taken_ && scope_->cancel_called();
}

bool CallbackScope::take() {
  if (!pending()) return false;
  after_->set_shield(true);
  // Still cancelled: by a scope inside, which wants its fibers::Cancelled.
  if (fibers::current_effective_deadline() == fibers::kLongAgo) {
    after_->set_shield(false);
    return false;
  }
  return taken_ = true;
}

}  // namespace weft::loop::detail
