// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The check of start_soon for what hands closures to tasks in its own way. Not for use outside
// weft.

#pragma once

#include <source_location>

#include "weft/fibers/detail/closure.h"

namespace weft::fibers {

class Nursery;

namespace detail {

// Throws UsageError if `closure`, which lies where it will be run, refers to a part of the running
// stack that may go before a task of `nursery` does, and the run checks captures.
void require_lasting_captures(const void* closure, const ClosureType& type, const Nursery& nursery,
                              std::source_location site);

}  // namespace detail
}  // namespace weft::fibers
