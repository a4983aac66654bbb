// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What create_server() and its sibling do apart from the type of the protocol. Not for use outside
// weft.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "weft/loop/coro.h"
#include "weft/loop/detail/connecting.h"
#include "weft/loop/detail/loop_object.h"

namespace weft::loop {
class Server;
}

namespace weft::loop::detail {

struct ServeRequest {
  ProtocolFactory factory;
  std::vector<std::string> hosts;  // Empty: all interfaces.
  std::uint16_t port = 0;
  std::string path;        // Of a Unix socket.
  GivenFd fd = GivenFd();  // A socket that is bound already.
  bool unix_only = false;  // It has to be one of Unix.
  int family = 0;
  int flags = 0;
  int backlog = 100;
  bool reuse_address = true;
  bool reuse_port = false;
  bool keep_alive = false;
  bool cleanup_socket = true;
  bool start_serving = true;
  LayerOptions layer;
};

// By which way the request says.
Coro<Server> serve(LoopCore& loop, std::unique_ptr<ServeRequest> request);

// The state machine of a server. (asyncio: base_events.Server.)
class ServerCore : public LoopObject {
 public:
  using LoopObject::LoopObject;

  virtual std::vector<int> sockets() const = 0;
  virtual bool is_serving() const = 0;
  virtual void close() = 0;
  virtual void close_clients() = 0;
  virtual void abort_clients() = 0;
  virtual Coro<void> start_serving() = 0;
  virtual Coro<void> serve_forever() = 0;
  virtual Coro<void> wait_closed() = 0;
};

}  // namespace weft::loop::detail
