// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Cancelled first: waiting for the loop.

#include "tests/support/cancelled_first.h"

#include <gtest/gtest.h>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/nursery.h"

namespace weft::loop {
namespace {

using test::cancelled_first;
using test::says_cancelled;
using testing::with_idle_loop;
using testing::with_loop;

FIBER_TEST(CancelledFirstTest, ALoopThatIsClosed) {
  with_idle_loop([](EventLoop& loop) {
    loop.close();
    cancelled_first("loop/event_loop.h main_loop", [&] { loop.main_loop(); });
    cancelled_first("loop/event_loop.h start", [&] { loop.start(); });
    says_cancelled("loop/event_loop.h synchronize", [&] { loop.synchronize(); });
    says_cancelled("loop/event_loop.h wait_stopped", [&] { loop.wait_stopped(); });
    says_cancelled("loop/event_loop.h wait_blocked", [&] { loop.wait_blocked(); });
  });
}

FIBER_TEST(CancelledFirstTest, ACallbackThatWaitsForItself) {
  with_loop([](EventLoop& loop) {
    loop.call_soon(
        [&] { cancelled_first("loop/event_loop.h wait_blocked", [&] { loop.wait_blocked(); }); });
    loop.synchronize();
  });
}

}  // namespace
}  // namespace weft::loop
