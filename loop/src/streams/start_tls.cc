// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/start_tls.h"

#include <string>
#include <utility>

#include "weft/fibers/errors.h"
#include "weft/loop/detail/protocol_holder.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {

namespace {

// A connection that is about to get a layer: closed, unless that has worked.
class Upgrade {
 public:
  Upgrade(Transport transport, const MadeLayer& made) : transport_(std::move(transport)) {
    EventLoop& loop = transport_.get_loop();
    transport_.pause_reading();
    transport_.set_protocol(made.protocol);
    // In this order: the first byte of the peer comes after the beginning.
    begin_ = loop.call_soon([transport = transport_, protocol = made.protocol] {
      detail::StreamProtocol told;
      told.set(protocol);
      told.connection_made(transport);
    });
    resume_ = loop.call_soon([transport = transport_]() mutable { transport.resume_reading(); });
  }
  Upgrade(const Upgrade&) = delete;
  Upgrade& operator=(const Upgrade&) = delete;
  ~Upgrade() {
    if (done_) return;
    begin_.cancel();
    resume_.cancel();
    try {
      transport_.close();
    } catch (const fibers::UsageError&) {
      // The loop is gone, and the connection with it.
    }
  }
  void done() noexcept { done_ = true; }

 private:
  Transport transport_;
  Handle begin_;
  Handle resume_;
  bool done_ = false;
};

Coro<Transport> wait_for_layer(Transport transport, MadeLayer made, Future<void> waiter) {
  Upgrade upgrade(std::move(transport), made);
  co_await waiter;
  upgrade.done();
  co_return made.transport;
}

}  // namespace

Coro<Transport> start_tls(Transport transport, std::shared_ptr<BaseProtocol> protocol,
                          TransportLayer& layer, StartTLSOptions options) {
  if (!TransportAccess::core(transport).start_tls_compatible()) {
    throw fibers::UsageError(std::string("transport ") + TransportAccess::core(transport).kind() +
                             " is not supported by start_tls()");
  }
  EventLoop& loop = transport.get_loop();
  Future<void> waiter = loop.create_future<void>();
  MadeLayer made = layer.make({.loop = loop,
                               .protocol = std::move(protocol),
                               .server_side = options.server_side,
                               .server_hostname = std::string(options.server_hostname),
                               .handshake_timeout = options.ssl_handshake_timeout,
                               .shutdown_timeout = options.ssl_shutdown_timeout,
                               .waiter = waiter,
                               .call_connection_made = false});
  return wait_for_layer(std::move(transport), std::move(made), std::move(waiter));
}

}  // namespace weft::loop
