// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Who is told of errors that have nobody to go to, and of slow callbacks.

#pragma once

#include <exception>
#include <source_location>
#include <string>
#include <utility>

#include "weft/fibers/clock.h"
#include "weft/loop/detail/handle_node.h"
#include "weft/loop/exception_context.h"
#include "weft/loop/slow_callback.h"

namespace weft::loop::detail {

class TaskCore;

// "file.cc:12".
std::string place(const std::source_location& site);
// What an exception context says; empty, which has a default, if there is no memory for it.
std::string text(const char* message) noexcept;
// What is told of an error out of a callback.
ExceptionContext callback_context(HandleNode* node, std::exception_ptr error);

class Reports {
 public:
  explicit Reports(LoopCore& core) : core_(core) {}
  Reports(const Reports&) = delete;
  Reports& operator=(const Reports&) = delete;

  // The handler sees the variables of `task`, or else of the context's callback.
  void report(const ExceptionContext& context, TaskCore* task = nullptr);
  // What the owner throws comes out.
  void report_by_default(const ExceptionContext& context);
  // The same as report(); returns what that throws, or null.
  std::exception_ptr try_to_report(const ExceptionContext& context) noexcept;
  // Where nothing may be thrown: what the exception handler throws ends the loop after this
  // iteration.
  void report_without_throwing(const ExceptionContext& context) noexcept;
  // What is to end the loop, and has not yet.
  const std::exception_ptr& late_error() const { return late_error_; }
  void set_late_error(std::exception_ptr error) noexcept { late_error_ = std::move(error); }
  std::exception_ptr take_late_error() noexcept { return std::exchange(late_error_, nullptr); }

  // In debug mode: of a callback that has returned or blocks.
  void report_slow(fibers::Duration took, const HandleNode& node) noexcept;

  ExceptionHandler exception_handler;
  ExceptionHandler default_exception_handler;  // The owner's, after the log.
  SlowCallbackHandler slow_callback_handler;
  fibers::Duration slow_callback_duration = std::chrono::milliseconds(100);

 private:
  class InContextOf;

  void report_in_the_end(const ExceptionContext& context);

  LoopCore& core_;
  std::exception_ptr late_error_;
};

}  // namespace weft::loop::detail
