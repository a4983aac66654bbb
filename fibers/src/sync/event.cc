// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/event.h"

namespace weft::fibers {

void Event::set() {
  set_ = true;
  while (detail::wake_first(waiting_) != nullptr) {
  }
}

void Event::wait() {
  if (set_) return checkpoint();
  detail::Waiter waiter;
  detail::wait_in(waiting_, waiter, {.what = "Event.wait", .on = this});
}

}  // namespace weft::fibers
