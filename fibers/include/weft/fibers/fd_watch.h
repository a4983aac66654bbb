// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A callback each time a descriptor is ready: for loops and libraries that bring their own state
// machine. There is no task behind it.

#pragma once

#include <cstdint>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

class OwnedFd;

enum class FdDirection : std::uint8_t { kRead, kWrite };

// Level-triggered: `on_ready` is called at every poll as long as the descriptor is ready. It runs
// on the scheduler's own stack, outside any task: it must not wait or throw, and should only mark
// what is to be done. A resource: lives where it is, watches while armed; both directions of one
// descriptor may be watched, each by one.
//
// Disarm before you close the descriptor. The close ends the readiness but not the watch, and it
// does not even end the readiness while a copy of the descriptor lives (a dup, a child's): the
// watch goes on being called. A watch that is disarmed afterwards is no longer called, but the run
// has to build a new epoll set to be rid of the copy.
class FdWatch {
 public:
  FdWatch() = default;
  FdWatch(const FdWatch&) = delete;
  FdWatch& operator=(const FdWatch&) = delete;
  ~FdWatch() { disarm(); }

  // Takes effect at once. Arming again, also for the same descriptor, registers it anew: do that
  // when a library may have closed and reopened it. Throws BusyResourceError if somebody else
  // watches or waits in that direction, std::system_error if the descriptor cannot be polled.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void arm(int fd, FdDirection direction, void (*on_ready)(void*), void* context);
  // The same for a descriptor that is registered for good (owned_fd.h): edge-triggered, and no
  // system call is made here or to disarm. What is ready already is not delivered: try first, then
  // arm. Disarmed by the OwnedFd's close() or release(). It belongs to the run that `fd` belongs
  // to: UsageError in another one.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void arm(OwnedFd& fd, FdDirection direction, void (*on_ready)(void*), void* context);
  // After this nothing is delivered, not even what the current poll has already found.
  void disarm() noexcept;
  bool armed() const { return fd_ >= 0; }
  int fd() const { return fd_; }

 private:
  friend struct FdWatchAccess;
  int fd_ = -1;
  FdDirection direction_ = FdDirection::kRead;
  void (*on_ready_)(void*) = nullptr;
  void* context_ = nullptr;
  void* manager_ = nullptr;  // The run's I/O manager.
};

}  // namespace weft::fibers
