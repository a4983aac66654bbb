// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Connected sockets as streams of bytes, and sockets that listen. To make them: tcp.h.
//
//   stream.send_all("HEAD / HTTP/1.0\r\n\r\n");
//   for (;;) {
//     const std::string data = stream.receive_some();
//     if (data.empty()) break;                          // the peer has finished
//     ...
//   }

#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "weft/fibers/conflict_detector.h"
#include "weft/fibers/listener.h"
#include "weft/fibers/owned_fd.h"
#include "weft/fibers/socket_address.h"
#include "weft/fibers/stream.h"

namespace weft::fibers {

namespace socket {
class SocketType;
}

// One task may send while another receives. A second task in the same direction gets
// BusyResourceError. If the network or the peer breaks the connection, calls throw
// BrokenResourceError with the std::system_error nested in it. If this side has closed the stream,
// or closes it while another task waits, calls throw ClosedResourceError. A resource; it can be
// moved while nobody uses it. The destructor closes it; destroying it while a task uses it ends the
// process. (Trio: SocketStream.)
class SocketStream final : public HalfCloseableStream {
 public:
  // Takes over a connected, non-blocking socket. For TCP it switches Nagle's algorithm off, and the
  // socket counts as writable only when little is left unsent, so that queued data stays fresh.
  // Throws UsageError for anything but a SOCK_STREAM socket.
  explicit SocketStream(OwnedFd fd);
  explicit SocketStream(socket::SocketType&& connected);
  SocketStream(SocketStream&&) noexcept = default;
  SocketStream& operator=(SocketStream&&) noexcept = default;
  ~SocketStream() override = default;

  // Sends everything.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: an unknown part has been sent; the stream is then only good for closing.
  // Threads: the run's own only.
  void send_all(std::span<const std::byte> data) override;
  void send_all(std::string_view data) { send_all(std::as_bytes(std::span(data))); }
  // Waits until a small send_all() would probably not wait. For data that should be as fresh as
  // possible when it is sent.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has happened.
  // Threads: the run's own only.
  void wait_send_all_might_not_block() override;
  // Tells the peer that no more data will come. Receiving still works; sending throws
  // ClosedResourceError from now on. Idempotent.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect.
  // Threads: the run's own only.
  void send_eof() override;

  // Waits for data, and receives as much of it as fits. Returns the number of bytes; 0 is the end.
  // Throws UsageError for an empty buffer.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has been received.
  // Threads: the run's own only.
  std::size_t receive_some(std::span<std::byte> buffer) override;
  // The same, as a string of at most `max` bytes and at most 64 KiB. An empty string is the end.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has been received.
  // Threads: the run's own only.
  std::string receive_some(std::size_t max) override;
  std::string receive_some() { return receive_some(kDefaultReceive); }

  // Idempotent.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void close() noexcept { fd_.close(); }
  // The same, then a checkpoint. (Trio: aclose.)
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: after closing.
  // Threads: the run's own only.
  void aclose() override;
  bool is_open() const { return fd_.is_open(); }

  // Both throw ClosedResourceError on a closed stream, and std::system_error if the system cannot
  // tell.
  SocketAddress local_address() const;
  SocketAddress peer_address() const;
  // Socket options: as an int, or as bytes, of which at most `size` are read. They throw as the two
  // above do.
  int getsockopt(int level, int option) const;
  std::string getsockopt(int level, int option, std::size_t size) const;
  void setsockopt(int level, int option, int value);
  void setsockopt(int level, int option, std::string_view value);
  // The descriptor, for the system's own calls; -1 when closed.
  int fd() const { return fd_.get(); }
  // Gives the descriptor away. It stays open and non-blocking; the stream counts as closed.
  int release() noexcept { return fd_.release(); }

 private:
  friend class SocketListener;
  SocketStream(OwnedFd accepted, bool is_tcp);

  void tune();
  void need_sending_side() const;
  std::size_t send_some(std::span<const std::byte> data, bool& waited);
  template <class Take>
  void receive_into(std::span<std::byte> buffer, Take&& take);

  OwnedFd fd_;
  bool is_tcp_ = false;
  ConflictDetector sending_{
      "another task is sending on this stream already; let one task do it, or use a Lock"};
  ConflictDetector receiving_{
      "another task is receiving from this stream already; let one task do it, or use a Lock"};
  bool sent_eof_ = false;
};

// A resource; it can be moved while nobody uses it. The destructor closes it. (Trio:
// SocketListener.)
class SocketListener final : public Listener<SocketStream> {
 public:
  // Takes over a non-blocking socket that is listening. Throws UsageError for any other.
  explicit SocketListener(OwnedFd fd);
  explicit SocketListener(socket::SocketType&& listening);
  SocketListener(SocketListener&&) noexcept = default;
  SocketListener& operator=(SocketListener&&) noexcept = default;
  ~SocketListener() override = default;

  // Waits for the next connection. Connections that broke before they were accepted are skipped.
  // Throws std::system_error for other errors, such as EMFILE; ClosedResourceError on a closed
  // listener.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: no connection is lost.
  // Threads: the run's own only.
  SocketStream accept() override;

  void close() noexcept { fd_.close(); }
  // Blocks: yes, always a checkpoint.
  // Cancel: after closing.
  // Threads: the run's own only.
  void aclose() override;
  bool is_open() const { return fd_.is_open(); }
  SocketAddress local_address() const;
  int fd() const { return fd_.get(); }

 private:
  OwnedFd fd_;
  bool is_tcp_;
};

// Two streams that are connected to each other, without a network. For tests, and for talking to a
// child. Throws std::system_error.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
std::pair<SocketStream, SocketStream> socket_stream_pair();

}  // namespace weft::fibers
