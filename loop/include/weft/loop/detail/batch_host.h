// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Where the callbacks of an iteration run, if not on the stack of the loop's own task. Not for use
// outside weft.

#pragma once

#include <functional>

#include "weft/fibers/detail/requirements.h"

namespace weft::loop {

class EventLoop;
class LoopScheduling;

namespace detail {

class LoopCore;

class BatchHost {
 public:
  BatchHost() = default;
  BatchHost(const BatchHost&) = delete;
  BatchHost& operator=(const BatchHost&) = delete;
  // In the task that runs the loop. Calls `batch` once, elsewhere: outside all runs of this thread.
  // Throws what that throws.
  virtual void run_batch(const std::function<void()>& batch) = 0;

 protected:
  ~BatchHost() = default;
};

}  // namespace detail

struct LoopAccess {
  static detail::LoopCore& core(const LoopScheduling& loop);
  // Null: batches run in the loop's own tasks again.
  static void set_batch_host(EventLoop& loop, detail::BatchHost* host);
};

}  // namespace weft::loop
