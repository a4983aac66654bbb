// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the tests of pipes share.

#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "tests/loop/subprocess_testing.h"
#include "weft/loop/event_loop.h"

namespace weft::loop::testing {

using PipeStream = std::shared_ptr<NotingStream>;

inline constexpr const char* kWaitsForData = "it waits for data that a fault may have cut off";

// Two ends, of which the test keeps one and gives the other away.
class Ends {
 public:
  Ends() { EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC), 0); }
  explicit Ends(int type) {
    EXPECT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends_.data()), 0);
  }
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;
  ~Ends() {
    close(0);
    close(1);
  }
  int operator[](std::size_t end) const { return ends_[end]; }
  int give(std::size_t end) { return std::exchange(ends_[end], -1); }
  void close(std::size_t end) {
    if (ends_[end] >= 0) ::close(give(end));
  }
  void put(std::string_view data) const {
    EXPECT_EQ(::write(ends_[1], data.data(), data.size()), static_cast<ssize_t>(data.size()));
  }
  std::string take(std::size_t most = 1 << 20) const {
    std::string data(most, '\0');
    const ssize_t got = ::read(ends_[0], data.data(), most);
    data.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return data;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

inline PipeStream read_from(EventLoop& loop, int fd) {
  return await(loop.connect_read_pipe([&] { return std::make_shared<NotingStream>(loop); }, fd))
      .second;
}
inline PipeStream write_to(EventLoop& loop, int fd) {
  return await(loop.connect_write_pipe([&] { return std::make_shared<NotingStream>(loop); }, fd))
      .second;
}

inline std::error_code code_of(const std::exception_ptr& error) {
  try {
    if (error != nullptr) std::rethrow_exception(error);
  } catch (const std::system_error& system) {
    return system.code();
  } catch (...) {
    ADD_FAILURE() << "it is no error of the system";
  }
  return {};
}

}  // namespace weft::loop::testing
