// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/lone_error.h"

#include <gtest/gtest.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/exception_group.h"
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

std::exception_ptr some(int number) {
  return std::make_exception_ptr(std::out_of_range(std::to_string(number)));
}
std::exception_ptr group(std::vector<std::exception_ptr> errors) {
  return make_exception_group("group", std::move(errors));
}

// trio: test_util.py::test_raise_single_exception_from_group
FIBER_TEST(LoneErrorTest, IsTheOnlyOneThatMatters) {
  const auto foo = std::make_exception_ptr(std::runtime_error("foo"));
  const auto bar = std::make_exception_ptr(std::runtime_error("bar"));
  const auto interrupt = std::make_exception_ptr(KeyboardInterrupt());
  const auto inner = group({foo});
  const auto cancelled = a_cancelled();
  const auto another = a_cancelled();
  const auto of = [](const std::vector<std::exception_ptr>& errors) {
    return lone_error(group(errors), {.nested = false, .interrupt_first = true});
  };
  EXPECT_EQ(of({foo}), foo);
  EXPECT_EQ(of({inner}), inner) << "one layer only";
  EXPECT_EQ(of({cancelled, cancelled, foo}), foo);
  EXPECT_EQ(of({foo, bar, interrupt}), interrupt);
  EXPECT_EQ(of({cancelled, another}), cancelled);
  const auto several = group({foo, bar});
  EXPECT_EQ(lone_error(several, {.nested = false}), several);
}

TEST(LoneErrorTest, IsFoundThroughNestedGroups) {
  const auto error = some(1);
  EXPECT_EQ(lone_error(error), error);
  EXPECT_EQ(lone_error(group({error})), error);
  EXPECT_EQ(lone_error(group({group({group({error})})})), error);
}

// Also where one of them is an interrupt: nothing is lost, unless somebody says so.
TEST(LoneErrorTest, SeveralErrorsStayAGroup) {
  const auto both = group({some(1), group({some(2)})});
  EXPECT_EQ(lone_error(both), both);
  EXPECT_EQ(lone_error(both, {.nested = false}), both);
  const auto interrupted = group({some(1), std::make_exception_ptr(KeyboardInterrupt())});
  EXPECT_EQ(lone_error(interrupted), interrupted);
}

TEST(LoneErrorTest, ADeepNestNeedsNoDeepStack) {
  const auto error = some(1);
  auto deep = group({error});
  for (int i = 0; i < 100000; ++i) deep = group({deep});
  EXPECT_EQ(lone_error(deep), error);
}

}  // namespace
}  // namespace weft::fibers
