// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft::fail_allocations: operator new and delete over malloc(), where a sweep lets each fail.

#include <cstddef>
#include <cstdlib>
#include <new>

#include "fibers/sys/allocations.h"

// Asked for by whoever links the library, or else the linker would take the runtime's operators.
// NOLINTBEGIN(readability-identifier-naming): the linker knows it so.
extern "C" {
extern const bool weft_fail_allocations;
const bool weft_fail_allocations = [] {
  weft::fibers::sys::allocations_may_fail = true;
  return true;
}();
}
// NOLINTEND(readability-identifier-naming)

namespace {

namespace sys = weft::fibers::sys;

void* take(std::size_t size, std::size_t alignment) noexcept {
  sys::AllocationGate* const gate = sys::allocation_gate.load(std::memory_order_relaxed);
  if (gate != nullptr && gate->allocation_fails()) return nullptr;
  if (size == 0) size = 1;
  void* const memory =
      alignment <= alignof(std::max_align_t)
          ? std::malloc(size)
          : std::aligned_alloc(alignment, (size + alignment - 1) & ~(alignment - 1));
  if (memory != nullptr) sys::allocations_alive.fetch_add(1, std::memory_order_relaxed);
  return memory;
}

void* take_or_throw(std::size_t size, std::size_t alignment) {
  void* const memory = take(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void give_back(void* memory) noexcept {
  if (memory == nullptr) return;
  sys::allocations_alive.fetch_sub(1, std::memory_order_relaxed);
  std::free(memory);
}

}  // namespace

// NOLINTBEGIN(misc-new-delete-overloads): all are here.
void* operator new(std::size_t size) {
  return take_or_throw(size, 1);
}
void* operator new[](std::size_t size) {
  return take_or_throw(size, 1);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return take_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return take_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return take(size, 1);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return take(size, 1);
}
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return take(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return take(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  give_back(memory);
}
void operator delete[](void* memory) noexcept {
  give_back(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  give_back(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  give_back(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  give_back(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  give_back(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  give_back(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  give_back(memory);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept {
  give_back(memory);
}
void operator delete[](void* memory, const std::nothrow_t&) noexcept {
  give_back(memory);
}
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
  give_back(memory);
}
void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
  give_back(memory);
}
// NOLINTEND(misc-new-delete-overloads)
