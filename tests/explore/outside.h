// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The world outside, for scenarios that run in every schedule.
//
// A Unix socket of which both ends are in the process does the same every time: what one end sends
// is there for the other when send() returns, and the explored run looks at its descriptors after
// every batch. So the only choice that is left is when the peer acts, and the peer is a task. TCP
// is no good: its packets are delivered by the kernel, in its own time.

#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "tests/loop/transport_testing.h"
#include "weft/fibers/event.h"
#include "weft/fibers/io.h"
#include "weft/fibers/nursery.h"

namespace weft::loop::testing {

// Runs these as tasks, which begin in any order, and waits for them.
template <class... F>
void together(F... bodies) {
  fibers::open_nursery([&](fibers::Nursery& nursery) { (nursery.start_soon(bodies), ...); });
}

// A pair whose transport can send some kilobytes at once, and no more.
class NarrowPair : public SocketPair {
 public:
  NarrowPair() {
    const int least = 1;
    EXPECT_EQ(::setsockopt(transports(), SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
  }
};

// Several times what a NarrowPair takes. No two places are alike.
inline const std::string& long_text() {
  static const std::string text = [] {
    std::string numbers;
    for (int i = 0; numbers.size() < 12'000; ++i) numbers += std::to_string(i);
    return numbers;
  }();
  return text;
}

// What the peer gets until the connection ends, for whatever reason.
inline std::string read_to_end(int fd) {
  std::string all;
  std::array<char, 16384> part{};
  for (;;) {
    const ssize_t count = ::recv(fd, part.data(), part.size(), 0);
    if (count > 0) {
      all.append(part.data(), static_cast<std::size_t>(count));
    } else if (count < 0 && errno == EAGAIN) {
      fibers::wait_readable(fd);
    } else {
      return all;
    }
  }
}

// What the peer sends; the other end may be gone.
inline void send_to(int fd, std::string_view data) {
  static_cast<void>(::send(fd, data.data(), data.size(), MSG_NOSIGNAL));
}

// Holds a transport to the order in which asyncio tells a protocol of things.
struct StrictProtocol : Protocol {
  void connection_made(Transport made) override {
    EXPECT_FALSE(std::exchange(is_made, true));
    transport = std::move(made);
  }
  void data_received(std::string_view data) override {
    EXPECT_TRUE(is_made && !is_lost && !has_eof && !transport.is_closing());
    EXPECT_FALSE(data.empty());
    EXPECT_FALSE(std::exchange(inside, true)) << "it is called again while it waits";
    received += data;
    if (on_data) on_data(data);
    inside = false;
  }
  bool eof_received() override {
    EXPECT_TRUE(is_made && !is_lost && !transport.is_closing() && !inside);
    EXPECT_FALSE(std::exchange(has_eof, true));
    eof.set();
    return keep_open;
  }
  void pause_writing() override {
    EXPECT_TRUE(is_made && !is_lost);
    EXPECT_FALSE(std::exchange(is_paused, true));
    ++pauses;
  }
  void resume_writing() override {
    EXPECT_FALSE(is_lost);
    EXPECT_TRUE(std::exchange(is_paused, false));
  }
  void connection_lost(std::exception_ptr error) override {
    EXPECT_TRUE(is_made);
    EXPECT_FALSE(std::exchange(is_lost, true));
    lost_with = std::move(error);
    transport = {};
    lost.set();
  }

  Transport transport;
  std::string received;
  std::function<void(std::string_view)> on_data;
  std::exception_ptr lost_with;
  fibers::Event eof;
  fibers::Event lost;
  int pauses = 0;
  bool keep_open = false;
  bool is_made = false;
  bool is_lost = false;
  bool has_eof = false;
  bool is_paused = false;
  bool inside = false;
};

// An abstract name for a Unix socket, which is free again as soon as nobody listens.
inline std::string free_name() {
  return std::string(1, '\0') + "weft-explored-" + std::to_string(::getpid());
}

// A socket that has connected to `name`; -1 if nobody listens there.
inline int connect_to_name(std::string_view name) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  EXPECT_GE(fd, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path, sizeof address.sun_path);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0) return fd;
  ::close(fd);
  return -1;
}

}  // namespace weft::loop::testing
