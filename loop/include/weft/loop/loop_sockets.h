// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of EventLoop that reads and writes sockets which stay their owner's. For connections
// that the loop owns see transports. (asyncio: the sock_ methods of BaseSelectorEventLoop.)
//
//   Coro<void> echo(EventLoop& loop, int fd) {
//     for (;;) {
//       const std::string data = co_await loop.sock_recv(fd, 4096);
//       if (data.empty()) co_return;
//       co_await loop.sock_sendall(fd, data);
//     }
//   }
//
// The sockets are non-blocking: UsageError in debug mode if one is not, and a loop that stands
// otherwise. One call a socket and direction: a second one takes the place of the first, which then
// waits until it is cancelled. All of them try first, and wait only if the system says so.

#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "weft/fibers/fd_watch.h"
#include "weft/fibers/socket_address.h"
#include "weft/loop/coro.h"
#include "weft/loop/loop_tasks.h"

namespace weft::loop {

class LoopSockets : public LoopTasks {
 public:
  // Up to `size` bytes; none at the end of the stream. Throws std::system_error.
  //
  // Blocks: whoever awaits it, until there is something.
  // Cancel: no data is consumed.
  // Threads: the loop's own only.
  Coro<std::string> sock_recv(int fd, std::size_t size);
  // Into `buffer`, which outlives the call; how many bytes. Throws UsageError for an empty one.
  //
  // Blocks: whoever awaits it, until there is something.
  // Cancel: no data is consumed.
  // Threads: the loop's own only.
  Coro<std::size_t> sock_recv_into(int fd, std::span<std::byte> buffer);
  // A datagram, cut off after `size` bytes, and who sent it.
  //
  // Blocks: whoever awaits it, until there is one.
  // Cancel: no data is consumed.
  // Threads: the loop's own only.
  Coro<std::pair<std::string, fibers::SocketAddress>> sock_recvfrom(int fd, std::size_t size);
  // Blocks: whoever awaits it, until there is one.
  // Cancel: no data is consumed.
  // Threads: the loop's own only.
  Coro<std::pair<std::size_t, fibers::SocketAddress>> sock_recvfrom_into(
      int fd, std::span<std::byte> buffer);
  // All of `data`, which outlives the call. Throws std::system_error.
  //
  // Blocks: whoever awaits it, until the system has taken the last byte.
  // Cancel: how much has been sent is not known.
  // Threads: the loop's own only.
  Coro<void> sock_sendall(int fd, std::string_view data);
  // One datagram; how many bytes of it.
  //
  // Blocks: whoever awaits it, until there is room.
  // Cancel: nothing has been sent.
  // Threads: the loop's own only.
  Coro<std::size_t> sock_sendto(int fd, std::string_view data, fibers::SocketAddress address);
  // Throws std::system_error.
  //
  // Blocks: whoever awaits it, until there is a connection, or none.
  // Cancel: the socket goes on connecting; close it.
  // Threads: the loop's own only.
  Coro<void> sock_connect(int fd, fibers::SocketAddress address);
  // A new connection, which is the caller's to close: non-blocking, not inherited; and whose it is.
  // Throws std::system_error.
  //
  // Blocks: whoever awaits it, until there is one.
  // Cancel: no connection is lost.
  // Threads: the loop's own only.
  Coro<std::pair<int, fibers::SocketAddress>> sock_accept(int fd);

 protected:
  using LoopTasks::LoopTasks;
  void require_nonblocking(int fd) const;

 private:
  Coro<void> wait_for_fd(int fd, fibers::FdDirection direction);
  template <class Call>
  Coro<std::size_t> repeat(int fd, fibers::FdDirection direction, const char* what, Call call);
};

}  // namespace weft::loop
