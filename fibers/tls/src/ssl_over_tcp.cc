// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/tls/ssl_over_tcp.h"

#include <utility>

namespace weft::fibers {

namespace {

// One for all: to read what this machine trusts costs more than a handshake.
const SSLContext& default_client_context() {
  // Never destroyed: the end of the program may still use it.
  static const auto* const context = new SSLContext(SSLContext::client());
  return *context;
}

}  // namespace

SSLStream open_ssl_over_tcp_stream(const std::string& host, std::uint16_t port,
                                   const SSLOverTcpOptions& options) {
  checkpoint_if_cancelled();
  const SSLContext context = options.ssl_context.value_or(default_client_context());
  if (context.is_server()) {
    throw UsageError("open_ssl_over_tcp_stream() needs a context made by SSLContext::client()");
  }
  return SSLStream(open_tcp_stream(host, port, options.tcp), context,
                   {.server_hostname = host, .https_compatible = options.https_compatible});
}

std::vector<SSLListener<>> open_ssl_over_tcp_listeners(std::uint16_t port,
                                                       const SSLContext& ssl_context,
                                                       const SSLOverTcpListenOptions& options) {
  std::vector<SSLListener<>> listeners;
  for (SocketListener& listener : open_tcp_listeners(port, options.tcp)) {
    listeners.emplace_back(std::move(listener), ssl_context,
                           SSLListenerOptions{.https_compatible = options.https_compatible});
  }
  return listeners;
}

void serve_ssl_over_tcp(std::function<void(SSLStream&)> handler, std::uint16_t port,
                        const SSLContext& ssl_context, const ServeSSLOverTcpOptions& options,
                        TaskStatus<std::uint16_t>& status) {
  auto listeners = open_ssl_over_tcp_listeners(
      port, ssl_context,
      {.https_compatible = options.https_compatible,
       .tcp = {.host = options.tcp.host, .backlog = options.tcp.backlog}});
  status.started(listeners.front().transport_listener.local_address().port());
  serve_listeners(std::move(handler), std::move(listeners), options.tcp.handler_nursery);
}

void serve_ssl_over_tcp(std::function<void(SSLStream&)> handler, std::uint16_t port,
                        const SSLContext& ssl_context, const ServeSSLOverTcpOptions& options) {
  auto ignored = TaskStatus<std::uint16_t>::ignored();
  serve_ssl_over_tcp(std::move(handler), port, ssl_context, options, ignored);
}

}  // namespace weft::fibers
