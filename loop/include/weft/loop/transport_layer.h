// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What `ssl` is in the options of create_connection() and create_server(): something that puts
// itself between a connection and the user's protocol. For TLS that is a context of weft::loop_tls.

#pragma once

#include <memory>
#include <optional>
#include <string>

#include "weft/fibers/clock.h"
#include "weft/loop/future.h"
#include "weft/loop/protocol.h"
#include "weft/loop/transport.h"

namespace weft::loop {

class EventLoop;

// What a layer is asked for.
struct LayerRequest {
  EventLoop& loop;
  // The user's, which is to see what the layer lets through.
  std::shared_ptr<BaseProtocol> protocol;
  bool server_side = false;
  std::string server_hostname = {};
  // Left out: the layer's own. (60 s and 30 s.)
  std::optional<fibers::Duration> handshake_timeout = std::nullopt;
  std::optional<fibers::Duration> shutdown_timeout = std::nullopt;
  // Ends when the protocol's connection_made() has returned, or with the error for which it will
  // never be called. Null if nobody waits.
  Future<void> waiter = {};
  // False for start_tls(), whose protocol has been told.
  bool call_connection_made = true;
};

// What it gives: the protocol to put on the connection, and what the user's sees as its transport.
struct MadeLayer {
  std::shared_ptr<BaseProtocol> protocol;
  Transport transport;
};

// A resource, which outlives the connections and servers that it is given to.
class TransportLayer {
 public:
  TransportLayer() = default;
  TransportLayer(const TransportLayer&) = delete;
  TransportLayer& operator=(const TransportLayer&) = delete;
  virtual ~TransportLayer() = default;
  // The connection is not there yet: the protocol is told of it by its connection_made().
  virtual MadeLayer make(LayerRequest request) = 0;
};

}  // namespace weft::loop
