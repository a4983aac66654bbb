// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A line on standard error from a signal handler, or from the middle of a sanitizer's report: put
// together without the library, for the heap or its locks may be what the thread was in the middle
// of.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <string_view>

#include "fibers/sys/sys.h"

namespace weft::fibers::detail {

// What does not fit is left out.
class RawLine {
 public:
  RawLine& operator<<(std::string_view text) {
    const std::size_t n = std::min(text.size(), sizeof buffer_ - size_);
    std::memcpy(buffer_ + size_, text.data(), n);
    size_ += n;
    return *this;
  }
  RawLine& operator<<(std::uint64_t number) {
    char digits[20];
    char* at = digits + sizeof digits;
    do {
      *--at = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number != 0);
    return *this << std::string_view(at, static_cast<std::size_t>(digits + sizeof digits - at));
  }
  RawLine& operator<<(const std::source_location& place) {
    return *this << place.file_name() << ":" << std::uint64_t{place.line()};
  }

  std::string_view text() const { return {buffer_, size_}; }
  void write() const {
    [[maybe_unused]] const ssize_t n = sys::write(STDERR_FILENO, buffer_, size_);
  }

 private:
  char buffer_[1024];
  std::size_t size_ = 0;
};

}  // namespace weft::fibers::detail
