// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Works about Boost.Asio in tasks. peers/asio.cc and peers/asio_awaited.cc have the same by
// use_awaitable.

#include <array>
#include <boost/asio.hpp>
#include <cstddef>
#include <cstdint>

#include "tools/bench/common/echo.h"
#include "tools/bench/weft/works.h"
#include "weft/asio/asio.h"
#include "weft/fibers/nursery.h"

namespace bench {
namespace {

namespace asio = boost::asio;
namespace fibers = weft::fibers;
using asio::ip::tcp;
using weft::asio::use_fiber;
using Socket = asio::local::stream_protocol::socket;

asio::awaitable<int> answer() {
  co_return 1;
}

asio::awaitable<void> ask_tasks(fibers::Nursery& nursery, std::uint64_t count) {
  for (; count > 0; --count) {
    keep(co_await weft::asio::trio_as_asio(
        nursery, [] { return 1; }, asio::use_awaitable));
  }
}

void echo(tcp::socket& socket) {
  socket.set_option(tcp::no_delay(true));
  std::array<char, kEchoBuffer> buffer;
  try {
    for (;;) {
      const std::size_t n = socket.async_read_some(asio::buffer(buffer), use_fiber);
      asio::async_write(socket, asio::buffer(buffer, n), use_fiber);
    }
  } catch (const boost::system::system_error&) {
  }
}

}  // namespace

void use_fiber_post(Meter& meter) {
  asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  weft::asio::run(context, [&] {
    meter.run([&](std::uint64_t count) {
      for (; count > 0; --count) asio::post(context, use_fiber);
    });
  });
}

void use_fiber_read(Meter& meter) {
  asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  weft::asio::run(context, [&] {
    Socket one(context);
    Socket other(context);
    asio::local::connect_pair(one, other);
    std::array<char, 64> bytes{};
    meter.run([&](std::uint64_t count) {
      for (; count > 0; --count) {
        one.write_some(asio::buffer(bytes));
        keep(other.async_read_some(asio::buffer(bytes), use_fiber));
      }
    });
  });
}

void asio_await(Meter& meter) {
  asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  weft::asio::run(context, [&] {
    meter.run([](std::uint64_t count) {
      for (; count > 0; --count) keep(weft::asio::await(answer()));
    });
  });
}

void trio_as_asio(Meter& meter) {
  asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  weft::asio::run(context, [&] {
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      meter.run([&](std::uint64_t count) { weft::asio::await(ask_tasks(nursery, count)); });
    });
  });
}

void asio_echo(Meter& /*meter*/) {
  asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  weft::asio::run(context, [&] {
    tcp::acceptor acceptor(context, tcp::v4(), listen_and_announce());
    fibers::open_nursery([&](fibers::Nursery& sessions) {
      for (;;) {
        sessions.start_soon(
            [socket = acceptor.async_accept(use_fiber)]() mutable { echo(socket); });
      }
    });
  });
}

}  // namespace bench
