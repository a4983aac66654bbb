// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What no compiler may see. A file of its own, and not file-scope asm of a .cc file: link-time
// optimisation cuts programs into partitions, and asm that lies in another partition than its
// callers is not found by them.
//
// The object has no mark for Intel's shadow stacks and branch tracking, on purpose: programs with
// stacks of their own must not have them switched on, and the linker marks a program only if all of
// its objects are marked.

#if defined(__x86_64__) && defined(__ELF__)

// The frame below the first one of a context. Unwinders and debuggers stop here: there is no return
// address. It jumps to the entry, with the address of `ud2` in the place of a return address: the
// processor predicts returns by the calls it has seen, and a call that never returns, made by every
// task, would make it mistake the returns of whoever runs next. (The entry is the prepared stack's;
// `ud2` ends the process should it return.)
        .section .text.weft_context_begin, "ax", @progbits
        .p2align 4
        .globl  weft_context_begin
        .hidden weft_context_begin
        .type   weft_context_begin, @function
weft_context_begin:
        .cfi_startproc
        .cfi_undefined rip
        popq    %rax
        xorl    %ebp, %ebp
        jmpq    *%rax
        .globl  weft_context_end
        .hidden weft_context_end
weft_context_end:
        ud2
        .cfi_endproc
        .size   weft_context_begin, .-weft_context_begin

// void weft_call_on_parked(void* point, void (*function)(void*), void* argument)
//
// Calls `function(argument)` on the stack of a parked context, below all that is in use there, as
// if the place where it was parked had called it: the unwinder finds that place's frame above this
// one. What the switch has pushed (see jump in context.h) is, from `point` upwards: the address to
// go on at, rbx, rbp, and the red zone; the frame that was parked begins above. From the moment the
// stack is exchanged the directives describe that one and no longer the caller's.
        .section .text.weft_call_on_parked, "ax", @progbits
        .p2align 4
        .globl  weft_call_on_parked
        .hidden weft_call_on_parked
        .type   weft_call_on_parked, @function
weft_call_on_parked:
        .cfi_startproc
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_remember_state
        movq    %rdi, %rbx
        movq    %rsp, %r12
        movq    %rdi, %rsp
        andq    $-16, %rsp
        movq    %rdx, %rdi
        .cfi_def_cfa rbx, 152
        .cfi_offset rip, -152
        .cfi_offset rbx, -144
        .cfi_offset rbp, -136
        callq   *%rsi
        movq    %r12, %rsp
        .cfi_restore_state
        popq    %r12
        .cfi_adjust_cfa_offset -8
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        ret
        .cfi_endproc
        .size   weft_call_on_parked, .-weft_call_on_parked

// void weft_call_on_stack(void* top, void (*function)(void*), void* argument)
//
// Calls `function(argument)` on the stack below `top`. The unwinder finds the caller above it, on
// the stack where that is, so that an exception goes through.
        .section .text.weft_call_on_stack, "ax", @progbits
        .p2align 4
        .globl  weft_call_on_stack
        .hidden weft_call_on_stack
        .type   weft_call_on_stack, @function
weft_call_on_stack:
        .cfi_startproc
        pushq   %rbx
        .cfi_def_cfa_offset 16
        .cfi_offset rbx, -16
        movq    %rsp, %rbx
        .cfi_def_cfa_register rbx
        movq    %rdi, %rsp
        andq    $-16, %rsp
        movq    %rdx, %rdi
        callq   *%rsi
        movq    %rbx, %rsp
        .cfi_def_cfa_register rsp
        popq    %rbx
        .cfi_def_cfa_offset 8
        ret
        .cfi_endproc
        .size   weft_call_on_stack, .-weft_call_on_stack

// Where the function would return to in which a task has left last: see returns.h. The return thunk
// compares with it.
        .section .tbss.weft_fibers_left_from, "awT", @nobits
        .p2align 3
        .globl  weft_fibers_left_from
        .hidden weft_fibers_left_from
        .type   weft_fibers_left_from, @object
        .size   weft_fibers_left_from, 8
weft_fibers_left_from:
        .zero   8

// The end of every function that is marked WEFT_RETURNS_AFTER_SWITCH: the compiler jumps here where
// it would return, by this name, which it has chosen. No value is returned in rcx.
        .section .text.__x86_return_thunk, "ax", @progbits
        .p2align 4
        .globl  __x86_return_thunk
        .hidden __x86_return_thunk
        .type   __x86_return_thunk, @function
__x86_return_thunk:
        .cfi_startproc
        movq    weft_fibers_left_from@gottpoff(%rip), %rcx
        movq    %fs:(%rcx), %rcx
        cmpq    %rcx, (%rsp)
        jne     1f
        ret
1:
        popq    %rcx
        .cfi_def_cfa_offset 0
        jmp     *%rcx
        .cfi_endproc
        .size   __x86_return_thunk, .-__x86_return_thunk

#endif

        .section .note.GNU-stack, "", @progbits
