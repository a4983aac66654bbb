// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Holds a loop for as long as a wait in it lasts: its EventLoop may be destroyed meanwhile.

#pragma once

#include "loop/core/loop_core.h"

namespace weft::loop::detail {

class KeptLoop {
 public:
  explicit KeptLoop(LoopCore& core) noexcept : core_(core) { core.retain(); }
  KeptLoop(const KeptLoop&) = delete;
  KeptLoop& operator=(const KeptLoop&) = delete;
  ~KeptLoop() { core_.release(); }

 private:
  LoopCore& core_;
};

}  // namespace weft::loop::detail
