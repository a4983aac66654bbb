// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the scenarios of weft::uv share that run in every schedule. What libuv decides is certain:
// both ends of a Unix socket are in the process, its thread pool is used only while it is full, and
// it is told of the rest by a uv_async_t.

#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/owned_fd.h"
#include "weft/fibers/testing/explore.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/shim/open_loop.h"
#include "weft/uv/uv.h"

namespace weft::uv {

// Runs `body(loop)` in a loop of libuv's inside weft's. How weft's then ends is the same for each
// state in which libuv's has ended, and explored elsewhere.
template <class F>
void explored(fibers::testing::Exploration& exploration, F body) {
  shim::open_loop([&] {
    open_loop([&](uv_loop_t* loop) { body(loop); });
    exploration.prune();
  });
}

// Runs these as tasks, which begin in any order, and waits for them.
template <class... F>
void together(F... bodies) {
  fibers::open_nursery([&](fibers::Nursery& nursery) { (nursery.start_soon(bodies), ...); });
}

inline Handle<uv_pipe_t> make_pipe() {
  return Handle<uv_pipe_t>([](uv_pipe_t* pipe) { return uv_pipe_init(current_loop(), pipe, 0); });
}

// A connection one end of which is libuv's. What that can send at once are some kilobytes.
struct Connection {
  Connection() {
    std::array<int, 2> fds{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()), 0);
    const int least = 1;
    EXPECT_EQ(::setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
    check(uv_pipe_open(pipe.get(), fds[0]), "uv_pipe_open");
    peer = fibers::OwnedFd(fds[1]);
  }
  Handle<uv_pipe_t> pipe = make_pipe();
  fibers::OwnedFd peer;
};

// The peer's; the other end may be gone.
inline void send_to(const fibers::OwnedFd& fd, std::string_view bytes) {
  static_cast<void>(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL));
}

// What the peer gets until the connection ends.
inline std::string read_to_end(fibers::OwnedFd& fd) {
  std::string all;
  std::array<char, 16384> part{};
  for (;;) {
    const ssize_t count = ::recv(fd.get(), part.data(), part.size(), 0);
    if (count > 0) {
      all.append(part.data(), static_cast<std::size_t>(count));
    } else if (count < 0 && errno == EAGAIN) {
      fd.wait_readable();
    } else {
      return all;
    }
  }
}

// The error that `wait` ends with, a UV_E..., or 0 if there is none.
template <class F>
int error_of_wait(F wait) {
  try {
    wait();
  } catch (const Error& error) {
    return error.code().value();
  }
  return 0;
}

}  // namespace weft::uv
