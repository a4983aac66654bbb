// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/throw_backtrace.h"

#include <atomic>
#include <cstring>
#include <functional>

#include "weft/fibers/outcome.h"

namespace weft::fibers {

namespace detail {

namespace {
std::atomic<ThrowFrames> throw_frames{nullptr};
}  // namespace

void set_throw_frames(ThrowFrames ask) {
  throw_frames.store(ask, std::memory_order_release);
}

// An exception_ptr is that one pointer, in libstdc++ as in libc++; neither hands it out.
const void* exception_address(const std::exception_ptr& error) {
  static_assert(sizeof(std::exception_ptr) == sizeof(void*));
  const void* address = nullptr;
  std::memcpy(&address, static_cast<const void*>(&error), sizeof address);
  return address;
}

std::size_t hash_of(const std::exception_ptr& error) {
  return std::hash<const void*>()(exception_address(error));
}

}  // namespace detail

std::vector<const void*> throw_backtrace(const std::exception_ptr& error) {
  const detail::ThrowFrames ask = detail::throw_frames.load(std::memory_order_acquire);
  if (ask == nullptr || error == nullptr) return {};
  return ask(detail::exception_address(error));
}

}  // namespace weft::fibers
