// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A library to be loaded before the C library's: of a program's allocations the one whose number
// stands in FAIL_AT finds no memory.

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

// glibc's own.
extern "C" {
void* libc_malloc(std::size_t size) __asm__("__libc_malloc");
void* libc_calloc(std::size_t count, std::size_t size) __asm__("__libc_calloc");
void* libc_realloc(void* memory, std::size_t size) __asm__("__libc_realloc");
}

namespace {

std::atomic<long> asked{0};

bool fails() {
  static const char* const number = std::getenv("FAIL_AT");
  static const long at = number == nullptr ? 0 : std::atol(number);
  if (++asked != at) return false;
  errno = ENOMEM;
  return true;
}

}  // namespace

#define WEFT_EXPORT extern "C" __attribute__((visibility("default")))
WEFT_EXPORT void* malloc(std::size_t size) {
  return fails() ? nullptr : libc_malloc(size);
}
WEFT_EXPORT void* calloc(std::size_t count, std::size_t size) {
  return fails() ? nullptr : libc_calloc(count, size);
}
WEFT_EXPORT void* realloc(void* memory, std::size_t size) {
  return fails() ? nullptr : libc_realloc(memory, size);
}
