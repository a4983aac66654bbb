// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What others attach to a loop: its owner, its user, and the files above the core.

#pragma once

#include <functional>
#include <memory>

#include "weft/loop/detail/generator_list.h"
#include "weft/loop/detail/loop_part.h"
#include "weft/loop/event_loop.h"

namespace weft::loop::detail {

struct Attachments {
  GeneratorList generators;
  std::function<void()> needed_handler;  // The owner's, see LoopCore::wait_while_stopped().
  TaskFactory task_factory;
  std::unique_ptr<LoopPart> executors;  // Told when the loop is closed.
};

}  // namespace weft::loop::detail
