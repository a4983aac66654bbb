// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The stack switch, and everything that has to be swapped with it: the C++ exception state, and
// what the sanitizers want to know.

#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "fibers/core/tsan_fiber.h"
#include "weft/fibers/detail/sanitizers.h"

#if !defined(__x86_64__) || defined(WEFT_FCONTEXT)
#include <boost/context/detail/fcontext.hpp>
#endif
#ifdef WEFT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace weft::fibers::detail {

// The layout of __cxa_eh_globals (Itanium C++ ABI 2.2.2; libstdc++ and libc++): the exceptions
// being handled, and how many are in flight. It belongs to the thread; a fiber asleep inside a
// catch block needs its own, or its `throw;` rethrows somebody else's exception.
struct ExceptionState {
  void* caught = nullptr;
  unsigned uncaught = 0;

  bool empty() const { return (reinterpret_cast<std::uintptr_t>(caught) | uncaught) == 0; }
};

// This thread's exception state. Constant for the thread, so a scheduler looks it up once.
ExceptionState* thread_exception_state() noexcept;

// A point at which somebody has been suspended.
struct Context {
  void* point = nullptr;      // Its stack pointer, below what the switch has saved.
  ExceptionState exceptions;  // Empty while it runs.
#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
  const void* stack_bottom = nullptr;
  std::size_t stack_size = 0;
  void* asan_fake_stack = nullptr;
  void* tsan_fiber = nullptr;
#endif
};

// Before each function with a switch in it that others call by name. With link-time optimisation a
// caller that is compiled for AVX-512 could inline it although it is compiled without: the list of
// what the switch clobbers would then be too short. As a call it clobbers what every call does; the
// kernel is compiled with -fno-ipa-ra so that the caller does not look which registers it uses.
#ifdef __clang__
#define WEFT_SWITCHES [[gnu::noinline]]
#else
#define WEFT_SWITCHES [[gnu::noinline, gnu::noclone]]
#endif

// Where a new context begins. Must not return.
using ContextEntry = void (*)();

#if defined(__x86_64__) && !defined(WEFT_FCONTEXT)

// The switch, inline: the compiler saves what it has in use, and only that. Unlike Boost.Context's
// it leaves the floating-point control words alone, whose saving and loading costs more than all
// the rest; they belong to the thread, not to the task. See tools/docs/adr/0002-own-switch.md.
//
// The jump and not a `ret`, so that each switching place has a branch prediction of its own. The
// 128 bytes are the red zone of the function around.
// The list has every register in which a compiler may keep a value from before the switch to after
// it, for the other task uses them all:
//   rax..r15      the general registers; rdi and rsi are outputs, rbx and rbp are on the stack,
//                 because the compiler does not let itself be told of them, and rsp is exchanged;
//   xmm0..xmm15   and with them ymm and zmm, whose lower parts they are;
//   xmm16..xmm31  and the masks k0..k7, which are there with AVX-512. g++ refuses their names where
//                 the file may not use them; and see WEFT_SWITCHES;
//   st, mm0..mm7  the x87 stack, which is also MMX's: a long double may lie there. Also, the other
//                 task expects to find it empty, as at a call;
//   memory, cc    all that lies in memory, and the flags.
// Not in the list, because they are the thread's and no place for values:
//   mxcsr, the x87 control word   and their exception flags: see the ADR. The rounding mode is
//                 shared by all tasks of a thread; who changes it puts it back before waiting;
//   DF            the direction flag is clear at calls, and compilers rely on that everywhere;
//   fs, gs, PKRU  thread-local storage and the keys of memory;
//   AMX's tiles   compilers keep nothing there from one statement to the next.
// APX's r16..r31 have no names in the compilers that weft is tested with.
#ifdef __APX_F__
#error \
    "weft: the inline switch does not know APX's registers; configure weft with -DWEFT_FCONTEXT=ON"
#endif
#ifdef __MMX__
#define WEFT_MMX_CLOBBERS "mm0", "mm1", "mm2", "mm3", "mm4", "mm5", "mm6", "mm7",
#else
#define WEFT_MMX_CLOBBERS
#endif
#if defined(__AVX512F__) || defined(__clang__)
#define WEFT_AVX512_CLOBBERS                                                                    \
  "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",     \
      "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5", \
      "k6", "k7",
#else
#define WEFT_AVX512_CLOBBERS
#endif
#define WEFT_SWITCH_CLOBBERS                                                                       \
  WEFT_AVX512_CLOBBERS WEFT_MMX_CLOBBERS "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12",     \
      "r13", "r14", "r15", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", \
      "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "st", "st(1)", \
      "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"

[[gnu::always_inline]] inline void jump(Context& from, void* to) {
  void** save = &from.point;
  asm volatile(
      "subq $128, %%rsp\n\t"
      "pushq %%rbp\n\t"
      "pushq %%rbx\n\t"
      "leaq 1f(%%rip), %%rax\n\t"
      "pushq %%rax\n\t"
      "movq %%rsp, (%0)\n\t"
      "movq %1, %%rsp\n\t"
      "popq %%rax\n\t"
      "jmpq *%%rax\n"
      "1:\n\t"
      "popq %%rbx\n\t"
      "popq %%rbp\n\t"
      "addq $128, %%rsp"
      : "+D"(save), "+S"(to)
      :
      : WEFT_SWITCH_CLOBBERS);
}

// Whether it has ever been switched to.
bool has_begun(const Context& context);

// Prepares a context that begins in `entry`, on the stack below `top` (a multiple of 16).
void make_context(Context& context, std::byte* top, std::size_t size, ContextEntry entry);

#else

// Elsewhere Boost.Context's switch. It hands over where it came from instead of storing it.
inline void jump(Context& from, void* to) {
  const auto back = boost::context::detail::jump_fcontext(to, &from);
  static_cast<Context*>(back.data)->point = back.fctx;
}

void make_context(Context& context, std::byte* top, std::size_t size, ContextEntry entry);

#endif

#ifdef WEFT_ASAN
// Makes the stack that has been given back last unusable: nobody stands on it any more. stack.cc.
void bury_dead_stack();
#endif

// The new side of every switch, when it has been arrived at.
inline void arrived([[maybe_unused]] Context& here) {
#ifdef WEFT_ASAN
  __sanitizer_finish_switch_fiber(here.asan_fake_stack, nullptr, nullptr);
  bury_dead_stack();
#endif
}

// Nearly always neither side handles or throws anything, and nothing has to be written.
[[gnu::always_inline]] inline void swap_exceptions(Context& from, Context& to,
                                                   ExceptionState& present) {
  if (!present.empty() || !to.exceptions.empty()) [[unlikely]] {
    from.exceptions = present;
    present = std::exchange(to.exceptions, {});
  }
}

// Leaves `from` and goes on in `to`; returns when somebody switches back.
[[gnu::always_inline]] inline void switch_context(Context& from, Context& to,
                                                  ExceptionState& exceptions) {
  swap_exceptions(from, to, exceptions);
#ifdef WEFT_ASAN
  __sanitizer_start_switch_fiber(&from.asan_fake_stack, to.stack_bottom, to.stack_size);
#endif
#ifdef WEFT_TSAN
  switch_tsan_fiber(to.tsan_fiber);
#endif
  jump(from, to.point);
  arrived(from);
}

// The last switch of a context that has ended.
[[noreturn, gnu::always_inline]] inline void leave_context(Context& grave, Context& to,
                                                           ExceptionState& exceptions) {
  swap_exceptions(grave, to, exceptions);
#ifdef WEFT_ASAN
  // A null fake stack tells ASan to free it: nobody comes back here.
  __sanitizer_start_switch_fiber(nullptr, to.stack_bottom, to.stack_size);
#endif
#ifdef WEFT_TSAN
  switch_tsan_fiber(to.tsan_fiber);
#endif
  jump(grave, to.point);
  __builtin_unreachable();
}

// Notes where the running thread's own stack lies, for the sanitizers.
void describe_thread_stack(Context& own);

}  // namespace weft::fibers::detail
