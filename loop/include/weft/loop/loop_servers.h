// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of EventLoop that makes servers. (asyncio: BaseEventLoop.create_server.)
//
// The factory is called for each connection, without arguments, and returns a std::shared_ptr or
// std::unique_ptr to a Protocol or BufferedProtocol. What it throws is reported to the exception
// handler; the server goes on. While it waits, the server accepts nothing on that socket.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "weft/fibers/clock.h"
#include "weft/loop/detail/serving.h"
#include "weft/loop/loop_transports.h"
#include "weft/loop/server.h"

namespace weft::loop {

struct ServerOptions {
  // For getaddrinfo(). kPassive is among the flags in any case.
  int family = 0;
  int flags = 0;
  // Connections that the system keeps until they are accepted.
  int backlog = 100;
  // A server that is started again takes its port back at once.
  bool reuse_address = true;
  // Several processes share the port.
  bool reuse_port = false;
  bool keep_alive = false;
  // A Unix socket's file goes when the server is closed, if it is still the server's own.
  bool cleanup_socket = true;
  bool start_serving = true;
  // TLS, or another layer; it outlives the server and its connections.
  TransportLayer* ssl = nullptr;
  std::optional<fibers::Duration> ssl_handshake_timeout = std::nullopt;
  std::optional<fibers::Duration> ssl_shutdown_timeout = std::nullopt;
};

class LoopServers : public LoopTransports {
 public:
  // Listens on every address of `host`, by a socket each; an empty host means all interfaces, IPv4
  // and IPv6. Port 0: any free one, which may differ from address to address. Throws
  // std::system_error, which names the address; then none is left open.
  //
  // Blocks: whoever awaits it.
  // Cancel: nothing is left open.
  // Threads: the loop's own only.
  template <class Factory>
  Coro<Server> create_server(Factory factory, std::string_view host, std::uint16_t port,
                             const ServerOptions& options = {}) {
    auto request = serve_request(detail::protocol_factory(std::move(factory)), options);
    if (!host.empty()) request->hosts.emplace_back(host);
    request->port = port;
    return detail::serve(*core_, std::move(request));
  }
  // The same for several hosts.
  //
  // Blocks: whoever awaits it.
  // Cancel: nothing is left open.
  // Threads: the loop's own only.
  template <class Factory>
  Coro<Server> create_server(Factory factory, const std::vector<std::string_view>& hosts,
                             std::uint16_t port, const ServerOptions& options = {}) {
    auto request = serve_request(detail::protocol_factory(std::move(factory)), options);
    for (const std::string_view host : hosts) request->hosts.emplace_back(host);
    request->port = port;
    return detail::serve(*core_, std::move(request));
  }
  // On a socket that is bound already, which does not block any more. The call takes the descriptor
  // over, also if it fails. Throws UsageError if it is not of streams. (asyncio:
  // create_server(sock=...).)
  //
  // Blocks: whoever awaits it, for one iteration.
  // Cancel: closes the socket.
  // Threads: the loop's own only.
  template <class Factory>
  Coro<Server> create_server(Factory factory, int sock, const ServerOptions& options = {}) {
    detail::GivenFd given(sock);
    auto request = serve_request(detail::protocol_factory(std::move(factory)), options);
    request->fd = std::move(given);
    return detail::serve(*core_, std::move(request));
  }
  // On a Unix socket: the path of a file, or, after a zero byte, an abstract name. A socket's file
  // that is there already is replaced.
  //
  // Blocks: whoever awaits it, for one iteration.
  // Cancel: nothing is left open.
  // Threads: the loop's own only.
  template <class Factory>
  Coro<Server> create_unix_server(Factory factory, std::string_view path,
                                  const ServerOptions& options = {}) {
    auto request = serve_request(detail::protocol_factory(std::move(factory)), options);
    request->path = path;
    return detail::serve(*core_, std::move(request));
  }
  // On a Unix socket that is bound already, which the call takes over.
  //
  // Blocks: whoever awaits it, for one iteration.
  // Cancel: closes the socket.
  // Threads: the loop's own only.
  template <class Factory>
  Coro<Server> create_unix_server(Factory factory, int sock, const ServerOptions& options = {}) {
    detail::GivenFd given(sock);
    auto request = serve_request(detail::protocol_factory(std::move(factory)), options);
    request->fd = std::move(given);
    request->unix_only = true;
    return detail::serve(*core_, std::move(request));
  }

 protected:
  using LoopTransports::LoopTransports;

 private:
  static std::unique_ptr<detail::ServeRequest> serve_request(detail::ProtocolFactory factory,
                                                             const ServerOptions& options);
};

}  // namespace weft::loop
