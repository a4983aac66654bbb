// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The runs of the process that are not over, for whoever looks for tasks that have been forgotten:
// see living_tasks() in inspect.h.

#pragma once

#include <cstdint>

namespace weft::fibers::detail {

class Scheduler;

// Lists a run while it lives, for the thread that has made it.
class RunLink {
 public:
  explicit RunLink(Scheduler& run);
  RunLink(const RunLink&) = delete;
  RunLink& operator=(const RunLink&) = delete;
  // Any thread: an abandoned guest run may end on its helper's.
  ~RunLink();

  // Nobody will ever unwind the tasks that the run has now: they stay listed for good.
  void give_up();

  Scheduler& run;
  const std::uint64_t thread;
  bool given_up = false;  // Its thread's own.
  RunLink* next = nullptr;
  RunLink* previous = nullptr;
};

}  // namespace weft::fibers::detail
