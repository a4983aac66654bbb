// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#pragma once

#include <cstdint>
#include <memory>

#include "weft/fibers/schedule_source.h"

namespace weft::fibers::detail {

// What RunOptions::schedule_seed stands for: every choice at random, the same way every time.
std::unique_ptr<ScheduleSource> seeded_source(std::uint64_t seed);

}  // namespace weft::fibers::detail
