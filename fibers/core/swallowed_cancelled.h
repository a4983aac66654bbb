// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Who catches a Cancelled and goes on, which nobody may: the scope that it was for waits for it. It
// is told by a warning in the log, as soon as it is certain: when the scope ends without it, or
// when one task has caught so many that it will never stop.

#pragma once

#include <string>

namespace weft::fibers::detail {

class TaskBlock;

// One run's.
class SwallowedCancelled {
 public:
  // A Cancelled is about to be thrown to `task`.
  void thrown_to(TaskBlock& task);
  // A scope that `task` has opened has swallowed what it had to.
  void forget(TaskBlock& task);
  // `task` has been thrown some, and ended as if it had not.
  [[gnu::cold]] void ended_normally(const TaskBlock& task);
  // The scope ends that had to swallow one, and has not seen it. `task` has opened it.
  void found_by(TaskBlock& task);

  // What was said last.
  const std::string& said() const { return said_; }

 private:
  template <class MakeText>
  void say(const MakeText& make_text) noexcept;
  // Out of the flat function that throws a Cancelled.
  [[gnu::cold, gnu::noinline]] void say_stubborn(const TaskBlock& task);

  // Of those that caught one and ended the last: whom a scope that misses its Cancelled suspects.
  std::string suspect_;
  std::string said_;
};

}  // namespace weft::fibers::detail
