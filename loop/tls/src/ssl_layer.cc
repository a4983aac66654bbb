// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop_tls/ssl_layer.h"

#include <string>
#include <utility>

#include "loop/tls/src/ssl_connection.h"
#include "weft/fibers/errors.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/protocol.h"

namespace weft::loop {

namespace {

// What the connection below tells goes to the connection of TLS, which it keeps.
class SslProtocol final : public Protocol {
 public:
  explicit SslProtocol(detail::SslConnection& connection)
      : connection_(connection), kept_(TransportAccess::share(connection)) {}
  void connection_made(Transport below) override { connection_.connection_made(std::move(below)); }
  void data_received(std::string_view data) override { connection_.data_received(data); }
  bool eof_received() override { return connection_.eof_received(); }
  void connection_lost(std::exception_ptr error) override {
    connection_.connection_lost(std::move(error));
  }
  void pause_writing() override { connection_.pause_below(); }
  void resume_writing() override { connection_.resume_below(); }

 private:
  detail::SslConnection& connection_;
  const Transport kept_;
};

void require_positive(const std::optional<fibers::Duration>& timeout, const char* name) {
  if (timeout && *timeout <= fibers::Duration::zero()) {
    throw fibers::UsageError(std::string(name) +
                             " should be a positive number; leave it out for the usual time");
  }
}

void check(const LayerRequest& request, const fibers::SSLContext& context) {
  require_positive(request.handshake_timeout, "ssl_handshake_timeout");
  require_positive(request.shutdown_timeout, "ssl_shutdown_timeout");
  if (request.server_side != context.is_server()) {
    throw fibers::UsageError(
        request.server_side
            ? "Server side SSL needs a valid SSLContext: one made by SSLContext::server()"
            : "a client needs a context made by SSLContext::client(); did you forget"
              " .server_side = true?");
  }
  if (request.server_hostname.find('\0') != std::string::npos) {
    throw fibers::UsageError("a server_hostname must not contain a zero byte");
  }
  if (context.check_hostname() && request.server_hostname.empty()) {
    throw fibers::UsageError(
        "check_hostname requires server_hostname: say whom you expect, or call"
        " set_check_hostname(false) on the context");
  }
}

}  // namespace

MadeLayer SSLLayer::make(LayerRequest request) {
  check(request, context_);
  detail::LoopCore& core = FutureAccess::core(request.loop.create_future<void>()).loop();
  auto* const connection = new detail::SslConnection(core, context_, std::move(request));
  const Transport transport = TransportAccess::share(*connection);
  connection->release();  // The maker's; the transport has one of its own.
  return {.protocol = std::make_shared<SslProtocol>(*connection), .transport = transport};
}

}  // namespace weft::loop
