// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Servers on Boost.Beast by use_fiber. peers/asio_beast.cc has the same by use_awaitable.

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <utility>

#include "tools/bench/common/echo.h"
#include "tools/bench/weft/works.h"
#include "weft/asio/asio.h"
#include "weft/fibers/nursery.h"

namespace bench {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
namespace fibers = weft::fibers;
using asio::ip::tcp;
using weft::asio::use_fiber;

// Each connection is a task that calls `session`.
template <class Session>
void serve(Session session) {
  asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  weft::asio::run(context, [&] {
    tcp::acceptor acceptor(context, tcp::v4(), listen_and_announce());
    fibers::open_nursery([&](fibers::Nursery& sessions) {
      for (;;) {
        sessions.start_soon([session, socket = acceptor.async_accept(use_fiber)]() mutable {
          socket.set_option(tcp::no_delay(true));
          try {
            session(std::move(socket));
          } catch (const boost::system::system_error&) {  // The client was killed.
          }
        });
      }
    });
  });
}

void echo(tcp::socket socket) {
  websocket::stream<beast::tcp_stream> stream(std::move(socket));
  stream.async_accept(use_fiber);
  stream.binary(true);
  beast::flat_buffer buffer;
  for (;;) {
    stream.async_read(buffer, use_fiber);
    stream.async_write(buffer.data(), use_fiber);
    buffer.consume(buffer.size());
  }
}

void hello(tcp::socket socket) {
  beast::tcp_stream stream(std::move(socket));
  beast::flat_buffer buffer;
  for (;;) {
    http::request<http::string_body> request;
    http::async_read(stream, buffer, request, use_fiber);
    http::response<http::string_body> response(http::status::ok, request.version());
    response.set(http::field::content_type, "text/plain");
    response.keep_alive(request.keep_alive());
    response.body() = "hello";
    response.prepare_payload();
    http::async_write(stream, response, use_fiber);
  }
}

}  // namespace

void websocket_echo(Meter& /*meter*/) {
  serve(&echo);
}

void http_hello(Meter& /*meter*/) {
  serve(&hello);
}

}  // namespace bench
