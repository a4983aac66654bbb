// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the tests of servers share, with TLS and without.

#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "weft/fibers/socket_address.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/server.h"
#include "weft/loop/stream_reader.h"
#include "weft/loop/stream_writer.h"

namespace weft::loop::testing {

// The address of a socket that listens.
inline fibers::SocketAddress address_of(int fd) {
  fibers::SocketAddress address;
  auto size = static_cast<socklen_t>(fibers::SocketAddress::capacity());
  EXPECT_EQ(::getsockname(fd, address.data(), &size), 0);
  address.set_size(size);
  return address;
}

inline std::uint16_t port_of(const Server& server) {
  return address_of(server.sockets().at(0)).port();
}

inline void stop(Server server) {
  server.close();
  await(server.wait_closed());
}

// Sends back what comes, until the end.
inline Coro<void> echo(StreamReader reader, StreamWriter writer) {
  for (;;) {
    const std::string data = co_await reader.read(65536);
    if (data.empty()) break;
    writer.write(data);
    co_await writer.drain();
  }
  writer.close();
  co_await writer.wait_closed();
}

// More than readers and sockets hold: who sends it has to wait. No two places are alike.
inline const std::string& megabyte() {
  static const std::string data = [] {
    std::string numbers;
    for (int i = 0; numbers.size() < 1 << 20; ++i) numbers += std::to_string(i);
    return numbers;
  }();
  return data;
}

// Writes to an echo while it reads what comes back, then closes.
inline void expect_echo_of_a_megabyte(EventLoop& loop, StreamReader reader, StreamWriter writer) {
  auto writes = loop.create_task([writer]() mutable -> Coro<void> {
    const std::string_view data = megabyte();
    for (std::size_t at = 0; at < data.size(); at += 50000) {
      writer.write(data.substr(at, 50000));
      co_await writer.drain();
    }
  });
  EXPECT_EQ(await(reader.readexactly(megabyte().size())), megabyte());
  await(writes);
  writer.close();
  await(writer.wait_closed());
}

}  // namespace weft::loop::testing
