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
// The body is run once to count the checkpoints that it and its tasks reach; then once for each of
// them and each of the moments below, and cancelled there as a whole. A run fails if it waits for
// what can never happen any more, if it leaves a task, a stack or a descriptor behind, if it throws
// (the Cancelled apart), if somebody swallows the Cancelled, or by what `check` says. A task that
// catches it and goes on waiting for ever cannot be ended by anything: it is named on standard
// error, and the process aborted. Code that loses nothing when it is cancelled anywhere
// passes. What comes after a cancelled wait is not run, so checks that have to hold in every case
// belong into destructors, or into `check`.
//
// The error names the checkpoint, the task, where all others were, and a token: with
// WEFT_CANCEL=12.woken in the environment the body is cancelled there alone, under a debugger if
// wanted.
//
// With WEFT_CANCEL_SWEEP=1 in the environment each FIBER_TEST is swept too, after it has passed.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

namespace weft::fibers::testing {

// When the cancellation comes.
enum class CancelMoment : std::uint8_t {
  kOnArrival,  // As the task reaches the checkpoint: it does not suspend.
  kParked,     // From another task, one batch later.
  kWoken,      // When the task has been woken, but has not run yet: what woke it must not be lost.
};

struct CancelSweepOptions {
  // Checkpoints beyond this many are left out evenly; and fewer are taken of a body with so many
  // that all runs together would come through more than `effort`.
  std::size_t most = 1000;
  std::size_t effort = 1'000'000;
  // Asked after each run; throws if something is not as it has to be.
  std::function<void()> check = nullptr;
  // Whether what the body throws is no failure, as long as it ends.
  bool may_throw = false;
  // Real time in place of a clock that jumps when everybody waits: for bodies that deal with the
  // world outside.
  bool real_time = false;
  // Bytes of a task's stack.
  std::size_t stack_size = 256 * 1024;
  // A token: cancel there alone. Empty: where the environment's WEFT_CANCEL says.
  std::string replay = {};
};

struct CancelSweepResult {
  std::size_t checkpoints = 0;  // That a run without cancellation reaches,
  std::size_t swept = 0;        // and of these, those at which it has been cancelled.
  std::size_t runs = 0;         // With a cancellation.
};

// The body did not take a cancellation well; what happened is nested.
class CancelSweepError : public std::runtime_error {
 public:
  CancelSweepError(const std::string& what, std::string token)
      : std::runtime_error(what), token_(std::move(token)) {}
  // For CancelSweepOptions::replay.
  const std::string& token() const { return token_; }

 private:
  std::string token_;
};

// Throws CancelSweepError at the first checkpoint at which something is wrong, with its number, its
// task and what is waited for there; what the body throws when it is not cancelled at all; and
// UsageError for a token that is none, or of another body. `body` must do the same each time it is
// run.
//
// Blocks: the thread, until all runs are over.
// Cancel: does not apply.
// Threads: any, outside a run.
CancelSweepResult cancel_sweep(const std::function<void()>& body,
                               const CancelSweepOptions& options = {});

}  // namespace weft::fibers::testing
