// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Servers on Asio and Boost.Beast by awaitables. weft/asio.cc and weft/beast.cc have the same by
// use_fiber. Each session has a cancellation slot, or it could not be stopped as a task can.

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <cstddef>
#include <list>
#include <utility>

#include "tools/bench/common/echo.h"
#include "tools/bench/peers/asio_works.h"

namespace bench {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;

template <class Session>
awaitable<void> guard(Session session, tcp::socket socket) {
  socket.set_option(tcp::no_delay(true));
  try {
    co_await session(std::move(socket));
  } catch (const boost::system::system_error&) {  // The client was killed.
  }
}

template <class Session>
awaitable<void> accept(asio::io_context& context, Session session) {
  tcp::acceptor acceptor(context, tcp::v4(), listen_and_announce());
  std::list<asio::cancellation_signal> stops;
  for (;;) {
    asio::co_spawn(context, guard(session, co_await acceptor.async_accept(use_awaitable)),
                   asio::bind_cancellation_slot(stops.emplace_back().slot(), asio::detached));
  }
}

template <class Session>
void serve(Session session) {
  asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  asio::co_spawn(context, accept(context, session), asio::detached);
  context.run();
}

awaitable<void> echo(tcp::socket socket) {
  std::array<char, kEchoBuffer> buffer;
  for (;;) {
    const std::size_t n = co_await socket.async_read_some(asio::buffer(buffer), use_awaitable);
    co_await asio::async_write(socket, asio::buffer(buffer, n), use_awaitable);
  }
}

awaitable<void> echo_frames(tcp::socket socket) {
  websocket::stream<beast::tcp_stream> stream(std::move(socket));
  co_await stream.async_accept(use_awaitable);
  stream.binary(true);
  beast::flat_buffer buffer;
  for (;;) {
    co_await stream.async_read(buffer, use_awaitable);
    co_await stream.async_write(buffer.data(), use_awaitable);
    buffer.consume(buffer.size());
  }
}

awaitable<void> hello(tcp::socket socket) {
  beast::tcp_stream stream(std::move(socket));
  beast::flat_buffer buffer;
  for (;;) {
    http::request<http::string_body> request;
    co_await http::async_read(stream, buffer, request, use_awaitable);
    http::response<http::string_body> response(http::status::ok, request.version());
    response.set(http::field::content_type, "text/plain");
    response.keep_alive(request.keep_alive());
    response.body() = "hello";
    response.prepare_payload();
    co_await http::async_write(stream, response, use_awaitable);
  }
}

}  // namespace

void asio_echo(Meter& /*meter*/) {
  serve(&echo);
}

void websocket_echo(Meter& /*meter*/) {
  serve(&echo_frames);
}

void http_hello(Meter& /*meter*/) {
  serve(&hello);
}

}  // namespace bench
