// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/detail/lone_error.h"

#include <gtest/gtest.h>

#include <exception>
#include <stdexcept>
#include <utility>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

std::exception_ptr a_cancelled() {
  std::exception_ptr error;
  CancelScope scope;
  scope.run([&] {
    scope.cancel();
    try {
      checkpoint();
    } catch (const Cancelled&) {
      error = std::current_exception();
      throw;
    }
  });
  return error;
}

std::exception_ptr lone_error_of(std::vector<std::exception_ptr> errors) {
  return detail::lone_error(BaseExceptionGroup("outside", std::move(errors)));
}

// trio: test_util.py::test_raise_single_exception_from_group
FIBER_TEST(LoneErrorTest, IsTheOnlyOneThatMatters) {
  const auto foo = std::make_exception_ptr(std::runtime_error("foo"));
  const auto bar = std::make_exception_ptr(std::runtime_error("bar"));
  const auto interrupt = std::make_exception_ptr(KeyboardInterrupt());
  const auto inner = make_exception_group("inside", {foo});
  const auto cancelled = a_cancelled();
  const auto another = a_cancelled();
  EXPECT_EQ(lone_error_of({foo}), foo);
  EXPECT_EQ(lone_error_of({inner}), inner) << "one layer only";
  EXPECT_EQ(lone_error_of({cancelled, cancelled, foo}), foo);
  EXPECT_EQ(lone_error_of({foo, bar}), nullptr);
  EXPECT_EQ(lone_error_of({foo, bar, interrupt}), interrupt);
  EXPECT_EQ(lone_error_of({cancelled, another}), cancelled);
}

}  // namespace
}  // namespace weft::fibers
