// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Clients and servers that are connected with each other.

#pragma once

#include <utility>

#include "tests/tls/test_authority.h"
#include "weft/fibers/socket.h"
#include "weft/fibers/testing/lockstep_stream.h"
#include "weft/fibers/testing/memory_stream.h"
#include "weft/tls/ssl_stream.h"

namespace weft::fibers {

// The client first.
using SSLPair = std::pair<SSLStream, SSLStream>;

struct SSLPairOptions {
  TLSVersion version = TLSVersion::kTls13;
  bool https_compatible = false;
};

template <class Transport>
SSLPair ssl_pair_over(std::pair<Transport, Transport> transports, const SSLContext& client,
                      const SSLContext& server, bool https_compatible = false) {
  return {SSLStream(std::move(transports.first), client,
                    {.server_hostname = "example.org", .https_compatible = https_compatible}),
          SSLStream(std::move(transports.second), server,
                    {.server_side = true, .https_compatible = https_compatible})};
}

template <class Transport>
SSLPair ssl_pair_over(std::pair<Transport, Transport> transports, const SSLPairOptions& options) {
  const SSLContext client = test_client_context();
  SSLContext(client).set_maximum_version(options.version);
  return ssl_pair_over(std::move(transports), client, test_server_context(),
                       options.https_compatible);
}

inline SSLPair ssl_memory_pair(const SSLPairOptions& options = {}) {
  return ssl_pair_over(testing::memory_stream_pair(), options);
}
inline SSLPair ssl_lockstep_pair(const SSLPairOptions& options = {}) {
  return ssl_pair_over(testing::lockstep_stream_pair(), options);
}
inline SSLPair ssl_socket_pair(const SSLPairOptions& options = {}) {
  return ssl_pair_over(socket_stream_pair(), options);
}

}  // namespace weft::fibers
