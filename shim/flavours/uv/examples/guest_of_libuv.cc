// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A program on libuv whose callbacks stay as they are, with weft's tasks beside them in its uv_run.
// The tasks use libuv's own handles and requests in straight lines, with deadlines.
//
// Prints:
//   callback: the timer rings
//   task: the timer has rung
//   client: echo of hello
//   task: 42 from a thread of libuv's
//   task: nobody has written anything for 5 ms

#include <netinet/in.h>
#include <uv.h>

#include <array>
#include <chrono>
#include <iostream>
#include <string>

#include "weft/fibers/event.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"
#include "weft/uv/uv.h"

using namespace std::chrono_literals;
namespace trio = weft::fibers;
namespace uv = weft::uv;

// The code that was there: a timer and its callback, which now sets an Event.
static trio::Event rung;
static void on_timer(uv_timer_t*) {
  std::cout << "callback: the timer rings\n";
  rung.set();
}

static uv::Handle<uv_tcp_t> make_tcp() {
  return uv::Handle<uv_tcp_t>([](uv_tcp_t* tcp) { return uv_tcp_init(uv::current_loop(), tcp); });
}

static void echo(uv::StreamHandle& server) {
  auto peer = make_tcp();
  uv::accept(server, peer);
  std::array<char, 64> buffer{};
  while (const std::size_t count = uv::read_some(peer, buffer))
    uv::write(peer, "echo of " + std::string(buffer.data(), count));
}

static void tasks() {
  rung.wait();
  std::cout << "task: the timer has rung\n";

  auto server = make_tcp();
  sockaddr_in address{};
  uv::check(uv_ip4_addr("127.0.0.1", 0, &address), "uv_ip4_addr");
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  uv::check(uv_tcp_bind(server.get(), any, 0), "uv_tcp_bind");
  uv::listen(server);
  int size = sizeof address;
  uv::check(uv_tcp_getsockname(server.get(), any, &size), "uv_tcp_getsockname");

  trio::open_nursery([&](trio::Nursery& nursery) {
    nursery.start_soon([&] { echo(server); });
    auto client = make_tcp();
    uv::connect(client, any);
    uv::write(client, "hello");
    std::array<char, 64> buffer{};
    const std::size_t count = uv::read_some(client, buffer);
    std::cout << "client: " << std::string(buffer.data(), count) << '\n';

    std::cout << "task: " << uv::queue_work([] { return 6 * 7; }) << " from a thread of libuv's\n";
    const bool in_time = trio::move_on_after(5ms, [&] { uv::read_some(client, buffer); });
    if (!in_time) std::cout << "task: nobody has written anything for 5 ms\n";
    client.aclose();  // so that the echo ends
  });
}

int main() {
  uv_loop_t* const loop = uv_default_loop();
  uv_timer_t timer{};
  uv_timer_init(loop, &timer);
  uv_timer_start(&timer, on_timer, 1, 0);
  uv::run(loop, tasks);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
  uv_run(loop, UV_RUN_DEFAULT);
  uv_loop_close(loop);
}
