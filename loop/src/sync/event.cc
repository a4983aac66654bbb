// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/event.h"

namespace weft::loop {

void Event::set() {
  waiters_.require_own_thread();
  set_ = true;
  while (waiters_.wake_next()) {
  }
}

Coro<void> Event::wait() {
  if (set_) co_return;
  const detail::Waiter waiter(waiters_, binding_.create_future("Event"));
  co_await waiter.future();
}

}  // namespace weft::loop
