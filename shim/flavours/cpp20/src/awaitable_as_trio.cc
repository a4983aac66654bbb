// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/cpp20/awaitable_as_trio.h"

#include "weft/fibers/cancelled.h"
#include "weft/fibers/exception_group.h"
#include "weft/loop/detail/coro_promise.h"

namespace weft::cpp20::detail {

void rethrow(const std::optional<fibers::RaiseCancel>& cancelled) {
  if (!loop::detail::is_cancellation()) throw;
  if (cancelled) (*cancelled)();
  // It may have ended on this task's stack, before the task could wait.
  fibers::checkpoint_if_cancelled();
  // Another task's cancellation belongs to scopes which are not here.
  if (fibers::holds<fibers::Cancelled>(std::current_exception())) throw loop::CancelledError();
  throw;
}

// NOLINTNEXTLINE(misc-new-delete-overloads): the one with a size is its match.
void* Detached::promise_type::operator new(std::size_t size) {
  return loop::detail::allocate_frame(size);
}
void Detached::promise_type::operator delete(void* frame, std::size_t size) noexcept {
  loop::detail::free_frame(frame, size);
}

}  // namespace weft::cpp20::detail
