// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/ensure_future.h"

#include "weft/fibers/errors.h"

namespace weft::loop::detail {

void require_loop_of(const FutureBase& future, const EventLoop& loop) {
  if (&future.get_loop() == &loop) return;
  throw fibers::UsageError(
      "The future belongs to a different loop than the one specified as the loop argument; give "
      "its own loop or none, and await it in a task of that loop");
}

}  // namespace weft::loop::detail
