// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Cancelled first: the border.

#include "tests/support/cancelled_first.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/shim/shim_test_support.h"
#include "weft/shim/shim.h"

namespace weft::shim {
namespace {

using test::cancelled_first;

FIBER_TEST(CancelledFirstTest, AFutureThatHasFailed) {
  open_loop([](loop::EventLoop& loop) {
    auto failed = loop.create_future<void>();
    failed.set_exception(std::make_exception_ptr(std::runtime_error("no")));
    cancelled_first("shim/run_aio_future.h run_aio_future", [&] { run_aio_future(failed); });
    cancelled_first("shim/aio_as_trio.h aio_as_trio", [&] { aio_as_trio(failed); });
    cancelled_first("shim/run_aio_future.h run_aio_future",
                    [] { run_aio_future(loop::Future<void>()); });
  });
}

FIBER_TEST(CancelledFirstTest, ACallableThatFails) {
  open_loop([](loop::EventLoop&) {
    cancelled_first("shim/aio_as_trio.h aio_as_trio",
                    [] { aio_as_trio([] { throw std::runtime_error("no"); })(); });
  });
}

loop::Coro<void> fails() {
  throw std::runtime_error("no");
  co_return;
}

FIBER_TEST(CancelledFirstTest, ACoroutineThatFails) {
  open_loop([](loop::EventLoop&) {
    cancelled_first("shim/aio_as_trio.h run_aio_coroutine", [] { run_aio_coroutine(fails()); });
  });
}

FIBER_TEST(CancelledFirstTest, AGeneratorThatFails) {
  open_loop([](loop::EventLoop& loop) {
    auto fails = run_aio_generator(loop, []() -> loop::AsyncGenerator<int> {
      co_yield 1;
      throw std::runtime_error("no");
    }());
    fails.next();
    cancelled_first("shim/run_aio_generator.h next", [&] { fails.next(); });
    test::says_cancelled("shim/run_aio_generator.h aclose", [&] { fails.aclose(); });
  });
}

FIBER_TEST(CancelledFirstTest, ALibraryThatRefuses) {
  cancelled_first("shim/portal.h wait_for_callback", [] {
    wait_for_callback<int>([](const Completion<int>&) { throw std::runtime_error("no"); },
                           [] { return CancelResult::kAbandoned; });
  });
}

}  // namespace
}  // namespace weft::shim
