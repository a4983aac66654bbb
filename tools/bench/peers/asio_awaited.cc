// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Single operations, awaited by one coroutine. weft/asio.cc has the same by use_fiber.

#include <array>
#include <boost/asio.hpp>
#include <cstdint>
#include <exception>
#include <utility>

#include "tools/bench/peers/asio_works.h"

namespace bench {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using Socket = asio::local::stream_protocol::socket;

// A context with two sockets: as in each program that has one, Asio looks at its descriptors in
// every turn, also if handlers are queued. A guest brings one, too.
struct Context {
  Context() { asio::local::connect_pair(one, other); }

  // Runs the coroutine to its end.
  template <class F>
  void run(F&& make) {
    asio::co_spawn(context, std::forward<F>(make), [](std::exception_ptr error) {
      if (error) std::rethrow_exception(error);
    });
    context.restart();
    context.run();
  }

  asio::io_context context{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE};
  Socket one{context};
  Socket other{context};
};

awaitable<void> post_and_await(Context& here, std::uint64_t count) {
  for (; count > 0; --count) co_await asio::post(here.context, use_awaitable);
}

awaitable<void> write_and_read(Context& here, std::uint64_t count) {
  std::array<char, 64> bytes{};
  for (; count > 0; --count) {
    here.one.write_some(asio::buffer(bytes));
    keep(co_await here.other.async_read_some(asio::buffer(bytes), use_awaitable));
  }
}

awaitable<int> answer() {
  co_return 1;
}

awaitable<void> spawn_and_await(Context& here, std::uint64_t count) {
  for (; count > 0; --count) keep(co_await asio::co_spawn(here.context, answer(), use_awaitable));
}

}  // namespace

void await_post(Meter& meter) {
  Context here;
  meter.run([&](std::uint64_t count) { here.run([&] { return post_and_await(here, count); }); });
}

void await_read(Meter& meter) {
  Context here;
  meter.run([&](std::uint64_t count) { here.run([&] { return write_and_read(here, count); }); });
}

void await_coroutine(Meter& meter) {
  Context here;
  meter.run([&](std::uint64_t count) { here.run([&] { return spawn_and_await(here, count); }); });
}

}  // namespace bench
