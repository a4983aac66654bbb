// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/open_stream_to_socket_listener.h"

#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "weft/fibers/lowlevel.h"
#include "weft/fibers/tcp.h"

namespace weft::fibers::testing {

namespace {

// A Unix socket connects at once or not at all.
SocketStream connect_unix(const SocketAddress& address) {
  checkpoint();
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "socket");
  const int failed = ::connect(fd, address.data(), static_cast<socklen_t>(address.size()));
  const int error = failed != 0 ? errno : 0;
  // Registered only now: before, an unconnected socket would have looked ready.
  OwnedFd owned(fd);
  if (error != 0) {
    throw std::system_error(error, std::generic_category(), "connect to " + address.to_string());
  }
  return SocketStream(std::move(owned));
}

}  // namespace

SocketStream open_stream_to_socket_listener(const SocketListener& listener) {
  const SocketAddress address = listener.local_address();
  if (address.family() == AF_UNIX) return connect_unix(address);
  std::string host = address.host();
  if (host == "0.0.0.0") host = "127.0.0.1";
  if (host == "::") host = "::1";
  return open_tcp_stream(host, address.port());
}

}  // namespace weft::fibers::testing
