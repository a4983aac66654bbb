// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/loop_generators.h"

#include "weft/fibers/errors.h"
#include "weft/loop/detail/generator_core.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {

Coro<void> LoopGenerators::shutdown_asyncgens() {
  EventLoop* const loop = detail::open_loop_of(*core_);
  if (loop == nullptr) throw fibers::UsageError("Event loop is closed; close generators before");
  return detail::GeneratorCore::close_all(*loop, detail::generators_of(*core_));
}

}  // namespace weft::loop
