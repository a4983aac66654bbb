// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What valgrind has to be told: where the tasks' stacks are. Without that it takes each switch for
// a stack that grows by megabytes, and reports errors in what lies between. Requests to valgrind
// are a few instructions that do nothing where it does not run.

#pragma once

#ifdef WEFT_VALGRIND
#include <valgrind/valgrind.h>
#endif

namespace weft::fibers::detail {

#ifdef WEFT_VALGRIND

inline bool under_valgrind() {
  return RUNNING_ON_VALGRIND != 0;
}
// Never unregistered: an entry whose memory is gone does no harm, and an arena lives as long as its
// thread. The next arena at the same place registers its stacks again.
inline void tell_valgrind_of_stack(const void* low, const void* top) {
  static_cast<void>(VALGRIND_STACK_REGISTER(low, static_cast<const char*>(top) - 1));
}

#else

inline bool under_valgrind() {
  return false;
}
inline void tell_valgrind_of_stack(const void*, const void*) {}

#endif

}  // namespace weft::fibers::detail
