// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Puts TLS, or another layer, on a connection that is there: for protocols with a STARTTLS.
//
//   SSLLayer ssl(fibers::SSLContext::client());                  // of weft::loop_tls
//   Transport tls = co_await start_tls(transport, protocol, ssl,
//                                      {.server_hostname = "example.org"});

#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "weft/fibers/clock.h"
#include "weft/loop/coro.h"
#include "weft/loop/protocol.h"
#include "weft/loop/transport.h"
#include "weft/loop/transport_layer.h"

namespace weft::loop {

// No string: see TaskOptions.
struct StartTLSOptions {
  bool server_side = false;
  // Copied. Whom a client expects.
  std::string_view server_hostname = {};
  std::optional<fibers::Duration> ssl_handshake_timeout = std::nullopt;
  std::optional<fibers::Duration> ssl_shutdown_timeout = std::nullopt;
};

// From now on `protocol`, which knows of the connection, sees what `layer` lets through, and writes
// to the transport that this gives; `transport` is the layer's. What the peer has sent before its
// first byte of TLS has to have been read. Throws what the layer throws, and then the connection is
// closed; UsageError if the transport is of a kind that takes no layer. (asyncio: loop.start_tls.)
//
// Blocks: whoever awaits it, until hands have been shaken.
// Cancel: the connection is closed.
// Threads: the loop's own only.
Coro<Transport> start_tls(Transport transport, std::shared_ptr<BaseProtocol> protocol,
                          TransportLayer& layer, StartTLSOptions options = {});

}  // namespace weft::loop
