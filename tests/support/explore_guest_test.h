// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// explore_guest() as explore_test() calls explore().

#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "weft/fibers/format_exception.h"
#include "weft/fibers/testing/explore_guest.h"
#include "weft/fibers/testing/left_over.h"

namespace weft::test {

template <class Body>
fibers::testing::ExploreResult explore_guest_test(const fibers::testing::ExploreHost& host,
                                                  Body&& body,
                                                  fibers::testing::ExploreOptions options = {}) {
  const fibers::testing::LeftOver since;
  options.failed = [] { return ::testing::Test::HasFailure(); };
  fibers::testing::ExploreResult result;
  try {
    result = fibers::testing::explore_guest(host, std::forward<Body>(body), options);
    if (options.strategy == fibers::testing::Strategy::kExhaustive && !is_replay(options)) {
      EXPECT_TRUE(result.exhausted) << "not all schedules after " << result.schedules;
    }
    ::testing::Test::RecordProperty("schedules", std::to_string(result.schedules));
  } catch (const fibers::testing::ExploreError& error) {
    ADD_FAILURE() << error.what();  // What is nested is in it.
  } catch (...) {
    ADD_FAILURE() << fibers::format_exception(std::current_exception());
  }
  const std::string left = since.find();
  EXPECT_TRUE(left.empty()) << left;
  return result;
}

}  // namespace weft::test
