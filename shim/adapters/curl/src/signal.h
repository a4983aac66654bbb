// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How a callback of libcurl tells a task that there is something to look at.

#pragma once

#include <optional>

#include "weft/shim/portal.h"

namespace weft::curl {

// For one waiting task.
class Signal {
 public:
  void notify();
  // Until notify(), or at once if that has been called since the last wait.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: at once; the news stay for the next wait.
  // Threads: the run's own only.
  void wait();

 private:
  bool news_ = false;
  std::optional<shim::Completion<void>> waiter_;
};

}  // namespace weft::curl
