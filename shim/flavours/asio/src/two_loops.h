// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a guest in an io_context and a run that turns one have in common.

#pragma once

#include <array>
#include <cstddef>
#include <exception>
#include <new>

#include "weft/asio/run.h"

namespace weft::asio::detail {

// What current_context() gives on this thread; null: an error. Returns the one before.
IoContext* set_current_context(IoContext* context) noexcept;

// Throws what two sides have thrown.
[[noreturn]] void throw_both(std::exception_ptr one, std::exception_ptr other);

// For the one operation that waits for the run's descriptor: it can always be started again.
struct Storage {
  alignas(std::max_align_t) std::array<std::byte, 256> bytes;
};
template <class T>
struct StorageAllocator {
  using value_type = T;
  Storage* storage;

  explicit StorageAllocator(Storage* s) : storage(s) {}
  template <class U>
  // NOLINTNEXTLINE(google-explicit-constructor): as allocators are.
  StorageAllocator(const StorageAllocator<U>& other) : storage(other.storage) {}
  T* allocate(std::size_t count) {
    if (sizeof(T) * count > sizeof(Storage)) throw std::bad_alloc();
    return reinterpret_cast<T*>(storage->bytes.data());
  }
  void deallocate(T*, std::size_t) noexcept {}
  template <class U>
  bool operator==(const StorageAllocator<U>& other) const {
    return storage == other.storage;
  }
};

}  // namespace weft::asio::detail
