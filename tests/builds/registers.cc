// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Values in every kind of register that this is compiled for, kept over a switch to a context that
// overwrites them all. Built and run by tests/builds/registers.

#include <array>
#include <cstddef>
#include <cstdio>

#include "fibers/core/context.h"

// As in the library: see sanitizers.h.
extern "C" {
extern constexpr char WEFT_BUILT_FOR_ADDRESS = 0;
extern constexpr char WEFT_BUILT_FOR_THREAD = 0;
}

namespace weft::fibers::detail {
namespace {

#ifdef __AVX512F__
using Vector [[gnu::vector_size(64)]] = long long;
#elif defined(__AVX__)
using Vector [[gnu::vector_size(32)]] = long long;
#else
using Vector [[gnu::vector_size(16)]] = long long;
#endif

Context here;
Context there;

[[gnu::noinline]] void overwrite_all_registers() {
  asm volatile(
#ifdef __AVX512F__
      ".irp n, "
      "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
      "vpternlogd $255, %%zmm\\n, %%zmm\\n, %%zmm\\n\n"
      ".endr\n"
      ".irp n, 0,1,2,3,4,5,6,7\n"
      "kxnorw %%k\\n, %%k\\n, %%k\\n\n"
      ".endr\n"
#else
      ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
#ifdef __AVX__
      "vxorps %%ymm\\n, %%ymm\\n, %%ymm\\n\n"
#else
      "pcmpeqd %%xmm\\n, %%xmm\\n\n"
#endif
      ".endr\n"
#endif
      // As deep as the x87 stack is: a value that somebody has left there makes it overflow.
      ".rept 8\n fld1\n .endr\n"
      ".rept 8\n fstp %%st(0)\n .endr\n"
      "pcmpeqd %%mm0, %%mm0\n movq %%mm0, %%mm1\n movq %%mm0, %%mm2\n movq %%mm0, %%mm3\n"
      "movq %%mm0, %%mm4\n movq %%mm0, %%mm5\n movq %%mm0, %%mm6\n movq %%mm0, %%mm7\n emms"
      :
      :
      : WEFT_SWITCH_CLOBBERS);
}

void run_there() {
  for (;;) {
    overwrite_all_registers();
    jump(there, here.point);
  }
}

#ifdef __AVX512F__
#define WEFT_ANY_VECTOR "+v"
#else
#define WEFT_ANY_VECTOR "+x"
#endif
#define WEFT_DO_5(DO, N) DO(N##0) DO(N##1) DO(N##2) DO(N##3) DO(N##4)
#define WEFT_DO_30(DO) \
  WEFT_DO_5(DO, 1)     \
  WEFT_DO_5(DO, 2) WEFT_DO_5(DO, 3) WEFT_DO_5(DO, 4) WEFT_DO_5(DO, 5) WEFT_DO_5(DO, 6)

// Here and below, the asm statements hide what the values are, and want them in registers.
[[gnu::noinline]] bool keeps_vectors() {
#define WEFT_MAKE(N) Vector v##N = Vector{} + N;
#define WEFT_HIDE(N) asm volatile("" : WEFT_ANY_VECTOR(v##N));
#define WEFT_COUNT(N) kept += v##N[0] == N && v##N[1] == N && v##N[sizeof(Vector) / 8 - 1] == N;
  WEFT_DO_30(WEFT_MAKE)
  WEFT_DO_30(WEFT_HIDE)
  jump(here, there.point);
  WEFT_DO_30(WEFT_HIDE)
  int kept = 0;
  WEFT_DO_30(WEFT_COUNT)
  return kept == 30;
}

[[gnu::noinline]] bool keeps_x87() {
  long double a = 1.25L;
  long double b = 2.5L;
  asm volatile("" : "+t"(a), "+u"(b));
  jump(here, there.point);
  asm volatile("" : "+t"(a), "+u"(b));
  return a == 1.25L && b == 2.5L;
}

[[gnu::noinline]] bool keeps_general() {
  long a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8;
  asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f), "+r"(g), "+r"(h));
  jump(here, there.point);
  asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f), "+r"(g), "+r"(h));
  return a == 1 && b == 2 && c == 3 && d == 4 && e == 5 && f == 6 && g == 7 && h == 8;
}

#ifdef __MMX__
[[gnu::noinline]] bool keeps_mmx() {
  using Eight [[gnu::vector_size(8)]] = int;
  Eight a = {1, 2};
  asm volatile("" : "+y"(a));
  jump(here, there.point);
  asm volatile("" : "+y"(a));
  const Eight kept = a;
  asm volatile("emms");
  return kept[0] == 1 && kept[1] == 2;
}
#endif

#ifdef __AVX512F__
[[gnu::noinline]] bool keeps_masks() {
  unsigned short a = 1, b = 2, c = 3, d = 4, e = 5;
  asm volatile("" : "+k"(a), "+k"(b), "+k"(c), "+k"(d), "+k"(e));
  jump(here, there.point);
  asm volatile("" : "+k"(a), "+k"(b), "+k"(c), "+k"(d), "+k"(e));
  return a == 1 && b == 2 && c == 3 && d == 4 && e == 5;
}
#endif

bool failed = false;

void check(bool kept, const char* what) {
  if (kept) return;
  std::printf("registers: the switch has lost a value in %s\n", what);
  failed = true;
}

alignas(16) std::array<std::byte, 64 * 1024> stack;

}  // namespace
}  // namespace weft::fibers::detail

using namespace weft::fibers::detail;

int main() {
  make_context(there, stack.data() + stack.size(), stack.size(), &run_there);
  check(keeps_general(), "a general register");
  check(keeps_vectors(), "a vector register");
  check(keeps_x87(), "the x87 stack");
#ifdef __MMX__
  check(keeps_mmx(), "an MMX register");
#endif
#ifdef __AVX512F__
  check(keeps_masks(), "a mask register");
#endif
  return failed ? 1 : 0;
}
