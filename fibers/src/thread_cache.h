// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Worker threads, kept for a while to be used again. One cache for the whole process: it knows
// nothing of runs, and limits nothing. (Trio: lowlevel.start_thread_soon.)

#pragma once

#include <chrono>
#include <memory>
#include <string>

namespace weft::fibers {

// Something to do in a thread. Destroyed by the thread, after deliver().
class ThreadWork {
 public:
  virtual ~ThreadWork() = default;
  virtual void run() noexcept = 0;
  // Called when the thread counts as idle again, so that work started in consequence finds it.
  virtual void deliver() noexcept = 0;
};

inline constexpr std::chrono::seconds kThreadIdleTimeout{10};

// Gives `work` to the thread that became idle last, or to a new one, which ends when it has been
// idle for kThreadIdleTimeout. Throws std::system_error if there is none and none can be started.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: any.
void start_thread_soon(std::unique_ptr<ThreadWork> work, std::string name);

}  // namespace weft::fibers
