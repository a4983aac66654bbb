// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Which sanitizer this file is compiled with, and that weft was compiled with the same one. Not for
// use outside weft.
//
// weft tells AddressSanitizer and ThreadSanitizer about every switch from one stack to another, but
// only if it was compiled with them. A program that has a sanitizer and a weft that has not get
// reports of errors that do not exist, so such a program does not link: the linker names the
// symbol below that the library does not have. (`-fsanitize=undefined` may differ.)

#pragma once

#include "weft/fibers/detail/requirements.h"

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WEFT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_TSAN 1
#endif
#endif

// What the linker says if it misses one is the whole message; the library defines one of each pair.
#ifdef WEFT_ASAN
#define WEFT_BUILT_FOR_ADDRESS weft_was_built_without_fsanitize_address_but_this_file_with_it
#else
#define WEFT_BUILT_FOR_ADDRESS weft_was_built_with_fsanitize_address_but_this_file_without_it
#endif
#ifdef WEFT_TSAN
#define WEFT_BUILT_FOR_THREAD weft_was_built_without_fsanitize_thread_but_this_file_with_it
#else
#define WEFT_BUILT_FOR_THREAD weft_was_built_with_fsanitize_thread_but_this_file_without_it
#endif

extern "C" {
extern const char WEFT_BUILT_FOR_ADDRESS;
extern const char WEFT_BUILT_FOR_THREAD;
}

namespace weft::fibers::detail {

// Two words in a program, never read. Retained: a linker that leaves out unused sections would
// leave out the complaint with them.
#ifdef __has_cpp_attribute
#if __has_cpp_attribute(gnu::retain)
[[gnu::used, gnu::retain]]
#else
[[gnu::used]]
#endif
#endif  // NOLINTNEXTLINE(readability-identifier-naming)
inline const char* const built_alike[] = {&WEFT_BUILT_FOR_ADDRESS, &WEFT_BUILT_FOR_THREAD};

}  // namespace weft::fibers::detail
