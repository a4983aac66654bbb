// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/context.h"

#include <cxxabi.h>
#include <pthread.h>

namespace weft::fibers::detail {

ExceptionState* thread_exception_state() noexcept {
  return reinterpret_cast<ExceptionState*>(abi::__cxa_get_globals());
}

#if defined(__x86_64__) && !defined(WEFT_FCONTEXT)

// The frame below the first one. Unwinders and debuggers stop here: there is no return address.
// (`rbx` is loaded by hand from the prepared stack; `ud2` ends the process should the entry
// return.)
asm(R"(
.text
.p2align 4
.type weft_context_begin, @function
.hidden weft_context_begin
weft_context_begin:
  .cfi_startproc
  .cfi_undefined rip
  popq %rbx
  xorl %ebp, %ebp
  callq *%rbx
  ud2
  .cfi_endproc
.size weft_context_begin, .-weft_context_begin
)");
extern "C" void weft_context_begin();

// On the stack: where to jump to, then what weft_context_begin pops. After both the stack pointer
// is aligned for a call.
void make_context(Context& context, std::byte* top, std::size_t /*size*/, ContextEntry entry) {
  auto** sp = reinterpret_cast<void**>(top);
  *--sp = reinterpret_cast<void*>(entry);
  *--sp = reinterpret_cast<void*>(&weft_context_begin);
  context.point = sp;
}

#else

// make_fcontext takes a function that is told where it was switched from; every context of weft has
// the same entry, so it need not be handed over.
static ContextEntry the_entry = nullptr;

static void begin(boost::context::detail::transfer_t from) {
  static_cast<Context*>(from.data)->point = from.fctx;
  the_entry();
}

void make_context(Context& context, std::byte* top, std::size_t size, ContextEntry entry) {
  the_entry = entry;
  context.point = boost::context::detail::make_fcontext(top, size, &begin);
}

#endif

void describe_thread_stack([[maybe_unused]] Context& own) {
#ifdef WEFT_ASAN
  pthread_attr_t attributes;
  if (::pthread_getattr_np(::pthread_self(), &attributes) == 0) {
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
