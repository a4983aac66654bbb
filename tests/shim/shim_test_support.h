// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the tests of the shim share.

#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/captured_log.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::shim {

// What the tests throw, and what nothing else does.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The exception `fn` throws; null if it returns.
template <class F>
std::exception_ptr error_of(F&& fn) {
  try {
    std::forward<F>(fn)();
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

template <class E>
bool holds(const std::exception_ptr& error) {
  return error != nullptr && fibers::holds<E>(error);
}

// What is inside two nested groups of one; null if `error` is anything else.
inline std::exception_ptr inside_two_groups(std::exception_ptr error) {
  for (int level = 0; level < 2; ++level) {
    try {
      if (error == nullptr) return nullptr;
      std::rethrow_exception(error);
    } catch (const fibers::BaseExceptionGroup& group) {
      if (group.exceptions().size() != 1) return nullptr;
      error = group.exceptions().front();
    } catch (...) {
      return nullptr;
    }
  }
  return error;
}

// What happened, in its order; for tasks and generators that may outlive the test's body.
using SharedLog = std::shared_ptr<std::vector<std::string>>;
inline SharedLog make_log() {
  return std::make_shared<std::vector<std::string>>();
}

using test::CapturedLog;

}  // namespace weft::shim
