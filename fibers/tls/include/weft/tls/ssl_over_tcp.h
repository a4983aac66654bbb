// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// TLS connections over TCP, outgoing and incoming.
//
//   SSLStream stream = open_ssl_over_tcp_stream("example.org", 443);
//   stream.send_all("GET / HTTP/1.0\r\nHost: example.org\r\n\r\n");
//
//   auto context = SSLContext::server();
//   context.load_cert_chain("chain.pem", "key.pem");
//   serve_ssl_over_tcp(handle_client, 443, context);

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "weft/fibers/nursery.h"
#include "weft/fibers/tcp.h"
#include "weft/tls/ssl_context.h"
#include "weft/tls/ssl_listener.h"
#include "weft/tls/ssl_stream.h"

namespace weft::fibers {

struct SSLOverTcpOptions {
  // None: SSLContext::client().
  std::optional<SSLContext> ssl_context = std::nullopt;
  // See SSLStreamOptions.
  bool https_compatible = false;
  TcpStreamOptions tcp = {};
};

// Connects to `host`, whose certificate has to be for that name or address. Hands are shaken when
// the stream is used. Throws what open_tcp_stream() does.
//
// Blocks: yes, always a checkpoint.
// Cancel: at once; no connection is left open.
// Threads: the run's own only.
SSLStream open_ssl_over_tcp_stream(const std::string& host, std::uint16_t port,
                                   const SSLOverTcpOptions& options = {});

struct SSLOverTcpListenOptions {
  // See SSLStreamOptions.
  bool https_compatible = false;
  TcpListenOptions tcp = {};
};

// Listens as open_tcp_listeners() does.
//
// Blocks: yes, always a checkpoint.
// Cancel: nothing is left open.
// Threads: the run's own only.
std::vector<SSLListener<>> open_ssl_over_tcp_listeners(std::uint16_t port,
                                                       const SSLContext& ssl_context,
                                                       const SSLOverTcpListenOptions& options = {});

struct ServeSSLOverTcpOptions {
  // See SSLStreamOptions.
  bool https_compatible = false;
  ServeTcpOptions tcp = {};
};

// Runs `handler(stream)` as a task for each connection, as serve_tcp() does. When the handler has
// ended the connection is closed without a goodbye, which clients may take for an accident: end
// with stream.aclose(). A client that breaks the protocol, or hangs up in the handshake, is an
// error of the handler: catch what one client may not cause.
//
// Blocks: yes, until cancelled.
// Cancel: cancels the handlers too, unless they run in a nursery of the caller's.
// Threads: the run's own only.
void serve_ssl_over_tcp(std::function<void(SSLStream&)> handler, std::uint16_t port,
                        const SSLContext& ssl_context, const ServeSSLOverTcpOptions& options,
                        TaskStatus<std::uint16_t>& status);
void serve_ssl_over_tcp(std::function<void(SSLStream&)> handler, std::uint16_t port,
                        const SSLContext& ssl_context, const ServeSSLOverTcpOptions& options = {});

}  // namespace weft::fibers
