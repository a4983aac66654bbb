// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/shield.h"

#include <utility>

#include "weft/fibers/errors.h"
#include "weft/loop/event_loop.h"

namespace weft::loop::detail {

ShieldLink::~ShieldLink() {
  if (!outer_) return;
  try {
    outer_.cancel();
  } catch (const fibers::UsageError&) {
    // The loop is closed: the future is cancelled, its callbacks will not run.
  }
}

void ShieldLink::operator()(const FutureBase& inner) {
  const FutureBase outer = std::exchange(outer_, {});
  FutureCore& to = FutureAccess::core(outer);
  FutureCore& from = FutureAccess::core(inner);
  const bool failed =
      from.state() == FutureCore::State::kFinished && from.stored_exception() != nullptr;
  if (to.done()) {
    if (!failed) return;
    inner.get_loop().call_exception_handler({.message = "exception in shielded future",
                                             .exception = from.exception(),
                                             .future = &from,
                                             .source = from.site()});
    return;
  }
  if (inner.cancelled()) {
    to.cancel(from.stored_exception());
  } else if (failed) {
    to.set_exception(from.exception());
  } else {
    try {
      transfer_(inner, to);
    } catch (...) {
      // What copying the value has thrown.
      if (to.done()) throw;
      to.set_exception(std::current_exception());
    }
  }
}

}  // namespace weft::loop::detail
