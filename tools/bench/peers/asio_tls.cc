// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The echo of asio.cc, by coroutines, over asio::ssl::stream.

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "tools/bench/common/echo.h"
#include "tools/bench/common/tls.h"
#include "tools/bench/peers/tls_echo.h"

namespace bench {
namespace {

namespace asio = boost::asio;
using asio::use_awaitable;
using asio::ip::tcp;

asio::awaitable<void> echo(tcp::socket socket, asio::ssl::context& context) {
  socket.set_option(tcp::no_delay(true));
  asio::ssl::stream<tcp::socket> stream(std::move(socket), context);
  std::array<char, kEchoBuffer> buffer;
  try {
    co_await stream.async_handshake(asio::ssl::stream_base::server, use_awaitable);
    for (;;) {
      const std::size_t n = co_await stream.async_read_some(asio::buffer(buffer), use_awaitable);
      co_await asio::async_write(stream, asio::buffer(buffer, n), use_awaitable);
    }
  } catch (const boost::system::system_error&) {
  }
}

asio::awaitable<void> serve(asio::io_context& loop, asio::ssl::context& context) {
  tcp::acceptor acceptor(loop, tcp::v4(), listen_and_announce());
  for (;;) {
    tcp::socket socket = co_await acceptor.async_accept(use_awaitable);
    asio::co_spawn(loop, echo(std::move(socket), context), asio::detached);
  }
}

}  // namespace

void tls_echo(Meter& /*meter*/) {
  asio::ssl::context context(asio::ssl::context::tls_server);
  context.use_certificate_chain_file(certificate_file());
  context.use_private_key_file(certificate_file(), asio::ssl::context::pem);
  asio::io_context loop(1);
  asio::co_spawn(loop, serve(loop, context), asio::detached);
  loop.run();
}

}  // namespace bench
