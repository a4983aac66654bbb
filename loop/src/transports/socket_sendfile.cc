// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a socket's transport does for a sendfile(): it empties its buffer, refuses what is written
// meanwhile, and says when the socket has room. (asyncio: _make_empty_waiter and its kin.)

#include <cerrno>
#include <system_error>

#include "loop/src/transports/socket_transport.h"
#include "loop/src/transports/transport_errors.h"
#include "weft/fibers/errors.h"
#include "weft/loop/event_loop.h"

namespace weft::loop::detail {

Future<void> SocketTransport::begin_sendfile() {
  if (sending_file_) throw fibers::UsageError("Empty waiter is already set");
  Future<void> empty = event_loop().create_future<void>();
  if (buffer_.empty()) {
    empty.set_result();
  } else {
    file_waiter_ = empty;
  }
  sending_file_ = true;
  return empty;
}

void SocketTransport::end_sendfile() {
  sending_file_ = false;
  file_waiter_ = {};
  if (!fd_.is_open() || closing_.lost() || !buffer_.empty()) return;
  write_watch_.disarm();
  if (wrote_eof_) shut_down();
}

int SocketTransport::fd_to_send_by() const {
  if (!closing_.lost() && fd_.is_open()) return fd_.get();
  throw std::system_error(ECONNRESET, std::generic_category(), "Connection is closed by peer");
}

// Right after EAGAIN: the next edge tells of room.
Future<void> SocketTransport::wait_for_room() {
  file_waiter_ = event_loop().create_future<void>();
  watch_writing();
  return file_waiter_;
}

void SocketTransport::wake_file_waiter(const std::exception_ptr& error) {
  Future<void> waiter = std::exchange(file_waiter_, {});
  if (!waiter || waiter.done()) return;
  error == nullptr ? waiter.set_result() : waiter.set_exception(error);
}

void SocketTransport::fail_sendfile() {
  if (!file_waiter_) return;
  wake_file_waiter(closing_.error() != nullptr
                       ? closing_.error()
                       : system_error(ECONNRESET, "Connection is closed by peer"));
}

}  // namespace weft::loop::detail
