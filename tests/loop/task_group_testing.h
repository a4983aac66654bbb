// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the tests of TaskGroup share.

#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/exception_group.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/task_group.h"

namespace weft::loop::testing {

using Log = std::vector<std::string>;

// The texts of the errors in a group.
inline std::vector<std::string> errors_of(const std::exception_ptr& error) {
  std::vector<std::string> texts;
  const auto* group = fibers::exception_cast<fibers::BaseExceptionGroup>(error);
  if (group == nullptr) return {"no group: " + fibers::describe_exception(error)};
  EXPECT_EQ(group->message(), "unhandled errors in a TaskGroup");
  for (const std::exception_ptr& each : group->exceptions()) {
    const auto* text = fibers::exception_cast<std::exception>(each);
    texts.emplace_back(text != nullptr ? text->what() : "other");
  }
  return texts;
}
template <class F>
std::exception_ptr error_of(F&& fn) {
  try {
    fn();
  } catch (const fibers::Cancelled&) {
    throw;  // The test itself is cancelled.
  } catch (const std::bad_alloc&) {
    throw;
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

// Runs `body` as the body of a group: in a coroutine, then on a stack, in a task of its own; gives
// what has come of each.
template <class Coroutine, class Stack>
void in_both(EventLoop& loop, Coroutine coroutine, Stack stack,
             const std::function<void(const std::exception_ptr&)>& check) {
  auto first = loop.create_task([&]() -> Coro<void> { co_await task_group(coroutine); });
  check(error_of([&] { await(first); }));
  auto second = loop.create_task([&] { task_group(stack); });
  check(error_of([&] { await(second); }));
}

}  // namespace weft::loop::testing
