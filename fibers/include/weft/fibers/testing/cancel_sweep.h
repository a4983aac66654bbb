// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Cancels a body at every place where it can be cancelled, one after the other.
//
//   cancel_sweep([] {
//     Pool pool(2);
//     { auto connection = pool.take(); talk(connection); }
//     if (pool.in_use() != 0) throw std::logic_error("a connection is lost");
//   });
//
// The body runs once to count the checkpoints that it and its tasks reach. Then it runs once for
// each checkpoint and each of the moments below, and is cancelled there as a whole. A run fails if
// it waits for what can never happen any more, if it leaves a task, a stack or a descriptor behind,
// if it throws anything but the Cancelled, if somebody swallows the Cancelled, or if `check`
// throws. Nothing can end a task that catches every Cancelled and waits again: the process names it
// on standard error and aborts. Code that loses nothing wherever it is cancelled passes. Code after
// a cancelled wait does not run, so checks that have to hold in every case belong in destructors or
// in `check`.
//
// The error names the checkpoint, the task, where all other tasks were, and a token: with
// WEFT_CANCEL=12.woken in the environment the body is cancelled only there, in a debugger if you
// like.
//
// With WEFT_CANCEL_SWEEP=1 in the environment each FIBER_TEST is swept too, after it has passed.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers::testing {

// When the cancellation comes.
enum class CancelMoment : std::uint8_t {
  kOnArrival,  // When the task reaches the checkpoint: it does not suspend.
  kParked,     // From another task, one batch later.
  kWoken,      // When the task has been woken, but has not run yet: what woke it must not be lost.
};

struct CancelSweepOptions {
  // If there are more checkpoints, some are left out evenly. More are left out if all runs together
  // would come through more than `effort` checkpoints.
  std::size_t most = 1000;
  std::size_t effort = 1'000'000;
  // Called after each run. Throws if something is wrong.
  std::function<void()> check = nullptr;
  // The body may throw, as long as it ends.
  bool may_throw = false;
  // Real time instead of a clock that jumps when every task waits: for bodies that talk to the
  // world outside.
  bool real_time = false;
  // Bytes of a task's stack.
  std::size_t stack_size = 256 * 1024;
  // A token: cancel only there. Empty: the environment variable WEFT_CANCEL decides.
  std::string replay = {};
};

struct CancelSweepResult {
  std::size_t checkpoints = 0;  // Reached by a run without cancellation,
  std::size_t swept = 0;        // and of these, those at which it has been cancelled.
  std::size_t runs = 0;         // With a cancellation.
};

// A cancellation broke the body. What happened is nested.
class CancelSweepError : public std::runtime_error {
 public:
  CancelSweepError(const std::string& what, std::string token)
      : std::runtime_error(what), token_(std::move(token)) {}
  // For CancelSweepOptions::replay.
  const std::string& token() const { return token_; }

 private:
  std::string token_;
};

// Throws CancelSweepError at the first checkpoint where something is wrong, with its number, its
// task and what the task waits for there; what the body throws if it is not cancelled at all;
// UsageError for a token that is invalid or belongs to another body. `body` must do the same each
// time it runs.
//
// Blocks: the thread, until all runs are over.
// Cancel: does not apply.
// Threads: any, outside a run.
CancelSweepResult cancel_sweep(const std::function<void()>& body,
                               const CancelSweepOptions& options = {});

}  // namespace weft::fibers::testing
