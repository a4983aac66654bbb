// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// An HTTP server and client on Boost.Beast, in Beast's ordinary style: only the token is weft's.
// The nursery, the deadlines and the shut-down that lets answers be finished are weft's too. All of
// it is one thread, which waits in io_context::run_one.
//
// Prints:
//   client: 200 hello /one
//   client: 200 hello /two
//   client: /slow takes too long
//   client: 200 hello /last
//   server: stopped

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <iostream>
#include <string>
#include <utility>

#include "weft/asio/asio.h"
#include "weft/fibers/event.h"
#include "weft/fibers/graceful_scope.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"

using namespace std::chrono_literals;
namespace beast = boost::beast;
namespace http = beast::http;
namespace trio = weft::fibers;
using boost::asio::ip::tcp;
using weft::asio::use_fiber;

static http::response<http::string_body> answer(const http::request<http::string_body>& request) {
  if (request.target() == "/slow") trio::sleep_forever();
  if (request.target() == "/last") trio::sleep(5ms);
  http::response<http::string_body> response(http::status::ok, request.version());
  response.keep_alive(request.keep_alive());
  response.body() = "hello " + std::string(request.target());
  response.prepare_payload();
  return response;
}

// A client that goes away ends this by an error, which is no news.
static void serve_one(beast::tcp_stream& stream) {
  beast::flat_buffer buffer;
  try {
    for (;;) {
      http::request<http::string_body> request;
      const auto came = trio::until_stopping(
          [&] { return http::async_read(stream, buffer, request, use_fiber); });
      if (!came.finished()) return;
      auto response = answer(request);
      http::async_write(stream, response, use_fiber);
      if (!request.keep_alive()) return;
    }
  } catch (const boost::system::system_error&) {
  }
}

static void serve(tcp::acceptor& acceptor) {
  trio::open_nursery([&](trio::Nursery& sessions) {
    for (;;) {
      auto socket = trio::until_stopping([&] { return acceptor.async_accept(use_fiber); });
      if (!socket.finished()) return;  // the nursery waits for the sessions
      sessions.start_soon(
          [stream = beast::tcp_stream(std::move(socket.value()))]() mutable { serve_one(stream); });
    }
  });
}

static void get(beast::tcp_stream& stream, const char* target) {
  http::request<http::empty_body> request(http::verb::get, target, 11);
  request.set(http::field::host, "localhost");
  http::async_write(stream, request, use_fiber);
  beast::flat_buffer buffer;
  http::response<http::string_body> response;
  http::async_read(stream, buffer, response, use_fiber);
  std::cout << "client: " << response.result_int() << ' ' << response.body() << '\n';
}

static void tasks(boost::asio::io_context& context) {
  tcp::acceptor acceptor(context, {boost::asio::ip::address_v4::loopback(), 0});
  trio::GracefulScope server;
  trio::open_nursery([&](trio::Nursery& nursery) {
    nursery.start_soon([&] {
      server.run([&] { serve(acceptor); });
      std::cout << "server: stopped\n";
    });
    beast::tcp_stream stream(context);
    stream.async_connect(acceptor.local_endpoint(), use_fiber);
    get(stream, "/one");
    get(stream, "/two");

    beast::tcp_stream other(context);
    other.async_connect(acceptor.local_endpoint(), use_fiber);
    if (!trio::move_on_after(10ms, [&] { get(other, "/slow"); }).finished())
      std::cout << "client: /slow takes too long\n";
    other.close();

    // The server is asked to stop while it answers: the answer comes, and /slow is cancelled.
    nursery.start_soon([&] {
      trio::sleep(2ms);
      server.stop(100ms);
    });
    get(stream, "/last");
  });
}

int main() {
  boost::asio::io_context context(1);
  weft::asio::run(context, [&] { tasks(context); });
}
