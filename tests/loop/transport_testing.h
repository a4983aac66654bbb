// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the tests of transports, connections and servers share.

#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/loop/coro.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/protocol.h"

namespace weft::loop::testing {

// A descriptor that is closed at the end.
class OwnFd {
 public:
  explicit OwnFd(int fd) : fd_(fd) {}
  OwnFd(const OwnFd&) = delete;
  OwnFd& operator=(const OwnFd&) = delete;
  ~OwnFd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// Two connected, non-blocking sockets: one for a transport, one for the test.
class SocketPair {
 public:
  SocketPair() {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_.data()),
              0);
  }
  SocketPair(const SocketPair&) = delete;
  SocketPair& operator=(const SocketPair&) = delete;
  ~SocketPair() {
    close_peer();
    if (ends_[0] >= 0) ::close(ends_[0]);
  }
  // The transport's, to be taken over once.
  int take() { return std::exchange(ends_[0], -1); }
  int peer() const { return ends_[1]; }
  int transports() const { return ends_[0]; }  // -1 once it is taken.
  void close_peer() {
    if (ends_[1] >= 0) ::close(std::exchange(ends_[1], -1));
  }
  void put(std::string_view data) const {
    EXPECT_EQ(::send(peer(), data.data(), data.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(data.size()));
  }
  // What there is, without waiting; "" at the end and if there is nothing.
  std::string get() const {
    std::string all;
    std::array<char, 65536> part{};
    for (;;) {
      const ssize_t n = ::recv(peer(), part.data(), part.size(), 0);
      if (n <= 0) return all;
      all.append(part.data(), static_cast<std::size_t>(n));
    }
  }
  bool at_end() const {
    char c = 0;
    return ::recv(peer(), &c, 1, 0) == 0;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

// More than a socket's buffer takes.
inline const std::string& much() {
  static const std::string data(std::size_t{4} << 20, 'x');
  return data;
}

// Notes what it is told, in order.
struct Recorder : Protocol {
  void connection_made(Transport made) override {
    transport = std::move(made);
    log.emplace_back("made");
  }
  void data_received(std::string_view data) override {
    log.emplace_back("data " + std::string(data.substr(0, 20)));
    received += data;
  }
  bool eof_received() override {
    log.emplace_back("eof");
    return keep_open;
  }
  void pause_writing() override { log.emplace_back("pause"); }
  void resume_writing() override { log.emplace_back("resume"); }
  void connection_lost(std::exception_ptr error) override {
    log.emplace_back(error == nullptr ? "lost" : "lost with an error");
    lost_with = std::move(error);
    transport = {};
  }

  Transport transport;
  std::string received;
  std::vector<std::string> log;
  std::exception_ptr lost_with;
  bool keep_open = false;
};

// A transport over one end of `pair`, with its protocol.
template <class P = Recorder>
std::shared_ptr<P> connect_over(EventLoop& loop, SocketPair& pair) {
  return await(loop.create_connection([] { return std::make_shared<P>(); }, pair.take())).second;
}

// Lets the loop run until `fn` holds; a descriptor may need several polls.
template <class F>
void run_until(EventLoop& loop, F&& fn) {
  for (int i = 0; i < 10000 && !fn(); ++i) loop.synchronize();
  EXPECT_TRUE(fn());
}

inline std::string last(const Recorder& protocol) {
  return protocol.log.empty() ? std::string() : protocol.log.back();
}
inline bool is_lost(const Recorder& protocol) {
  return last(protocol).starts_with("lost");
}

}  // namespace weft::loop::testing
