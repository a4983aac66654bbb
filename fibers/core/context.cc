// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/context.h"

#include <cxxabi.h>
#include <pthread.h>

#include <array>
#include <atomic>

#include "fibers/sys/sys.h"

#ifdef _LIBCPP_VERSION
// libc++abi has it, as the ABI asks, and does not declare it.
extern "C" void* __cxa_get_globals() noexcept;  // NOLINT(*-reserved-identifier)
#endif

namespace weft::fibers::detail {

ExceptionState* thread_exception_state() noexcept {
#ifdef _LIBCPP_VERSION
  return reinterpret_cast<ExceptionState*>(__cxa_get_globals());
#else
  return reinterpret_cast<ExceptionState*>(abi::__cxa_get_globals());
#endif
}

#if defined(__x86_64__) && !defined(WEFT_FCONTEXT)

// In context_x86_64.S.
extern "C" void weft_context_begin();
extern "C" void weft_context_end();

// On the stack: where to jump to, then what weft_context_begin pops, then what looks like the
// entry's return address. The stack pointer is aligned as after a call.
void make_context(Context& context, std::byte* top, std::size_t /*size*/, ContextEntry entry) {
  auto** sp = reinterpret_cast<void**>(top);
  *--sp = reinterpret_cast<void*>(&weft_context_end);
  *--sp = reinterpret_cast<void*>(entry);
  *--sp = reinterpret_cast<void*>(&weft_context_begin);
  context.point = sp;
}

bool has_begun(const Context& context) {
  return *static_cast<void* const*>(context.point) != reinterpret_cast<void*>(&weft_context_begin);
}

#else

// make_fcontext takes a function that is told where it was switched from, and nothing else: there
// is one for each entry that weft has, those of tasks and of greenlets.
static std::array<std::atomic<ContextEntry>, 2> entries{};

template <std::size_t Which>
static void begin(boost::context::detail::transfer_t from) {
  static_cast<Context*>(from.data)->point = from.fctx;
  entries[Which].load()();
}

void make_context(Context& context, std::byte* top, std::size_t size, ContextEntry entry) {
  ContextEntry first = nullptr;
  const bool is_first = entries[0].compare_exchange_strong(first, entry) || first == entry;
  if (!is_first) entries[1].store(entry);
  context.point =
      boost::context::detail::make_fcontext(top, size, is_first ? &begin<0> : &begin<1>);
}

#endif

void describe_thread_stack([[maybe_unused]] Context& own) {
#ifdef WEFT_ASAN
  pthread_attr_t attributes;
  if (sys::pthread_getattr_np(::pthread_self(), &attributes) == 0) {
    void* bottom = nullptr;
    ::pthread_attr_getstack(&attributes, &bottom, &own.stack_size);
    own.stack_bottom = bottom;
    ::pthread_attr_destroy(&attributes);
  }
#endif
#ifdef WEFT_TSAN
  own.tsan_fiber = __tsan_get_current_fiber();
#endif
}

}  // namespace weft::fibers::detail
