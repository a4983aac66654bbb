// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Code written for Asio, in a run that is nobody's guest. A library that wants an executor gets the
// run itself: its handlers are called on the run's thread, and need no mutex. Code that wants an
// io_context gets one that the run turns, or one with a thread of its own.
//
// Prints:
//   executor: 1 4 9
//   shared: hello
//   context: hello
//   context: nothing more has come
//   context: bye

#include <array>
#include <boost/asio.hpp>
#include <chrono>
#include <functional>
#include <iostream>
#include <string>
#include <utility>

#include "weft/asio/asio.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/run.h"
#include "weft/fibers/timeouts.h"

using namespace std::chrono_literals;
namespace asio = boost::asio;
namespace trio = weft::fibers;
using Socket = asio::local::stream_protocol::socket;

// A library as there are many: it works in threads of its own, and calls back on the executor that
// it has been given.
class Squares {
 public:
  explicit Squares(asio::any_io_executor executor) : executor_(std::move(executor)) {}

  void compute(int number, std::function<void(int)> done) {
    asio::post(threads_, [number, done = std::move(done), work = asio::make_work_guard(executor_)] {
      asio::post(work.get_executor(), [square = number * number, done] { done(square); });
    });
  }

 private:
  asio::any_io_executor executor_;
  asio::thread_pool threads_{1};
};

static void with_an_executor() {
  weft::asio::open_executor([](const weft::asio::RunExecutor& executor) {
    Squares squares(executor);
    auto [send, receive] = trio::open_memory_channel<int>(3);
    for (const int number : {1, 2, 3})
      squares.compute(number, [&send](int square) { send.send_nowait(square); });
    std::cout << "executor:";
    for (int i = 0; i < 3; ++i) std::cout << ' ' << receive.receive();
    std::cout << '\n';
  });
}

// A server that was there. It is run by the context's thread.
static asio::awaitable<void> greet(Socket socket) {
  co_await asio::async_write(socket, asio::buffer("hello", 5), asio::use_awaitable);
  std::array<char, 64> request{};
  co_await socket.async_read_some(asio::buffer(request), asio::use_awaitable);
  co_await asio::async_write(socket, asio::buffer("bye", 3), asio::use_awaitable);
}

// A task and a coroutine of Asio's on this thread.
static void on_one_thread() {
  asio::io_context context;
  weft::asio::share_thread(context, [&] {
    Socket client(context), server(context);
    asio::local::connect_pair(client, server);
    asio::co_spawn(context, greet(std::move(server)), asio::detached);
    std::array<char, 64> buffer{};
    const std::size_t count = client.async_read_some(asio::buffer(buffer), weft::asio::use_fiber);
    std::cout << "shared: " << std::string(buffer.data(), count) << '\n';
  });
}

static void with_a_context() {
  weft::asio::open_context([](asio::io_context& context) {
    Socket client(context), server(context);
    asio::local::connect_pair(client, server);
    asio::co_spawn(context, greet(std::move(server)), asio::detached);

    // The operation begins and ends there; the task waits here.
    const auto there = weft::asio::use_fiber.on(context.get_executor());
    const auto read = [&] {
      std::array<char, 64> buffer{};
      return std::string(buffer.data(), client.async_read_some(asio::buffer(buffer), there));
    };
    std::cout << "context: " << read() << '\n';
    if (!trio::move_on_after(5ms, read).finished()) std::cout << "context: nothing more has come\n";
    asio::async_write(client, asio::buffer("?", 1), there);
    std::cout << "context: " << read() << '\n';
  });
}

int main() {
  trio::run([] {
    with_an_executor();
    on_one_thread();
    with_a_context();
  });
}
