// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a loop knows of its asynchronous generators. Not for use outside weft.

#pragma once

#include "weft/fibers/detail/requirements.h"

namespace weft::loop {
class EventLoop;
}

namespace weft::loop::detail {

class GeneratorCore;
class LoopCore;

// The generators of a loop that have begun and not ended, and whether shutdown_asyncgens() has been
// called. In the loop's core.
struct GeneratorList {
  GeneratorCore* first = nullptr;
  GeneratorCore* last = nullptr;
  bool shut_down = false;
};
GeneratorList& generators_of(LoopCore& core) noexcept;
// Null once it is closed or gone.
EventLoop* open_loop_of(LoopCore& core) noexcept;

}  // namespace weft::loop::detail
