// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#pragma once

#include <cstdint>

namespace weft::fibers::detail {

// Of the system's random numbers.
std::uint64_t random_bits();

}  // namespace weft::fibers::detail
