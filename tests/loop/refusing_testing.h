// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A system call that fails while the test wants it to.

#pragma once

#include <string_view>

#include "fibers/sys/call.h"

namespace weft::loop::testing {

// As long as `closed`, a call gives an error.
class Refusing final : public fibers::sys::Gate {
 public:
  Refusing(std::string_view call, int error) : call_(call), error_(error) {
    fibers::sys::gate = this;
  }
  Refusing(const Refusing&) = delete;
  Refusing& operator=(const Refusing&) = delete;
  ~Refusing() { fibers::sys::gate = nullptr; }
  fibers::sys::Answer before(const fibers::sys::Asked& asked) noexcept override {
    if (asked.name != call_) return {};
    ++asked_for;
    const int error = closed ? error_ : 0;
    if (once) closed = false;
    return {.error = error};
  }
  void after() noexcept override {}
  bool closed = true;
  bool once = false;
  int asked_for = 0;

 private:
  std::string_view call_;
  int error_;
};

}  // namespace weft::loop::testing
