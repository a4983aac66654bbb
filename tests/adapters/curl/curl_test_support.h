// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the tests of weft::curl share.

#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "tests/adapters/curl/test_server.h"
#include "tests/shim/shim_test_support.h"
#include "weft/curl/curl.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/shim.h"

namespace weft::curl {

using namespace std::chrono_literals;
using fibers::CancelScope;
using fibers::Nursery;
using fibers::open_nursery;
using shim::error_of;
using shim::holds;

// Runs `body(server)` in a task of a loop.
template <class Body>
void serve(Body&& body, std::optional<fibers::SSLContext> tls = {}) {
  std::optional<TestServer> server;  // Outlives the tasks that serve.
  open_nursery([&](Nursery& nursery) {
    server.emplace(nursery, std::move(tls));
    fibers::fail_after(30s, [&] { body(*server); });
    nursery.cancel_scope().cancel();
  });
}

// The same in a run of its own, by the real clock, for libcurl has its own. Afterwards nothing may
// be left over.
template <class Body>
void with_server(Body&& body, std::optional<fibers::SSLContext> tls = {}) {
  const auto descriptors = fibers::testing::open_descriptors();
  const auto stacks = fibers::stack_statistics().in_use;
  weft::run([&] { serve(body, std::move(tls)); });
  EXPECT_EQ(fibers::stack_statistics().in_use, stacks) << "stacks left over";
  EXPECT_EQ(fibers::testing::open_descriptors(), descriptors) << "descriptors left over";
}

// The code of the Error that `fn` throws; CURLE_OK if it throws none.
template <class F>
inline CURLcode code_of(F&& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return error.code();
  }
  return CURLE_OK;
}

// A port that is taken and at which nobody listens: connections to it are refused.
class ClosedPort {
 public:
  ClosedPort() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(fd_, generic, size), 0);
    EXPECT_EQ(::getsockname(fd_, generic, &size), 0);
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/";
  }
  ClosedPort(const ClosedPort&) = delete;
  ClosedPort& operator=(const ClosedPort&) = delete;
  ~ClosedPort() { ::close(fd_); }

  const std::string& url() const { return url_; }

 private:
  int fd_;
  std::string url_;
};

}  // namespace weft::curl
