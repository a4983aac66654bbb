// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Whom a loop gives its work for other threads. Not for use outside weft.

#pragma once

#include "weft/fibers/detail/requirements.h"

namespace weft::loop {
class Executor;
}

namespace weft::loop::detail {

class LoopCore;

// What run_in_executor() does first. Throws UsageError as that does.
Executor& choose_executor(LoopCore& core, Executor* given);

}  // namespace weft::loop::detail
