// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of EventLoop that makes connections. (asyncio: BaseEventLoop.create_connection.)
//
//   auto [transport, client] = co_await loop.create_connection(
//       [] { return std::make_shared<Client>(); }, "example.org", 80);
//
// A factory is called without arguments and returns a std::shared_ptr or std::unique_ptr to what it
// has made: a Protocol or BufferedProtocol. All of these are coroutines: in a task with a stack,
// and in a callback, await() them. They return once connection_made() has returned.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "weft/fibers/clock.h"
#include "weft/loop/detail/connecting.h"
#include "weft/loop/loop_executor.h"
#include "weft/loop/transport.h"

namespace weft::loop {

class TransportLayer;

// Texts are copied by the call.
struct ConnectionOptions {
  // For getaddrinfo().
  int family = 0;
  int proto = 0;
  int flags = 0;
  // Where to connect from. Empty: the system chooses.
  std::string_view local_host = {};
  std::uint16_t local_port = 0;
  // How long one address is tried before the next joins in (RFC 8305 says 250 ms). Left out: until
  // it fails.
  std::optional<fibers::Duration> happy_eyeballs_delay = std::nullopt;
  // Addresses of different families take turns after so many of the first one's. Left out: 0, which
  // keeps their order, or 1 with happy_eyeballs_delay.
  std::optional<int> interleave = std::nullopt;
  // Throw all errors in an ExceptionGroup, instead of one that speaks of all.
  bool all_errors = false;
  // TLS, or another layer; it outlives the connection. The hostname is `host` if left out.
  TransportLayer* ssl = nullptr;
  std::string_view server_hostname = {};
  std::optional<fibers::Duration> ssl_handshake_timeout = std::nullopt;
  std::optional<fibers::Duration> ssl_shutdown_timeout = std::nullopt;
};

// Only the fields about TLS are of use to sockets that are connected, and to Unix sockets.
class LoopTransports : public LoopExecutor {
 public:
  // Connects to a name or numeric address. Tries its addresses in their order. Throws
  // std::system_error: the one error, or one that says "Multiple exceptions: ..." if the addresses
  // have failed differently; UsageError for options that do not fit together.
  //
  // Blocks: whoever awaits it.
  // Cancel: at once; no connection is left open.
  // Threads: the loop's own only.
  template <class Factory>
  auto create_connection(Factory factory, std::string_view host, std::uint16_t port,
                         const ConnectionOptions& options = {}) {
    auto request = connect_request(detail::protocol_factory(std::move(factory)), options);
    request->host = host;
    request->port = port;
    return detail::connect_as<detail::ProtocolOf<Factory>>(*core_, std::move(request));
  }
  // A transport for a socket that is connected already, which does not block any more. The call
  // takes the descriptor over, also if it fails. Throws UsageError if it is not of streams.
  // (asyncio: create_connection(sock=...).)
  //
  // Blocks: whoever awaits it.
  // Cancel: at once; closes the socket.
  // Threads: the loop's own only.
  template <class Factory>
  auto create_connection(Factory factory, int sock, const ConnectionOptions& options = {}) {
    detail::GivenFd given(sock);
    auto request = connect_request(detail::protocol_factory(std::move(factory)), options);
    request->fd = std::move(given);
    return detail::connect_as<detail::ProtocolOf<Factory>>(*core_, std::move(request));
  }
  // The same for a socket that somebody else's accept() has given: `ssl` is the server's side.
  //
  // Blocks: whoever awaits it.
  // Cancel: at once; closes the socket.
  // Threads: the loop's own only.
  template <class Factory>
  auto connect_accepted_socket(Factory factory, int sock, const ConnectionOptions& options = {}) {
    detail::GivenFd given(sock);
    auto request = connect_request(detail::protocol_factory(std::move(factory)), options);
    request->fd = std::move(given);
    request->server_side = true;
    return detail::connect_as<detail::ProtocolOf<Factory>>(*core_, std::move(request));
  }
  // Connects to a Unix socket: the path of a file, or, after a zero byte, an abstract name.
  //
  // Blocks: whoever awaits it.
  // Cancel: at once; no connection is left open.
  // Threads: the loop's own only.
  template <class Factory>
  auto create_unix_connection(Factory factory, std::string_view path,
                              const ConnectionOptions& options = {}) {
    auto request = connect_request(detail::protocol_factory(std::move(factory)), options);
    request->path = path;
    return detail::connect_as<detail::ProtocolOf<Factory>>(*core_, std::move(request));
  }
  // A transport for a Unix socket that is connected already, which the call takes over.
  //
  // Blocks: whoever awaits it.
  // Cancel: at once; closes the socket.
  // Threads: the loop's own only.
  template <class Factory>
  auto create_unix_connection(Factory factory, int sock, const ConnectionOptions& options = {}) {
    detail::GivenFd given(sock);
    auto request = connect_request(detail::protocol_factory(std::move(factory)), options);
    request->fd = std::move(given);
    request->unix_only = true;
    return detail::connect_as<detail::ProtocolOf<Factory>>(*core_, std::move(request));
  }

 protected:
  using LoopExecutor::LoopExecutor;

 private:
  static std::unique_ptr<detail::ConnectRequest> connect_request(detail::ProtocolFactory factory,
                                                                 const ConnectionOptions& options);
};

}  // namespace weft::loop
