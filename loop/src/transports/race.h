// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Attempts that start one after the other, the first to succeed wins. (asyncio: staggered_race.)

#pragma once

#include <exception>
#include <functional>
#include <vector>

#include "loop/src/transports/unique_fd.h"
#include "weft/fibers/clock.h"
#include "weft/loop/coro.h"

namespace weft::loop::detail {

using RaceEntry = std::function<Coro<UniqueFd>()>;

// Starts the next attempt when the one before has failed, or after `delay`. Returns what the winner
// has; the others are cancelled, and what they have is closed. Without a winner it is empty, and
// `errors` has what each has thrown, in the order of the entries.
Coro<UniqueFd> race(LoopCore& loop, std::vector<RaceEntry> entries, fibers::Duration delay,
                    std::vector<std::exception_ptr>& errors);

}  // namespace weft::loop::detail
