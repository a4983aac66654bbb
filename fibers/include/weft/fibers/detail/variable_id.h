// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The identity of a ContextVar or TreeVar.

#pragma once

#include <atomic>
#include <cstdint>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers::detail {

// What a variable is known by. Not its address: when it is gone another one, of another type, may
// lie there, and would find its values. Made when the variable is first set, so that one of static
// lifetime can be used while others are still being initialised.
class VariableId {
 public:
  // 0: has never been set.
  std::uint64_t get() const { return id_.load(std::memory_order_relaxed); }
  std::uint64_t make();

 private:
  std::atomic<std::uint64_t> id_{0};  // Atomic: threads share variables.
};

}  // namespace weft::fibers::detail
