// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Real descriptors for tests: a pipe, and a pair of connected sockets.

#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <system_error>
#include <utility>

namespace weft::test {

// Two descriptors that are closed at the end, unless they have been already.
class FdPair {
 public:
  FdPair(const FdPair&) = delete;
  FdPair& operator=(const FdPair&) = delete;
  ~FdPair() {
    close(0);
    close(1);
  }

  int operator[](std::size_t i) const { return fds_[i]; }
  void close(std::size_t i) {
    const int fd = std::exchange(fds_[i], -1);
    if (fd >= 0) ::close(fd);
  }
  // Gives one away.
  int take(std::size_t i) { return std::exchange(fds_[i], -1); }

  void write(std::size_t i, char byte = 'x') const {
    if (::write(fds_[i], &byte, 1) != 1) throw std::system_error(errno, std::generic_category());
  }
  // One byte, or -1 if there is none or this is the end.
  int read(std::size_t i) const {
    char byte = 0;
    return ::read(fds_[i], &byte, 1) == 1 ? byte : -1;
  }
  // Writes until the kernel takes no more; returns how many bytes.
  std::size_t fill(std::size_t i) const {
    const std::array<char, 4096> block{};
    std::size_t total = 0;
    for (ssize_t n = 0; (n = ::write(fds_[i], block.data(), block.size())) > 0;) {
      total += static_cast<std::size_t>(n);
    }
    return total;
  }
  // Reads until nothing is left; returns how many bytes.
  std::size_t drain(std::size_t i) const {
    std::array<char, 4096> block{};
    std::size_t total = 0;
    for (ssize_t n = 0; (n = ::read(fds_[i], block.data(), block.size())) > 0;) {
      total += static_cast<std::size_t>(n);
    }
    return total;
  }

 protected:
  FdPair() = default;
  std::array<int, 2> fds_{-1, -1};
};

// [0] reads, [1] writes; neither blocks.
class Pipe : public FdPair {
 public:
  Pipe() {
    if (::pipe2(fds_.data(), O_NONBLOCK | O_CLOEXEC) != 0) {
      throw std::system_error(errno, std::generic_category(), "pipe2");
    }
  }
};

// Both ends read and write; neither blocks.
class SocketPair : public FdPair {
 public:
  SocketPair() {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds_.data()) != 0) {
      throw std::system_error(errno, std::generic_category(), "socketpair");
    }
  }
};

}  // namespace weft::test
