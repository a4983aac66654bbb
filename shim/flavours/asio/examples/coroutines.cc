// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Asio's coroutines and weft's tasks: a server is a coroutine that asks tasks, and a client is a
// task that calls coroutines. All of it is one thread.
//
// Prints:
//   task: ONE
//   task: TWO
//   task: too late
//   shout: nobody waits for slow any more

#include <array>
#include <boost/asio.hpp>
#include <cctype>
#include <chrono>
#include <cstddef>
#include <iostream>
#include <string>

#include "weft/asio/asio.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"

using namespace std::chrono_literals;
namespace asio = boost::asio;
namespace trio = weft::fibers;
using Socket = asio::local::stream_protocol::socket;

// Waits as tasks do.
static std::string shout(std::string word) {
  try {
    if (word == "slow") trio::sleep_forever();
  } catch (const trio::Cancelled&) {
    std::cout << "shout: nobody waits for slow any more\n";
    throw;
  }
  trio::sleep(1ms);
  for (char& letter : word) letter = static_cast<char>(std::toupper(letter));
  return word;
}

// The code that was there, which now asks a task.
static asio::awaitable<void> serve(Socket& socket, trio::Nursery& nursery) {
  std::array<char, 64> buffer{};
  for (;;) {
    const std::size_t count =
        co_await socket.async_read_some(asio::buffer(buffer), asio::use_awaitable);
    const std::string word(buffer.data(), count);
    const std::string answer = co_await weft::asio::trio_as_asio(
        nursery, [&] { return shout(word); }, asio::use_awaitable);
    co_await asio::async_write(socket, asio::buffer(answer), asio::use_awaitable);
  }
}

static asio::awaitable<std::string> ask(Socket& socket, std::string word) {
  co_await asio::async_write(socket, asio::buffer(word), asio::use_awaitable);
  std::array<char, 64> buffer{};
  const std::size_t count =
      co_await socket.async_read_some(asio::buffer(buffer), asio::use_awaitable);
  co_return std::string(buffer.data(), count);
}

int main() {
  asio::io_context context(1);
  Socket client(context), server(context);
  asio::local::connect_pair(client, server);
  weft::asio::run(context, [&] {
    trio::open_nursery([&](trio::Nursery& nursery) {
      nursery.start_soon([&] { weft::asio::await(serve(server, nursery)); });
      for (const char* word : {"one", "two", "slow"}) {
        const auto answer =
            trio::move_on_after(250ms, [&] { return weft::asio::await(ask(client, word)); });
        std::cout << "task: " << (answer.finished() ? answer.value() : "too late") << '\n';
      }
      nursery.cancel_scope().cancel();  // the coroutine of the server too, and whom it waits for
    });
  });
}
