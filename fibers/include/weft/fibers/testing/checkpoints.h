// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Checks that a function is a checkpoint, or that it never waits. A call does not show which it is,
// so a test has to. (Trio: testing.assert_checkpoints, assert_no_checkpoints.)

#pragma once

#include <functional>
#include <stdexcept>
#include <utility>

#include "weft/fibers/lowlevel.h"

namespace weft::fibers::testing {

// Thrown by the functions below. It fails the test whose body it leaves.
class AssertionError : public std::logic_error {
  using std::logic_error::logic_error;
};

// Calls `fn`, and throws AssertionError unless it passed both a schedule point and a cancel point.
// If `fn` throws, that error comes out and nothing is checked.
//
// Blocks: only if `fn` does.
// Cancel: as in `fn`.
// Threads: the run's own only.
template <class F>
void assert_checkpoints(F&& fn) {
  const CheckpointCounts before = checkpoint_counts();
  std::invoke(std::forward<F>(fn));
  const CheckpointCounts after = checkpoint_counts();
  if (after.schedule_points == before.schedule_points ||
      after.cancel_points == before.cancel_points) {
    throw AssertionError("assert_checkpoints: the function did not pass a full checkpoint");
  }
}

// Calls `fn`, and throws AssertionError if it passed a schedule point or a cancel point, even if
// `fn` threw something else.
//
// Blocks: only if `fn` does.
// Cancel: as in `fn`.
// Threads: the run's own only.
template <class F>
void assert_no_checkpoints(F&& fn) {
  const CheckpointCounts before = checkpoint_counts();
  const auto check = [&before] {
    const CheckpointCounts after = checkpoint_counts();
    if (after.schedule_points != before.schedule_points ||
        after.cancel_points != before.cancel_points) {
      throw AssertionError("assert_no_checkpoints: the function passed a checkpoint");
    }
  };
  try {
    std::invoke(std::forward<F>(fn));
  } catch (...) {
    check();
    throw;
  }
  check();
}

}  // namespace weft::fibers::testing
