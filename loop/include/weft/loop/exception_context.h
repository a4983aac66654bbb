// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the loop tells of errors that have nobody to go to. (asyncio: call_exception_handler.)

#pragma once

#include <exception>
#include <functional>
#include <source_location>
#include <string>

#include "weft/loop/handle.h"

namespace weft::loop {

class EventLoop;

// What an exception handler is told. (asyncio: the context dict.)
struct ExceptionContext {
  std::string message;
  std::exception_ptr exception = nullptr;  // Null if there is only a message.
  Handle handle = {};                      // The callback that threw, if one did.
  const void* future = nullptr;  // Identifies the future concerned, which may be about to go.
  const void* task = nullptr;    // If that is a task.
  std::string task_name = {};
  const void* transport = nullptr;
  const void* protocol = nullptr;
  const void* server = nullptr;
  const void* asyncgen = nullptr;  // Identifies an asynchronous generator.
  int socket = -1;
  std::source_location source = std::source_location::current();  // Of the callback or the future.
};
using ExceptionHandler = std::function<void(EventLoop&, const ExceptionContext&)>;

}  // namespace weft::loop
