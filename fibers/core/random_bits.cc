// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/random_bits.h"

#include <random>

namespace weft::fibers::detail {

std::uint64_t random_bits() {
  std::random_device random;
  return std::uint64_t{random()} << 32 | random();
}

}  // namespace weft::fibers::detail
