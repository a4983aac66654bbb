// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/drain_core.h"

#include <cerrno>
#include <system_error>
#include <utility>

namespace weft::loop::detail {

void DrainCore::resume_writing() noexcept {
  paused_ = false;
  wake_all();
}

void DrainCore::connection_lost(std::exception_ptr error) noexcept {
  lost_ = true;
  if (!paused_) return;
  error_ = std::move(error);
  wake_all();
}

void DrainCore::wake_all() noexcept {
  while (waiters_.wake_next()) {
  }
}

Coro<void> DrainCore::wait() {
  if (lost_) throw std::system_error(ECONNRESET, std::generic_category(), "Connection lost");
  if (!paused_) co_return;
  const Waiter waiter(waiters_, binding_.create_future("StreamWriter"));
  co_await waiter.future();
  if (error_ != nullptr) std::rethrow_exception(error_);
}

}  // namespace weft::loop::detail
