// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/returns.h"

#ifdef WEFT_GUESSED_RETURNS

extern "C" {
constinit thread_local void* weft_fibers_left_from = nullptr;
}

// The end of every marked function: the compiler jumps here where it would return, by this name,
// which it has chosen. No value is returned in rcx.
asm(R"(
	.pushsection .text
	.p2align 4
	.globl __x86_return_thunk
	.hidden __x86_return_thunk
	.type __x86_return_thunk, @function
__x86_return_thunk:
	.cfi_startproc
	movq weft_fibers_left_from@gottpoff(%rip), %rcx
	movq %fs:(%rcx), %rcx
	cmpq %rcx, (%rsp)
	jne 1f
	ret
1:
	popq %rcx
	.cfi_def_cfa_offset 0
	jmp *%rcx
	.cfi_endproc
	.size __x86_return_thunk, .-__x86_return_thunk
	.popsection
)");

#endif
