// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a task may refer to. A closure that points into a part of the running stack which may be
// gone before its task ends is refused. Why it is done this way: tools/docs/adr/0014-*.

#pragma once

#include "weft/fibers/nursery.h"

namespace weft::fibers::detail {

// Everything on the running stack below this may go before a task of `nursery` ends. Null: unknown.
const void* captures_bound(const Nursery& nursery);

// Compares each word of the closure with that part of the stack. On a hit it destroys the closure,
// abandons the task and throws UsageError.
void check_captures(TaskBlock& task, const Nursery& nursery, const ClosureType& type);

}  // namespace weft::fibers::detail
