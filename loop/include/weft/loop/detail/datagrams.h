// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What create_datagram_endpoint() does apart from the type of the protocol. Not for use outside
// weft.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "weft/loop/coro.h"
#include "weft/loop/datagram_transport.h"
#include "weft/loop/detail/connecting.h"

namespace weft::loop::detail {

// An address that was asked for, or none.
struct EndpointPlace {
  enum class Kind : std::uint8_t { kNone, kHost, kPath };
  Kind kind = Kind::kNone;
  std::string name;  // A host, or a path.
  std::uint16_t port = 0;
};

struct DatagramRequest {
  ProtocolFactory factory;
  EndpointPlace local;
  EndpointPlace remote;
  int family = 0;
  int proto = 0;
  int flags = 0;
  bool reuse_port = false;
  bool allow_broadcast = false;
  GivenFd fd = GivenFd();
};

struct MadeEndpoint {
  DatagramTransport transport;
  std::shared_ptr<BaseProtocol> protocol;
};

// By which way the request says.
Coro<MadeEndpoint> open_endpoint(LoopCore& loop, std::unique_ptr<DatagramRequest> request);

template <class P>
Coro<std::pair<DatagramTransport, std::shared_ptr<P>>> open_endpoint_as(
    LoopCore& loop, std::unique_ptr<DatagramRequest> request) {
  MadeEndpoint made = co_await open_endpoint(loop, std::move(request));
  co_return std::pair(std::move(made.transport),
                      std::static_pointer_cast<P>(std::move(made.protocol)));
}

}  // namespace weft::loop::detail
