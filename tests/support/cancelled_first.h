// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The rule that in a cancelled scope every call that may suspend throws Cancelled first, whatever
// else is wrong with it (see checkpoint_if_cancelled()), as a table: each row names a call of a
// public header, "fibers/lock.h acquire". tools/checks/contracts compares the rows with the
// headers.

#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <functional>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/format_exception.h"

namespace weft::test {

// Calls `call` in a cancelled scope, where it has to throw Cancelled.
template <class F>
void says_cancelled(const char* name, F&& call) {
  fibers::CancelScope scope;
  scope.cancel();
  try {
    scope.run([&] { static_cast<void>(std::invoke(call)); });
  } catch (const fibers::Cancelled&) {
    throw;  // Of a scope around the test.
  } catch (...) {
    ADD_FAILURE() << name << " says first:\n" << fibers::format_exception(std::current_exception());
    return;
  }
  EXPECT_TRUE(scope.cancelled_caught()) << name << " does not say Cancelled";
}

// The same, of a call with which something else is wrong: it fails without the cancellation too.
template <class F>
void cancelled_first(const char* name, F&& call) {
  says_cancelled(name, call);
  try {
    static_cast<void>(std::invoke(call));
    ADD_FAILURE() << name << " has nothing else to complain of";
  } catch (const std::exception&) {
  }
}

}  // namespace weft::test
