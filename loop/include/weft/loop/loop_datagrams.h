// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of EventLoop that makes endpoints for datagrams: UDP, and Unix sockets.
// (asyncio: BaseEventLoop.create_datagram_endpoint.)
//
//   auto [transport, echo] = co_await loop.create_datagram_endpoint(
//       [] { return std::make_shared<Echo>(); }, {.local_addr = {"127.0.0.1", 9999}});

#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

#include "weft/loop/detail/datagrams.h"
#include "weft/loop/loop_subprocess.h"

namespace weft::loop {

// {"127.0.0.1", 9999}, a host and a port; "/run/x.sock", the path of a Unix socket, or, after a
// zero byte, an abstract name; {}, none. The text is copied by create_datagram_endpoint().
class EndpointAddress {
 public:
  constexpr EndpointAddress() = default;
  constexpr EndpointAddress(std::string_view host, std::uint16_t port)
      : name_(host), port_(port), kind_(Kind::kHost) {}
  template <class Path>
  requires std::is_convertible_v<const Path&, std::string_view>
  constexpr EndpointAddress(const Path& path)  // NOLINT(google-explicit-constructor)
      : name_(path), kind_(Kind::kPath) {}

 private:
  friend class LoopDatagrams;
  using Kind = detail::EndpointPlace::Kind;
  detail::EndpointPlace place() const {
    return {.kind = kind_, .name = std::string(name_), .port = port_};
  }

  std::string_view name_;
  std::uint16_t port_ = 0;
  Kind kind_ = Kind::kNone;
};

struct DatagramOptions {
  // Where to receive. None: the system chooses when something is sent.
  EndpointAddress local_addr = {};
  // Where to send, and from where alone to receive.
  EndpointAddress remote_addr = {};
  // For getaddrinfo(). Without an address the family says what kind of socket it is.
  int family = 0;
  int proto = 0;
  int flags = 0;
  // Several processes share the port.
  bool reuse_port = false;
  // What is sent may go to broadcast addresses. A remote address is then one to send to only.
  bool allow_broadcast = false;
  // A datagram socket to take over, also if the call fails; then nothing else may be given.
  int sock = -1;
};

class LoopDatagrams : public LoopSubprocess {
 public:
  // Makes an endpoint: the DatagramTransport and the protocol, as a pair. `factory()` returns a
  // std::shared_ptr or std::unique_ptr to a DatagramProtocol, whose connection_made() has been
  // called then. Each family and protocol that the addresses have in common is tried. A Unix
  // socket's file that is there already is replaced. Throws std::system_error, the first one;
  // UsageError for options that do not fit together.
  //
  // Blocks: whoever awaits it.
  // Cancel: at once; nothing is left open.
  // Threads: the loop's own only.
  template <class Factory>
  auto create_datagram_endpoint(Factory factory, const DatagramOptions& options = {}) {
    return detail::open_endpoint_as<detail::ProtocolOf<Factory>>(
        *core_, datagram_request(detail::protocol_factory(std::move(factory)), options));
  }

 protected:
  using LoopSubprocess::LoopSubprocess;

 private:
  static std::unique_ptr<detail::DatagramRequest> datagram_request(detail::ProtocolFactory factory,
                                                                   const DatagramOptions& options);
};

}  // namespace weft::loop
