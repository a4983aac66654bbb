// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Which calls of run_trio are going on. Not for use outside weft: see trio_as_aio.h.

#pragma once

#include <utility>

#include "weft/fibers/detail/requirements.h"

namespace weft::shim {

class LoopBlock;

namespace detail {

// The block of open_loop that the calling code belongs to; null if there is none, or it has no loop
// any more. Not for use outside weft: see current_loop().
LoopBlock* block_here();

// While one lives, the block's tasks nursery stays open: from the call of run_trio to the task's
// end.
class CallCount {
 public:
  explicit CallCount(LoopBlock& block) noexcept;
  CallCount(CallCount&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  CallCount& operator=(CallCount&&) = delete;
  ~CallCount();
  LoopBlock& block() const { return *block_; }

 private:
  LoopBlock* block_;
};

}  // namespace detail
}  // namespace weft::shim
