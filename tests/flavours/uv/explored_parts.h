// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the explored scenarios of weft::uv wait for: a request that ends when a test says so,
// libuv's threads while none is free, a server.

#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <latch>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tests/flavours/uv/uv_explored.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/owned_fd.h"
#include "weft/uv/uv.h"

namespace weft::uv {

// A request whose callback comes in a turn of libuv's after the test has said so. The first that
// is said counts.
class ByHand {
 public:
  explicit ByHand(uv_loop_t* loop)
      : async_([loop](uv_async_t* async) {
          return uv_async_init(loop, async, [](uv_async_t* a) { all.at(a)->call(); });
        }) {
    all.emplace(async_.get(), this);
  }
  ByHand(const ByHand&) = delete;
  ByHand& operator=(const ByHand&) = delete;
  ~ByHand() { all.erase(async_.get()); }

  int start(uv_work_t* request, uv_after_work_cb done) {
    request_ = request;
    done_ = done;
    if (result_.has_value()) uv_async_send(async_.get());
    return 0;
  }
  void end(int result) {
    if (!result_.has_value()) result_ = result;
    uv_async_send(async_.get());
  }
  bool pending() const { return request_ != nullptr; }

  // Waits for it, and says in `stops` how often it had to be stopped.
  template <class Stop>
  std::int64_t wait(Stop stop) {
    uv_work_t request{};
    return await(
        request, [this](uv_work_t* r, uv_after_work_cb done) { return start(r, done); },
        [&] {
          ++stops;
          stop();
        });
  }
  int stops = 0;

 private:
  void call() {
    if (uv_work_t* const request = std::exchange(request_, nullptr)) done_(request, *result_);
  }

  // By their handles, whose `data` is weft's.
  static inline std::map<const uv_async_t*, ByHand*> all;

  Handle<uv_async_t> async_;
  uv_work_t* request_ = nullptr;
  uv_after_work_cb done_ = nullptr;
  std::optional<int> result_;
};

// All of libuv's threads are at work until this is destroyed: what is queued meanwhile waits.
class FullPool {
 public:
  FullPool() {
    EXPECT_EQ(uv_loop_init(&loop_), 0);
    for (uv_work_t& request : requests_) {
      request.data = this;
      uv_queue_work(
          &loop_, &request, [](uv_work_t* r) { static_cast<FullPool*>(r->data)->occupy(); },
          [](uv_work_t*, int) {});
    }
    begun_.wait();
  }
  FullPool(const FullPool&) = delete;
  FullPool& operator=(const FullPool&) = delete;
  ~FullPool() {
    end_.count_down();
    uv_run(&loop_, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&loop_), 0);
  }

 private:
  static constexpr std::size_t kThreads = 4;  // Libuv's own choice.
  void occupy() {
    begun_.count_down();
    end_.wait();
  }

  uv_loop_t loop_{};
  std::array<uv_work_t, kThreads> requests_{};
  std::latch begun_{kThreads};
  std::latch end_{1};
};

// Several times what a Connection takes at once.
inline const std::string& long_text() {
  static const std::string text(12'000, 'x');
  return text;
}

inline int new_socket() {
  return ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

inline sockaddr_un address_of(std::string_view name) {
  sockaddr_un address{};
  EXPECT_LT(name.size(), sizeof address.sun_path);
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

inline void listen_at(int fd, std::string_view name) {
  const sockaddr_un address = address_of(name);
  EXPECT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::listen(fd, 8), 0);
}

// Libuv listens at an abstract name, which is free again as soon as nobody does.
class Server {
 public:
  Server() {
    const int fd = new_socket();
    listen_at(fd, name_);
    check(uv_pipe_open(handle.get(), fd), "uv_pipe_open");
    listen(handle);
  }
  // A connection that waits to be accepted.
  fibers::OwnedFd connect_to() const {
    fibers::OwnedFd fd(new_socket());
    const sockaddr_un address = address_of(name_);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  Handle<uv_pipe_t> handle = make_pipe();

 private:
  const std::string name_ =
      std::string("\0weft-uv-explored-", 18).append(std::to_string(::getpid()));
};

inline bool accepts(Server& server, Handle<uv_pipe_t>& client) {
  try {
    accept(server.handle, client);
    return true;
  } catch (const fibers::ClosedResourceError&) {
    return false;
  }
}

}  // namespace weft::uv
