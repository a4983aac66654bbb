// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What happens when a task runs out of stack: the process says which task it was, and dies of the
// SIGSEGV that it is. Under ASan that is ASan's report, with a line that names the task.

#pragma once

namespace weft::fibers::detail {

// Gives this thread an alternate signal stack, unless it has one, and the process its handler,
// unless it is there. A fault that is no overflow goes on to the handler before.
void install_overflow_handler();

}  // namespace weft::fibers::detail
