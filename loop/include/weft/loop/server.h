// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What create_server() returns (loop_servers.h). (asyncio.Server.)
//
//   Server server = co_await loop.create_server(
//       [] { return std::make_unique<Echo>(); }, "127.0.0.1", 8888);
//   co_await server.serve_forever();

#pragma once

#include <utility>
#include <vector>

#include "weft/loop/coro.h"
#include "weft/loop/detail/serving.h"

namespace weft::loop {

class EventLoop;

// A value: copies are the same server, which lives until it is closed, whether anybody holds it or
// not. It may outlive the loop, which closes it. A call on an empty one is a UsageError.
class Server {
 public:
  Server() = default;
  Server(const Server& other) noexcept : core_(other.core_) {
    if (core_ != nullptr) core_->retain();
  }
  Server(Server&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  Server& operator=(Server other) noexcept {
    std::swap(core_, other.core_);
    return *this;
  }
  ~Server() {
    if (core_ != nullptr) core_->release();
  }
  explicit operator bool() const { return core_ != nullptr; }
  friend bool operator==(const Server& a, const Server& b) { return a.core_ == b.core_; }

  // The descriptors that listen, which stay the server's; none once it is closed.
  std::vector<int> sockets() const { return core().sockets(); }
  // Whether it accepts connections.
  bool is_serving() const { return core().is_serving(); }
  // Throws UsageError if the loop is gone.
  EventLoop& get_loop() const { return core().event_loop(); }

  // Stops accepting at once, and closes what listens. Connections that are there live on. Cancels
  // serve_forever(). Idempotent.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void close() { core().close(); }
  // Closes, or aborts, the connections that are there.
  void close_clients() { core().close_clients(); }
  void abort_clients() { core().abort_clients(); }

  // Begins to accept; create_server() has done so unless told otherwise. Idempotent. Throws
  // std::system_error, and UsageError once closed.
  //
  // Blocks: whoever awaits it, for one iteration.
  // Cancel: after it has begun.
  // Threads: the loop's own only.
  Coro<void> start_serving() { return core().start_serving(); }
  // Begins to accept, and waits until it is cancelled, which closes the server, or closed. Then it
  // throws CancelledError, once the last connection has ended. One at a time: UsageError. Nothing
  // of this happens before it is awaited.
  //
  // Blocks: whoever awaits it.
  // Cancel: closes the server, and waits for its connections.
  // Threads: the loop's own only.
  Coro<void> serve_forever() { return core().serve_forever(); }
  // Waits until the server is closed and its last connection has ended.
  //
  // Blocks: whoever awaits it, unless that is so.
  // Cancel: at once.
  // Threads: the loop's own only.
  Coro<void> wait_closed() { return core().wait_closed(); }

 private:
  friend struct ServerAccess;
  // Takes over one reference.
  explicit Server(detail::ServerCore* core) noexcept : core_(core) {}
  detail::ServerCore& core() const {
    if (core_ == nullptr) throw_empty();
    return *core_;
  }
  [[noreturn]] static void throw_empty();

  detail::ServerCore* core_ = nullptr;
};

// For weft's own files.
struct ServerAccess {
  static Server wrap(detail::ServerCore* core) noexcept { return Server(core); }
};

}  // namespace weft::loop
