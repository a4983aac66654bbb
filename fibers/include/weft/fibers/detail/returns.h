// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How a function returns in which the thread has gone from one task to another. Not for use outside
// weft.
//
// The processor predicts a return by the call that it has seen last, and that was the other task's:
// if the two wait at different places in the program, the guess is wrong and costs what a switch
// costs, or more. So such a function ends in a few instructions that compare: with an ordinary
// return if the task that has left last would return to the same place, for then the guess is
// right, and that of the frames above too; with a jump otherwise, which is predicted by the way
// that has led there. See tools/docs/adr/0008-returns-after-a-switch.md.

#pragma once

#include "weft/fibers/detail/sanitizers.h"

// Not for sanitizers, which keep accounts of their own, nor where the processor does (CET).
#if defined(__x86_64__) && defined(__ELF__) && defined(__OPTIMIZE__) && !defined(__CET__) && \
    !defined(WEFT_ASAN) && !defined(WEFT_TSAN)
#define WEFT_GUESSED_RETURNS 1
#endif

// Before the definition of a function into whose frame a wait is inlined. Not for its callers:
// after a jump the guesses for their frames are off by one.
#ifdef WEFT_GUESSED_RETURNS
#define WEFT_RETURNS_AFTER_SWITCH [[gnu::function_return("thunk-extern")]]
#else
#define WEFT_RETURNS_AFTER_SWITCH
#endif
