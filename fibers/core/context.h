// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The stack switch, and everything that has to be swapped with it: the C++ exception state, and what
// the sanitizers want to know.

#pragma once

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <utility>

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

#ifdef WEFT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef WEFT_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace weft::fibers::detail {

// The layout of __cxa_eh_globals (Itanium C++ ABI 2.2.2; libstdc++ and libc++): the exceptions being
// handled, and how many are in flight. It belongs to the thread; a fiber asleep inside a catch block
// needs its own, or its `throw;` rethrows somebody else's exception.
struct ExceptionState {
  void* caught = nullptr;
  unsigned uncaught = 0;
};

// This thread's exception state. Constant for the thread, so a scheduler looks it up once.
ExceptionState* thread_exception_state() noexcept;

// A point at which somebody has been suspended.
struct Context {
  boost::context::detail::fcontext_t point = nullptr;
  ExceptionState exceptions;
#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
  const void* stack_bottom = nullptr;
  std::size_t stack_size = 0;
  void* asan_fake_stack = nullptr;
  void* tsan_fiber = nullptr;
#endif
};

// To be called first thing on the new side of every switch, with what the switch handed over.
inline void arrived(Context& here, boost::context::detail::transfer_t from) {
  auto* left = static_cast<Context*>(from.data);
  left->point = from.fctx;
#ifdef WEFT_ASAN
  const void* bottom = nullptr;
  std::size_t size = 0;
  __sanitizer_finish_switch_fiber(here.asan_fake_stack, &bottom, &size);
  if (left->stack_bottom == nullptr) {  // The thread's own stack, whose bounds only ASan knows.
    left->stack_bottom = bottom;
    left->stack_size = size;
  }
#endif
  static_cast<void>(here);
}

// Leaves `from` and goes on in `to`; returns when somebody switches back.
inline void switch_context(Context& from, Context& to, ExceptionState& exceptions) {
  from.exceptions = exceptions;
  exceptions = to.exceptions;
#ifdef WEFT_ASAN
  __sanitizer_start_switch_fiber(&from.asan_fake_stack, to.stack_bottom, to.stack_size);
#endif
#ifdef WEFT_TSAN
  __tsan_switch_to_fiber(to.tsan_fiber, 0);
#endif
  arrived(from, boost::context::detail::jump_fcontext(to.point, &from));
}

// The last switch of a fiber that has ended.
[[noreturn]] inline void leave_context(Context& from, Context& to, ExceptionState& exceptions) {
  exceptions = to.exceptions;
#ifdef WEFT_ASAN
  // A null fake stack tells ASan to free it: nobody comes back here.
  __sanitizer_start_switch_fiber(nullptr, to.stack_bottom, to.stack_size);
#endif
#ifdef WEFT_TSAN
  __tsan_switch_to_fiber(to.tsan_fiber, 0);
#endif
  boost::context::detail::jump_fcontext(to.point, &from);
  __builtin_unreachable();
}

}  // namespace weft::fibers::detail
