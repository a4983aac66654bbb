// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The deadlines of scope_deadline: between one minute and one hour ahead, in an order that no timer
// structure can take advantage of, and the same for every subject. None of them ever passes.

#pragma once

#include <chrono>
#include <cstdint>

namespace bench {

class Deadlines {
 public:
  std::chrono::milliseconds next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return std::chrono::milliseconds(60'000 + state_ % 3'540'000);
  }

 private:
  std::uint64_t state_ = 0x9E3779B97F4A7C15;
};

}  // namespace bench
