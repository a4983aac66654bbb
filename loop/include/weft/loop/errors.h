// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The two exceptions of asyncio that the loop raises. Everything that is simply a wrong call, such
// as scheduling on a closed loop, is weft::fibers::UsageError.

#pragma once

#include <string>
#include <utility>

#include "weft/fibers/errors.h"

namespace weft::loop {

// A future was asked for what it does not have yet, or told twice. (asyncio.InvalidStateError.)
class InvalidStateError : public fibers::UsageError {
  using fibers::UsageError::UsageError;
};

// A future was cancelled. Unlike fibers::Cancelled it is edge-triggered: raised once by whatever
// asks the future, anybody may throw one, and nothing re-raises it. Not a std::exception, so that
// `catch (const std::exception&)` lets it pass, as Python's `except Exception` does.
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

}  // namespace weft::loop
