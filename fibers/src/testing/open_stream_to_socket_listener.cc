// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/open_stream_to_socket_listener.h"

#include <sys/socket.h>

#include <string>

#include "weft/fibers/tcp.h"
#include "weft/fibers/unix_socket.h"

namespace weft::fibers::testing {

SocketStream open_stream_to_socket_listener(const SocketListener& listener) {
  const SocketAddress address = listener.local_address();
  if (address.family() == AF_UNIX) return open_unix_socket(address.host());
  std::string host = address.host();
  if (host == "0.0.0.0") host = "127.0.0.1";
  if (host == "::") host = "::1";
  return open_tcp_stream(host, address.port());
}

}  // namespace weft::fibers::testing
