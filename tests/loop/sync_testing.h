// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the tests of the synchronisation primitives share.

#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/loop/coro.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/task.h"

namespace weft::loop::testing {

using Log = std::vector<std::string>;

// What a task's code is: a coroutine, or a function with a stack that awaits the same coroutine.
enum class Form : std::uint8_t { kCoro, kStack };
inline constexpr Form kForms[] = {Form::kCoro, Form::kStack};

// A task of `make()`, which is a coroutine.
template <class Make>
auto start(EventLoop& loop, Form form, Make make)
    -> decltype(loop.create_task(std::declval<Make>())) {
  if (form == Form::kCoro) return loop.create_task(std::move(make));
  return loop.create_task([make]() mutable { return await(make()); });
}

// Runs the loop on the calling task for so many iterations.
inline void run_iterations(EventLoop& loop, int count) {
  for (int i = 0; i < count; ++i) run_once(loop);
}

// A body for each form, beside a loop that runs only when it is told to.
template <class Body>
void in_each_form(Body&& body) {
  for (const Form form : kForms) {
    SCOPED_TRACE(form == Form::kCoro ? "as a coroutine" : "on a stack");
    body(form);
  }
}

}  // namespace weft::loop::testing
