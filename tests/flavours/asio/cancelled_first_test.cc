// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Cancelled first: Asio.

#include "tests/support/cancelled_first.h"

#include <gtest/gtest.h>

#include <boost/asio.hpp>
#include <stdexcept>

#include "weft/asio/asio.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::asio {
namespace {

using test::cancelled_first;
using test::says_cancelled;
namespace ba = ::boost::asio;

ba::awaitable<void> fails() {
  throw std::runtime_error("no");
  co_return;
}

FIBER_TEST(CancelledFirstTest, ACoroutineThatFails) {
  ba::io_context context;  // Nobody runs it.
  says_cancelled("asio/awaitable.h await", [&] { await(fails(), context.get_executor()); });
  cancelled_first("asio/awaitable.h await", [] { await(fails()); });
}

FIBER_TEST(CancelledFirstTest, BodiesThatFail) {
  cancelled_first("asio/executor.h open_executor", [] {
    open_executor([](const RunExecutor&) { throw std::runtime_error("no"); });
  });
  cancelled_first("asio/open_context.h open_context",
                  [] { open_context([](IoContext&) { throw std::runtime_error("no"); }); });
}

}  // namespace
}  // namespace weft::asio
