// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What debug mode tells of callbacks that occupy the loop. (asyncio: "Executing ... took ...
// seconds".)

#pragma once

#include <functional>
#include <source_location>
#include <string>

#include "weft/fibers/clock.h"

namespace weft::loop {

class EventLoop;

// A callback, or a step of a task, that has run for longer than EventLoop::slow_callback_duration()
// until it ended or blocked.
struct SlowCallback {
  fibers::Duration took{};
  std::source_location source = std::source_location::current();  // Of the callback or the task.
  std::string task_name = {};                                     // Of a task's step; else empty.
};
// Called in the loop, after the callback. It must not wait; what it throws is logged.
using SlowCallbackHandler = std::function<void(EventLoop&, const SlowCallback&)>;

}  // namespace weft::loop
