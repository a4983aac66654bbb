// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Which thread something belongs to.

#pragma once

namespace weft::loop::detail {

// Remembers the thread that made it. Asking costs no call of the C library: the address of a
// variable of the thread's own tells threads apart.
class OwnThread {
 public:
  bool is_current() const noexcept { return mark_ == mark(); }

 private:
  static const void* mark() noexcept {
    static thread_local const char mark = 0;
    return &mark;
  }

  const void* mark_ = mark();
};

}  // namespace weft::loop::detail
