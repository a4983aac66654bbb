// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Any descriptor that can wait as a stream: a pipe, a terminal, the pipes of a child.
//
//   FdStream input(::dup(STDIN_FILENO));
//   for (std::string data = input.receive_some(); !data.empty(); data = input.receive_some()) ...
//
//   auto [send, receive] = open_pipe();
//
// (Trio: lowlevel.FdStream.)

#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "weft/fibers/conflict_detector.h"
#include "weft/fibers/owned_fd.h"
#include "weft/fibers/stream.h"

namespace weft::fibers {

// Owns the descriptor, and while it is open switches it to non-blocking; so it is then for everyone
// who shares it, as the shell does a terminal, and once closed as it was before. Errors as in
// stream.h; a peer that is gone raises no SIGPIPE. Sending on a descriptor that is open for reading
// only is a UsageError, and the other way round. A resource that can be moved while nobody uses it;
// the destructor closes. Destroying it while a task sends or receives ends the process.
class FdStream final : public Stream {
 public:
  // Throws std::system_error, and has closed `fd` then, if it cannot be waited for: files on a disk
  // cannot. (For them: file.h.)
  explicit FdStream(int fd);
  FdStream(FdStream&& other) noexcept;
  FdStream& operator=(FdStream&& other) noexcept;
  ~FdStream() override { close(); }

  // Sends everything.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: an unknown part has been sent; the stream is then only good for closing.
  // Threads: the run's own only.
  void send_all(std::span<const std::byte> data) override;
  using SendStream::send_all;
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has happened.
  // Threads: the run's own only.
  void wait_send_all_might_not_block() override;

  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has been received.
  // Threads: the run's own only.
  std::size_t receive_some(std::span<std::byte> buffer) override;
  using ReceiveStream::receive_some;

  // Idempotent.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void close() noexcept;
  // The same, then a checkpoint.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: after closing.
  // Threads: the run's own only.
  void aclose() override;
  bool is_open() const { return fd_.is_open(); }
  // -1 when closed.
  int fileno() const { return fd_.get(); }

 private:
  void need_access(int refused, const char* what) const;

  OwnedFd fd_;
  int flags_ = 0;  // As they were.
  ConflictDetector sending_{
      "another task is sending on this stream already; let one task do it, or use a Lock"};
  ConflictDetector receiving_{
      "another task is receiving from this stream already; let one task do it, or use a Lock"};
};

// A new pipe: what is sent by the first is received by the second. Close-on-exec. Throws
// std::system_error.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
std::pair<FdStream, FdStream> open_pipe();

}  // namespace weft::fibers
