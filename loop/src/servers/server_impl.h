// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A server: its sockets that listen, and the connections that they have given.

#pragma once

#include <sys/stat.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "loop/src/transports/socket_transport.h"
#include "loop/src/transports/unique_fd.h"
#include "weft/fibers/fd_watch.h"
#include "weft/fibers/owned_fd.h"
#include "weft/loop/detail/serving.h"
#include "weft/loop/future.h"
#include "weft/loop/handle.h"

namespace weft::loop::detail {

class ServerImpl;

// A socket that is bound, with what is known of it.
struct Bound {
  UniqueFd fd;
  bool tcp = false;
  // Of a Unix socket, with what to know its file by.
  std::string path = {};
  ino_t inode = 0;
};

// One socket that listens. The server holds it.
class Acceptor final : public LoopObject {
 public:
  Acceptor(ServerImpl& server, Bound bound);
  int fd() const { return owned_.is_open() ? owned_.get() : bound_.fd.get(); }
  bool listening() const { return owned_.is_open(); }
  // Throws std::system_error.
  void listen(int backlog);
  void close(bool cleanup) noexcept;

 private:
  void accept_ready();
  // False if there is nothing more to accept now.
  bool accept_one();
  // True if the next connection may well be good.
  bool refused(int error) noexcept;
  void pause() noexcept;
  void establish(UniqueFd fd, const fibers::SocketAddress& peer);
  void unlink_own_file() noexcept;

  ServerImpl& server_;  // Outlives it while it is open.
  Bound bound_;
  fibers::OwnedFd owned_;
  fibers::FdWatch watch_;
  OwnedCallback accepting_{*this, OwnedCallback::kTurn<&Acceptor::accept_ready>};
  TimerHandle retry_;
  int backlog_ = 0;
  bool paused_ = false;
};

class ServerImpl final : public ServerCore, public ConnectionOwner {
 public:
  ServerImpl(LoopCore& loop, std::unique_ptr<ServeRequest> request);
  // Before anything else.
  void add(Bound bound);
  void begin_to_serve();
  // What ends serve_forever().
  Future<void> begin_forever();

  std::vector<int> sockets() const override;
  bool is_serving() const override { return serving_; }
  void close() override;
  void close_clients() override;
  void abort_clients() override;
  Coro<void> start_serving() override;
  Coro<void> serve_forever() override;
  Coro<void> wait_closed() override;

  ServeRequest& request() { return *request_; }
  void attach(SocketTransport& transport) noexcept override;
  void detach(SocketTransport& transport) noexcept override;

 private:
  ~ServerImpl() override = default;
  bool unclosed() const noexcept override { return !closed_; }
  void report_unclosed() override;
  void loop_closed() noexcept override;
  void wind_up(WindUp stage) override {
    if (stage == WindUp::kServers) close();
  }
  void wake_if_over() noexcept;
  bool over() const { return closed_ && clients_ == nullptr; }

  std::unique_ptr<ServeRequest> request_;
  std::vector<Acceptor*> acceptors_;  // A reference each.
  SocketTransport* clients_ = nullptr;
  std::vector<Future<void>> waiters_;
  std::optional<Future<void>> forever_;
  bool serving_ = false;
  bool closed_ = false;
};

}  // namespace weft::loop::detail
