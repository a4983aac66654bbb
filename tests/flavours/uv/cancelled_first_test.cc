// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Cancelled first: libuv.

#include "tests/support/cancelled_first.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <array>
#include <stdexcept>

#include "tests/flavours/uv/uv_testing.h"
#include "weft/shim/open_loop.h"

namespace weft::uv {
namespace {

using test::cancelled_first;
using test::says_cancelled;

FIBER_TEST(CancelledFirstTest, AClosedHandle) {
  shim::open_loop([] {
    open_loop([](uv_loop_t* loop) {
      Handle<uv_tcp_t> tcp([loop](uv_tcp_t* t) { return uv_tcp_init(loop, t); });
      Handle<uv_tcp_t> other([loop](uv_tcp_t* t) { return uv_tcp_init(loop, t); });
      Handle<uv_pipe_t> pipe([loop](uv_pipe_t* p) { return uv_pipe_init(loop, p, 0); });
      tcp.aclose();
      pipe.aclose();
      const sockaddr_in address{};
      std::array<char, 1> byte{};
      says_cancelled("uv/handle.h aclose", [&] { tcp.aclose(); });
      cancelled_first("uv/stream.h connect",
                      [&] { connect(tcp, reinterpret_cast<const sockaddr*>(&address)); });
      cancelled_first("uv/stream.h connect", [&] { connect(pipe, "x"); });
      cancelled_first("uv/stream.h write", [&] { write(tcp, "x"); });
      cancelled_first("uv/stream.h shutdown", [&] { shutdown(tcp); });
      cancelled_first("uv/stream.h read_some", [&] { read_some(tcp, byte); });
      cancelled_first("uv/stream.h accept", [&] { accept(tcp, other); });
    });
  });
}

FIBER_TEST(CancelledFirstTest, ARequestThatIsRefused) {
  shim::open_loop([] {
    open_loop([](uv_loop_t*) {
      uv_fs_t request{};
      cancelled_first("uv/request.h await",
                      [&] { await(request, [](uv_fs_t*, uv_fs_cb) { return UV_EINVAL; }); });
      cancelled_first("uv/request.h queue_work",
                      [] { queue_work([] { throw std::out_of_range("far"); }); });
      cancelled_first("uv/request.h getaddrinfo", [] { getaddrinfo("", ""); });
    });
  });
}

}  // namespace
}  // namespace weft::uv
