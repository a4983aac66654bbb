// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// From a command to a child, and to its exit status. Not for use outside weft: see process.h.

#pragma once

#include <array>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {
struct ProcessOptions;
}

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

// Throws UsageError for what can be no command.
void check_command(const std::vector<std::string>& command, const ProcessOptions& options);

// Blocks the thread until the program has been loaded, for file systems may be slow. Any thread.
// `mask` is the signal mask that the child gets: a sigset_t.
Spawned spawn_process(const std::vector<std::string>& command, const ProcessOptions& options,
                      const void* mask);

// A child that somebody has taken over, and how it has ended. When it is dropped the child goes on,
// and is reaped some time after its end.
class Child {
 public:
  explicit Child(Spawned&& spawned) noexcept;
  // Somebody else has started it. Without a descriptor if the system has none.
  explicit Child(int pid);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  int pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }  // -1 if the system has none. Stays open.
  // What the status is if somebody else has reaped the child, and with that taken the status: 0 if
  // nothing is said, as Python's Popen has it.
  void set_lost_status(int status) {
    lost_status_ = status;
    if (lost_) returncode_ = status;
  }
  // The exit status, or minus the number of the signal that ended it, or nothing while it runs.
  std::optional<int> poll();
  std::optional<int> returncode() const { return returncode_; }  // What poll() has found.
  // Whether somebody else has reaped it.
  bool lost() const { return lost_; }
  // Nothing happens if it has ended. Returns 0 or an error.
  int send_signal(int signal);

 private:
  int pid_;
  int lost_status_ = 0;
  bool lost_ = false;
  PlainFd pidfd_;
  std::optional<int> returncode_;
  ReaperPlace place_;  // For when it is dropped.
};

// A child that nobody waits for any more. It is reaped some time after its end. Any thread.
void leave_to_reaper(ReaperPlace& place) noexcept;
void reap_left();

}  // namespace weft::fibers::detail
