// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/flavours/uv/uv_testing.h"

#include "weft/shim/open_loop.h"

namespace weft::uv {

namespace {

// With its first loop libuv opens a pipe for good, and with the first work it starts its threads.
const bool kWarm = [] {
  uv_loop_t first{};
  uv_work_t work{};
  return uv_loop_init(&first) == 0 &&
         uv_queue_work(
             &first, &work, [](uv_work_t*) {}, [](uv_work_t*, int) {}) == 0 &&
         uv_run(&first, UV_RUN_DEFAULT) == 0 && uv_loop_close(&first) == 0;
}();

}  // namespace

void in_guest(void (*body)()) {
  ASSERT_TRUE(kWarm);
  uv_loop_t loop{};
  ASSERT_EQ(uv_loop_init(&loop), 0);
  run(&loop, body);
  EXPECT_EQ(uv_loop_close(&loop), 0);
}

void in_nested(void (*body)()) {
  shim::open_loop([&] { open_loop([&](uv_loop_t*) { body(); }); });
}

}  // namespace weft::uv
