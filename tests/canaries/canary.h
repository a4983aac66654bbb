// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What canaries share: see the script `run`.

#pragma once

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>

#include "weft/fibers/format_exception.h"

namespace weft::test {

// Whether this time the bug is in.
inline bool planted() {
  return std::getenv("WEFT_CANARY") != nullptr;
}

// A whole program: what `body` throws is written to standard error, and makes it fail.
inline int report_errors(const std::function<void()>& body) {
  try {
    body();
    return 0;
  } catch (...) {
    std::fprintf(stderr, "%s\n", fibers::format_exception(std::current_exception()).c_str());
    return 1;
  }
}

}  // namespace weft::test
