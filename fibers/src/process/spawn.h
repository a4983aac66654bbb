// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// From a command to a process.

#pragma once

#include <array>
#include <list>
#include <string>
#include <vector>

#include "weft/fibers/process.h"

namespace weft::fibers::detail {

// A descriptor until somebody takes it.
class PlainFd {
 public:
  PlainFd() = default;
  explicit PlainFd(int fd) : fd_(fd) {}
  PlainFd(PlainFd&& other) noexcept : fd_(other.take()) {}
  PlainFd& operator=(PlainFd&& other) noexcept;
  ~PlainFd();
  int get() const { return fd_; }
  int take() noexcept {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_ = -1;
};

// A child's place among those that nobody waits for any more. Made before the child is, for whoever
// drops it has nobody to tell that there is no memory.
using ReaperPlace = std::list<int>;

// A child that has been started. It is killed if nobody takes it over.
struct Spawned {
  Spawned() = default;
  Spawned(Spawned&&) = default;
  Spawned& operator=(Spawned&&) = delete;
  ~Spawned();
  std::vector<std::string> args;
  int pid = -1;
  ReaperPlace place;            // Empty when it has been taken over.
  PlainFd pidfd;                // Closed if the system gives us none: an old one, a sandbox.
  bool reaped = false;          // By the system, because SIGCHLD is ignored.
  std::array<PlainFd, 3> ours;  // This side's ends of pipes.
};

// Blocks the thread until the program has been loaded, for file systems may be slow. Any thread.
// `mask` is the signal mask that the child gets.
Spawned spawn_process(const std::vector<std::string>& command, const ProcessOptions& options,
                      const void* mask);

// A child that nobody waits for any more. It is reaped some time after its end. Any thread.
void leave_to_reaper(ReaperPlace& place) noexcept;
void reap_left();

}  // namespace weft::fibers::detail
