// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What files above the core keep with a loop. Not for use outside weft.

#pragma once

#include <memory>

#include "weft/fibers/detail/requirements.h"

namespace weft::loop::detail {

class LoopCore;

class LoopPart {
 public:
  LoopPart() = default;
  LoopPart(const LoopPart&) = delete;
  LoopPart& operator=(const LoopPart&) = delete;
  virtual ~LoopPart() = default;
  // Nothing can be scheduled any more.
  virtual void loop_closed() noexcept = 0;
};

// The place for what a loop has of executors; empty at first.
std::unique_ptr<LoopPart>& executors_of(LoopCore& core);

}  // namespace weft::loop::detail
