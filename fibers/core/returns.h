// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What functions that are marked WEFT_RETURNS_AFTER_SWITCH go by.

#pragma once

#include "weft/fibers/detail/returns.h"

#ifdef WEFT_GUESSED_RETURNS

// Where the function would return to in which a task has left last. In context_x86_64.S, which
// reads it in the return thunk.
extern "C" {
[[gnu::visibility("hidden"),
  gnu::tls_model("initial-exec")]] extern constinit thread_local void* weft_fibers_left_from;
}

// Before suspending, in (or inlined into) a marked function.
#define WEFT_LEAVES() (weft_fibers_left_from = __builtin_return_address(0))

#else

#define WEFT_LEAVES() static_cast<void>(0)

#endif
