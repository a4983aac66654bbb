// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The two exceptions of asyncio that the loop raises. Everything that is simply a wrong call, such
// as scheduling on a closed loop, is weft::fibers::UsageError.

#pragma once

#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

#include "weft/fibers/errors.h"

namespace weft::loop {

// A future was asked for what it does not have yet, or told twice. (asyncio.InvalidStateError.)
class InvalidStateError : public fibers::UsageError {
  using fibers::UsageError::UsageError;
};

// A future was cancelled, or a callback that awaits one. Unlike fibers::Cancelled it is
// edge-triggered: raised once by whatever asks the future, and once in the callback, which may wait
// while it cleans up. Anybody may throw one, and nothing re-raises it. Not a std::exception, so
// that `catch (const std::exception&)` lets it pass, as Python's `except Exception` does.
// (asyncio.CancelledError.)
class CancelledError {
 public:
  CancelledError() = default;
  explicit CancelledError(std::string message) : message_(std::move(message)) {}

  // What Future::cancel was given, or empty.
  const std::string& message() const { return message_; }
  // "the future was cancelled", with the message where there is one.
  std::string what() const;

 private:
  std::string message_;
};

// The time of a timeout(), wait_for() or as_completed() is up. (TimeoutError.)
class TimeoutError : public fibers::TooSlowError {};

// sendfile(2) cannot send this file over that connection, and nothing else was to be tried.
// (asyncio.SendfileNotAvailableError.)
class SendfileNotAvailableError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What is left of `error` when the CancelledErrors in it are taken away: null if it is one, or a
// group of nothing else.
std::exception_ptr without_cancelled_errors(const std::exception_ptr& error);

}  // namespace weft::loop
