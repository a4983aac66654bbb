// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A non-blocking descriptor that weft owns: registered once, edge-triggered, so that a wait makes
// no system call. The call itself is tried first, and waited for only if it would block:
//
//   for (;;) {
//     const ssize_t n = ::recv(fd.get(), data, size, 0);
//     if (n >= 0 || errno != EAGAIN) return n;
//     fd.wait_readable();
//   }

#pragma once

#include <utility>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

class FdWatch;

namespace detail {
struct FdEntry;
}

// A resource that can be moved while nobody waits on it. Belongs to the run that made it: waiting
// in another one is a UsageError. May be closed and released at any time later by the same thread.
class OwnedFd {
 public:
  OwnedFd() = default;
  // Takes ownership of `fd`, which must be non-blocking, and closes it if registering fails
  // (std::system_error).
  explicit OwnedFd(int fd);
  OwnedFd(OwnedFd&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), entry_(std::exchange(other.entry_, nullptr)) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept;
  ~OwnedFd() { close(); }

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

  // For callbacks instead of waits: FdWatch::arm().
  //
  // To be called right after EAGAIN, with no wait in between, or while is_drained(): waits for the
  // next edge.
  // One waiting task a direction: BusyResourceError. ClosedResourceError if closed meanwhile.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: no data is consumed in any case.
  // Threads: the run's own only.
  void wait_readable();
  // Blocks: yes, always a checkpoint.
  // Cancel: no data is consumed in any case.
  // Threads: the run's own only.
  void wait_writable();

  // A TCP read that gave less than was asked for has taken all there was. Who notes that saves the
  // next call, which would only say EAGAIN: as long as is_drained() there is nothing to read. Not
  // for descriptors that keep messages apart, which a read does not go beyond.
  void note_drained() noexcept;
  bool is_drained() const noexcept;

  // Wakes those who wait with ClosedResourceError and closes. Idempotent.
  void close() noexcept;
  // Gives the descriptor away, unregistered.
  int release() noexcept;

 private:
  friend class FdWatch;
  int fd_ = -1;
  detail::FdEntry* entry_ = nullptr;
};

}  // namespace weft::fibers
