// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Ending the waits on a channel when a handle of it is closed. Not for use outside weft.

#pragma once

#include <cstdint>

#include "weft/fibers/detail/channel_core.h"

namespace weft::fibers::detail {

// Takes waiters out and lets them go, with that result: those that wait by a handle, or all.
void end_waits_of(WaitQueue& queue, std::uint64_t handle);
void end_all_waits(WaitQueue& queue, ChannelResult result);

}  // namespace weft::fibers::detail
