// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The loop's connections with TLS.

#include <memory>
#include <string_view>
#include <utility>

#include "tools/bench/common/echo.h"
#include "tools/bench/common/tls.h"
#include "tools/bench/weft/works.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/protocol.h"
#include "weft/loop/runner.h"
#include "weft/loop_tls/ssl_layer.h"

namespace bench {
namespace {

namespace asyncio = weft::loop;

class Echo final : public asyncio::Protocol {
  void connection_made(asyncio::Transport transport) override { transport_ = std::move(transport); }
  void data_received(std::string_view data) override { transport_.write(data); }

  asyncio::Transport transport_;
};

asyncio::Coro<void> serve(asyncio::SSLLayer& ssl) {
  asyncio::EventLoop& loop = asyncio::get_running_loop();
  asyncio::Server server = co_await loop.create_server(
      [] { return std::make_unique<Echo>(); }, "127.0.0.1", 0, {.backlog = 4096, .ssl = &ssl});
  announce_port_of(server.sockets().at(0));
  co_await server.serve_forever();
}

}  // namespace

void tls_echo(Meter& /*meter*/) {
  auto context = weft::fibers::SSLContext::server();
  context.load_cert_chain(certificate_file());
  asyncio::SSLLayer ssl(context);
  asyncio::run(serve(ssl));
}

}  // namespace bench
