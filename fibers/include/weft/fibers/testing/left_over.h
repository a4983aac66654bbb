// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a piece of code has left behind: tasks, stacks and descriptors, each by its name.
//
//   const LeftOver since;
//   run(the_server);
//   EXPECT_EQ(since.find(), "");
//
// FIBER_TEST, EXPLORE_TEST (fiber_test.h) and cancel_sweep() check this. A program whose tests call
// run() themselves can check it after each test: see LeftOverListener in fiber_test.h.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers::testing {

// A value: a snapshot of what there was when it was made.
class LeftOver {
 public:
  LeftOver();

  // One line for each task and stack of this thread, and each descriptor of the process, that was
  // not there then; and one for each descriptor that has gone since. Empty if there are none.
  // Descriptors of object files, which backtraces open, do not count. A thread that a run has
  // abandoned may still hold descriptors, so if some are left, this looks again for up to half a
  // second.
  //
  // Blocks: no; the thread, if something is left.
  // Cancel: not a checkpoint.
  // Threads: that which has made it.
  std::string find() const;

 private:
  std::string look_here() const;

  std::set<std::uint64_t> tasks_;
  std::size_t stacks_ = 0;
  std::map<int, std::string> descriptors_;  // What they are open on.
};

}  // namespace weft::fibers::testing
