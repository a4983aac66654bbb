// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/core/loop_link.h"

namespace weft::loop::detail {

static constinit thread_local LoopLink* loops_here = nullptr;

LoopLink::LoopLink(LoopCore& loop) noexcept : loop_(loop), next_(loops_here), at_(&loops_here) {
  if (next_ != nullptr) next_->at_ = &next_;
  loops_here = this;
}

LoopLink::~LoopLink() {
  *at_ = next_;
  if (next_ != nullptr) next_->at_ = at_;
}

const LoopLink* LoopLink::first() noexcept {
  return loops_here;
}

}  // namespace weft::loop::detail
