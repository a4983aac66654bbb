// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What is read into: one large buffer, which usually is free again when the next read needs it.

#pragma once

#include <cstddef>
#include <memory>
#include <utility>

namespace weft::loop::detail {

class ReadBuffers {
 public:
  // Throws std::bad_alloc.
  char* take(std::size_t size) {
    if (spare_ != nullptr) return spare_.release();
    return new char[size];
  }
  void give(char* buffer) noexcept { spare_.reset(buffer); }

 private:
  std::unique_ptr<char[]> spare_;
};

}  // namespace weft::loop::detail
