// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a piece of code has left behind: tasks, stacks, descriptors. Each by its name.
//
//   const LeftOver since;
//   run(the_server);
//   EXPECT_EQ(since.find(), "");
//
// FIBER_TEST and EXPLORE_TEST (fiber_test.h) and cancel_sweep() ask this; a program whose tests
// call run() themselves can ask it after each test: see LeftOverListener in fiber_test.h.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace weft::fibers::testing {

// A value: what there was when it was made.
class LeftOver {
 public:
  LeftOver();

  // One line for each task and stack of this thread and each descriptor of the process that was not
  // there then, and for each descriptor that has gone meanwhile; empty if there is none. Those of
  // object files, in which backtraces look for names, do not count. Descriptors
  // may still be in the hands of a thread that a run has abandoned: if some are left, it looks
  // again for up to half a second.
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
