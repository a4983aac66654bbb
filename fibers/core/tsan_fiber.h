// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What TSan has to be told: which fiber runs. TSan keeps a signal that arrives in the middle of
// user code with the present fiber, and has it handled when that fiber calls the C library next.
// On one that has just been left, or is being made or destroyed, that is never. So no signal
// arrives in the middle of these: what was kept before is handled by the first call in them.

#pragma once

#include "weft/fibers/detail/sanitizers.h"

#ifdef WEFT_TSAN

#include <sanitizer/tsan_interface.h>

#include <csignal>

#include "fibers/sys/sys.h"

namespace weft::fibers::detail {

class SignalsHeldBack {
 public:
  [[gnu::always_inline]] SignalsHeldBack() {
    sigset_t all;
    sigfillset(&all);
    sys::pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  [[gnu::always_inline]] ~SignalsHeldBack() {
    sys::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SignalsHeldBack(const SignalsHeldBack&) = delete;
  SignalsHeldBack& operator=(const SignalsHeldBack&) = delete;

 private:
  sigset_t before_;
};

inline void* create_tsan_fiber() {
  const SignalsHeldBack held_back;
  return __tsan_create_fiber(0);
}

// Null: nothing to do.
inline void destroy_tsan_fiber(void* fiber) {
  if (fiber == nullptr) return;
  const SignalsHeldBack held_back;
  __tsan_destroy_fiber(fiber);
}

// Inlined, as TSan wants the functions that have been entered on a fiber to be left on it.
[[gnu::always_inline]] inline void switch_tsan_fiber(void* fiber) {
  const SignalsHeldBack held_back;
  __tsan_switch_to_fiber(fiber, 0);
}

}  // namespace weft::fibers::detail

#endif
