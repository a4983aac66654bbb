// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What weft::fail_allocations, an operator new of its own, asks and tells.

#pragma once

#include <atomic>
#include <cstdint>

namespace weft::fibers::sys {

class AllocationGate {
 public:
  // Asked before each allocation, on the thread that makes it.
  virtual bool allocation_fails() noexcept = 0;

 protected:
  AllocationGate() = default;
  AllocationGate(const AllocationGate&) = default;
  AllocationGate& operator=(const AllocationGate&) = default;
  ~AllocationGate() = default;
};

// Null but in a test.
inline constinit std::atomic<AllocationGate*> allocation_gate{nullptr};

// Whether that operator new is linked, and how much of what it gave out has not come back.
inline constinit std::atomic<bool> allocations_may_fail{false};
inline constinit std::atomic<std::int64_t> allocations_alive{0};

}  // namespace weft::fibers::sys
