// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// How many times this process has taken memory from the heap. malloc and its kin are replaced by
// functions that count and then do what glibc does; operator new comes down to them.

#pragma once

#include <cstdint>

namespace bench {

std::uint64_t allocations_so_far();

}  // namespace bench
