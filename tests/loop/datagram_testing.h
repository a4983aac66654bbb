// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the tests of datagrams share.

#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/loop/transport_testing.h"
#include "weft/fibers/socket_address.h"
#include "weft/loop/datagram_transport.h"
#include "weft/loop/event_loop.h"

namespace weft::loop::testing {

// Notes what it is told, in order.
struct Datagrams : DatagramProtocol {
  void connection_made(DatagramTransport made) override {
    transport = std::move(made);
    log.emplace_back("made");
  }
  void datagram_received(std::string_view data, const fibers::SocketAddress& addr) override {
    log.emplace_back("data " + std::string(data.substr(0, 20)));
    from = addr;
  }
  void error_received(std::exception_ptr error) override {
    log.emplace_back("error");
    errors.push_back(std::move(error));
  }
  void pause_writing() override { log.emplace_back("pause"); }
  void resume_writing() override { log.emplace_back("resume"); }
  void connection_lost(std::exception_ptr error) override {
    log.emplace_back(error == nullptr ? "lost" : "lost with an error");
    transport = {};
  }
  bool is_lost() const { return !log.empty() && log.back().starts_with("lost"); }
  // Whether the last thing it has been told is this.
  bool is_at(std::string_view entry) const { return !log.empty() && log.back() == entry; }

  DatagramTransport transport;
  fibers::SocketAddress from;
  std::vector<std::exception_ptr> errors;
  std::vector<std::string> log;
};

template <class P = Datagrams>
std::shared_ptr<P> open_endpoint(EventLoop& loop, const DatagramOptions& options) {
  return await(loop.create_datagram_endpoint([] { return std::make_shared<P>(); }, options)).second;
}

inline fibers::SocketAddress own_address(const DatagramTransport& transport) {
  return transport.get_extra_info(extra_info::sockname).value();
}

// Closes it, and waits until it is.
inline void close_endpoint(EventLoop& loop, const std::shared_ptr<Datagrams>& endpoint) {
  if (endpoint->transport) endpoint->transport.close();
  run_until(loop, [&] { return endpoint->is_lost(); });
}

// Two connected, non-blocking datagram sockets: one for an endpoint, one for the test.
class DatagramPair {
 public:
  DatagramPair() {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_.data()), 0);
  }
  DatagramPair(const DatagramPair&) = delete;
  DatagramPair& operator=(const DatagramPair&) = delete;
  ~DatagramPair() {
    close_peer();
    if (ends_[0] >= 0) ::close(ends_[0]);
  }
  int take() { return std::exchange(ends_[0], -1); }
  int peer() const { return ends_[1]; }
  void close_peer() {
    if (ends_[1] >= 0) ::close(std::exchange(ends_[1], -1));
  }
  void put(std::string_view data) const {
    EXPECT_EQ(::send(peer(), data.data(), data.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(data.size()));
  }
  // The next datagram's size, without waiting; -1 if there is none.
  ssize_t get() const {
    std::array<char, 65536> room{};
    return ::recv(peer(), room.data(), room.size(), 0);
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

}  // namespace weft::loop::testing
