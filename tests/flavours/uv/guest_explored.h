// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the scenarios share in which weft is a guest of libuv's loop, in every schedule.

#pragma once

#include <gtest/gtest.h>
#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "tests/support/explore_guest_test.h"
#include "weft/fibers/run.h"
#include "weft/uv/uv.h"

namespace weft::uv {

inline std::size_t handles_in(uv_loop_t& loop) {
  std::size_t count = 0;
  uv_walk(
      &loop, [](uv_handle_t*, void* sum) { ++*static_cast<std::size_t*>(sum); }, &count);
  return count;
}

// Closes what is left, such as the host's own.
inline void close_all(uv_loop_t& loop) {
  uv_walk(
      &loop,
      [](uv_handle_t* handle, void*) {
        if (!uv_is_closing(handle)) uv_close(handle, nullptr);
      },
      nullptr);
  uv_run(&loop, UV_RUN_DEFAULT);
  EXPECT_EQ(uv_loop_close(&loop), 0);
}

// What the program does whose loop it is; a loop for each schedule.
struct HostSide {
  // Before the guest comes; it may leave handles in the loop.
  std::function<void(uv_loop_t&)> begin = [](uv_loop_t&) {};
  // Runs the guest to its end.
  std::function<void(uv_loop_t&, const std::function<void()>& main, const fibers::RunOptions&)>
      run_guest = [](uv_loop_t& loop, const std::function<void()>& main,
                     const fibers::RunOptions& options) { run(&loop, main, options); };
  // When the guest has gone, with what has come of it.
  std::function<void(uv_loop_t&, const std::exception_ptr&)> end =
      [](uv_loop_t&, const std::exception_ptr& error) {
        if (error != nullptr) std::rethrow_exception(error);
      };
  // How many handles it takes over from the guest.
  std::size_t takes_over = 0;
};

// Runs `body` by uv::run in every schedule there is, and returns how many those are. When uv::run
// returns, the loop has the host's handles, and no other one. Any ready task may be next: so what
// libuv does between the ticks comes at every moment.
template <class Body>
std::uint64_t explore_guest(const HostSide& side, Body body) {
  const auto host = [&](const std::function<void()>& main, const fibers::RunOptions& options) {
    uv_loop_t loop{};
    ASSERT_EQ(uv_loop_init(&loop), 0);
    const absl::Cleanup close = [&] { close_all(loop); };
    side.begin(loop);
    const std::size_t before = handles_in(loop);
    std::exception_ptr error;
    try {
      side.run_guest(loop, main, options);
    } catch (...) {
      error = std::current_exception();
    }
    EXPECT_EQ(handles_in(loop), before + side.takes_over);
    EXPECT_EQ(loop.active_reqs.count, 0U);
    side.end(loop, error);
  };
  return test::explore_guest_test(host, body, {.fair = false}).schedules;
}

template <class Body>
std::uint64_t explore_guest(Body body) {
  return explore_guest(HostSide{}, std::move(body));
}

}  // namespace weft::uv
