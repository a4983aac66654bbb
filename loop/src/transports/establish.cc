// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/src/transports/establish.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "fibers/sys/sys.h"
#include "weft/fibers/errors.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/transport_layer.h"

namespace weft::loop::detail {

namespace {
int option_of(int fd, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  return fibers::sys::getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}
}  // namespace

void take_stream_socket(int fd, bool unix_only) {
  if (unix_only && option_of(fd, SO_DOMAIN) != AF_UNIX) {
    throw fibers::UsageError("A UNIX Domain Stream Socket was expected");
  }
  if (option_of(fd, SO_TYPE) != SOCK_STREAM) {
    throw fibers::UsageError(unix_only ? "A UNIX Domain Stream Socket was expected"
                                       : "A Stream Socket was expected");
  }
  const int flags = fibers::sys::fcntl(fd, F_GETFL, 0);
  if (flags < 0 ||
      ((flags & O_NONBLOCK) == 0 && fibers::sys::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)) {
    throw std::system_error(errno, std::generic_category(), "fcntl");
  }
}

void require_layer_options(const LayerOptions& layer) {
  if (layer.ssl != nullptr) return;
  const char* const meaningless = !layer.server_hostname.empty() ? "server_hostname"
                                  : layer.handshake_timeout      ? "ssl_handshake_timeout"
                                  : layer.shutdown_timeout       ? "ssl_shutdown_timeout"
                                                                 : nullptr;
  if (meaningless == nullptr) return;
  throw fibers::UsageError(std::string(meaningless) + " is only meaningful with ssl");
}

Transport establish(LoopCore& loop, SocketGiven given, const LayerOptions& layer,
                    bool server_side) {
  Transport transport;
  if (layer.ssl != nullptr) {
    LayerRequest request{.loop = facade_of(loop),
                         .protocol = std::move(given.protocol),
                         .server_side = server_side,
                         .server_hostname = layer.server_hostname,
                         .handshake_timeout = layer.handshake_timeout,
                         .shutdown_timeout = layer.shutdown_timeout,
                         .waiter = std::move(given.waiter)};
    MadeLayer made = layer.ssl->make(std::move(request));
    given.protocol = std::move(made.protocol);
    given.waiter = {};
    transport = std::move(made.transport);
  }
  SocketTransport* const raw = SocketTransport::make(loop, std::move(given));
  if (!transport) transport = TransportAccess::share(*raw);
  raw->release();
  return transport;
}

}  // namespace weft::loop::detail
