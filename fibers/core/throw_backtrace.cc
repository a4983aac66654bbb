// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/throw_backtrace.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <utility>

#include "weft/fibers/outcome.h"

namespace weft::fibers {

namespace detail {

namespace {
std::atomic<ThrowFrames> throw_frames{nullptr};
// Set before it. By the recorder, so that a program without it has no symboliser either.
std::atomic<DescribeFrame> describe_throw_frame{nullptr};
}  // namespace

void set_throw_frames(ThrowFrames ask, DescribeFrame describe) {
  describe_throw_frame.store(describe, std::memory_order_relaxed);
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

namespace detail {

std::vector<std::string> throw_lines(const std::exception_ptr& error) {
  std::vector<std::string> lines;
  for (const void* frame : throw_backtrace(error)) {
    const DescribeFrame describe = describe_throw_frame.load(std::memory_order_relaxed);
    for (std::string& line : describe(frame)) lines.push_back(std::move(line));
  }
  std::reverse(lines.begin(), lines.end());
  return lines;
}

}  // namespace detail

}  // namespace weft::fibers
