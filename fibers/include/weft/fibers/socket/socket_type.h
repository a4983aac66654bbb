// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Sockets as the system has them, with calls that wait: UDP, raw and Unix sockets, options, control
// messages. For plain connections streams are easier: socket.h, tcp.h.
//
//   socket::SocketType udp = socket::socket(AF_INET, SOCK_DGRAM);
//   udp.bind("127.0.0.1", 5300);
//   for (;;) {
//     auto [query, from] = udp.recvfrom(1500);
//     udp.sendto(answer(query), from);
//   }
//
// (Trio: trio.socket; the constants are those of <sys/socket.h>.)

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "weft/fibers/owned_fd.h"
#include "weft/fibers/socket/message.h"
#include "weft/fibers/socket_address.h"

namespace weft::fibers::socket {

// Errors are std::system_error. A call on a closed socket, or on one that is closed while the call
// waits, throws ClosedResourceError. A second task that waits in the same direction gets
// BusyResourceError. Sends raise no SIGPIPE. A resource; it can be moved while nobody uses it. The
// destructor closes it.
class SocketType {
 public:
  // Takes over a non-blocking socket of any kind. Throws std::system_error if it is not a socket.
  explicit SocketType(OwnedFd fd);

  // As the system knows it: AF_..., SOCK_..., IPPROTO_...
  int family() const { return family_; }
  int type() const { return type_; }
  int proto() const { return proto_; }

  // Binds to an address of this machine. The second form resolves a name or numeric address in the
  // socket's own family. An empty host means all addresses.
  //
  // Blocks: by address no; by name yes, always a checkpoint.
  // Cancel: before any effect.
  // Threads: the run's own only.
  void bind(const SocketAddress& address);
  void bind(const std::string& host, std::uint16_t port);
  // Listens, with room for at most 65535 connections that have not been accepted.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void listen(int backlog = 65535);
  // Waits for the next connection. Returns it with the peer's address.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: no connection is lost.
  // Threads: the run's own only.
  std::pair<SocketType, SocketAddress> accept();
  // Connects. Errors name the address. The second form resolves as bind() does. An empty host means
  // this machine.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: closes the socket, because the peer may or may not have seen it.
  // Threads: the run's own only.
  void connect(const SocketAddress& address);
  void connect(const std::string& host, std::uint16_t port);

  // Receives up to `size` bytes, or one datagram, cut to that; `flags` as in recv(2). Empty: the
  // end of a stream, or an empty datagram.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has been received.
  // Threads: the run's own only.
  std::string recv(std::size_t size, int flags = 0);
  std::size_t recv_into(std::span<std::byte> buffer, int flags = 0);
  std::pair<std::string, SocketAddress> recvfrom(std::size_t size, int flags = 0);
  std::pair<std::size_t, SocketAddress> recvfrom_into(std::span<std::byte> buffer, int flags = 0);
  // The same with room for `ancillary_size` bytes of control messages.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has been received.
  // Threads: the run's own only.
  IncomingMessage recvmsg(std::size_t size, std::size_t ancillary_size = 0, int flags = 0);
  IncomingMessage recvmsg_into(std::span<const std::span<std::byte>> buffers,
                               std::size_t ancillary_size = 0, int flags = 0);

  // Sends as much as fits, and returns the number of bytes: a stream may take only a part.
  // Datagrams are sent whole or not at all.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has been sent.
  // Threads: the run's own only.
  std::size_t send(std::string_view data, int flags = 0);
  std::size_t send(std::span<const std::byte> data, int flags = 0);
  std::size_t sendto(std::string_view data, const SocketAddress& address, int flags = 0);
  std::size_t sendto(std::span<const std::byte> data, const SocketAddress& address, int flags = 0);
  // Resolves as connect() does, at every call.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has been sent.
  // Threads: the run's own only.
  std::size_t sendto(std::string_view data, const std::string& host, std::uint16_t port,
                     int flags = 0);
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has been sent.
  // Threads: the run's own only.
  std::size_t sendmsg(const OutgoingMessage& message);

  // SHUT_RD, SHUT_WR or SHUT_RDWR.
  void shutdown(int how);
  bool did_shutdown_SHUT_WR() const { return did_shut_wr_; }  // NOLINT: the name is Trio's.
  // Whether a recv() would not wait.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  bool is_readable() const;
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has happened.
  // Threads: the run's own only.
  void wait_writable();

  // Tasks that wait get ClosedResourceError. Idempotent.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void close() noexcept { fd_.close(); }
  bool is_open() const { return fd_.is_open(); }
  // -1 when closed.
  int fileno() const { return fd_.get(); }
  // Gives the descriptor away. It stays open and non-blocking; this socket counts as closed.
  int detach() noexcept { return fd_.release(); }
  // The same, for a stream to take over.
  OwnedFd take_fd() noexcept { return std::move(fd_); }
  // Another descriptor of the same socket, close-on-exec.
  SocketType dup() const;

  // Socket options: as an int, or as bytes, of which at most `size` are read.
  int getsockopt(int level, int option) const;
  std::string getsockopt(int level, int option, std::size_t size) const;
  void setsockopt(int level, int option, int value);
  void setsockopt(int level, int option, std::string_view value);
  // Whether child processes inherit it. At first they do not.
  bool get_inheritable() const;
  void set_inheritable(bool inheritable);
  SocketAddress getsockname() const;
  SocketAddress getpeername() const;

 private:
  SocketAddress resolve_local(const std::string& host, std::uint16_t port) const;
  SocketAddress resolve_remote(const std::string& host, std::uint16_t port) const;
  SocketAddress resolve(const std::string& host, std::uint16_t port, int flags) const;
  template <class F>
  void close_if_cancelled(F&& body);
  void start_connecting(const SocketAddress& address);
  void finish_connecting(const SocketAddress& address);

  OwnedFd fd_;
  int family_ = 0;
  int type_ = 0;
  int proto_ = 0;
  bool did_shut_wr_ = false;
};

// Makes a socket, close-on-exec and non-blocking; by the custom SocketFactory if there is one.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
SocketType socket(int family, int type, int proto = 0);
// Makes two connected sockets. Without arguments they are Unix streams.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
std::pair<SocketType, SocketType> socketpair(int family, int type, int proto = 0);
std::pair<SocketType, SocketType> socketpair();
// Makes a socket from a duplicate of somebody else's descriptor. Both refer to the same socket, so
// the other one becomes non-blocking too.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
SocketType fromfd(int fd);

}  // namespace weft::fibers::socket
