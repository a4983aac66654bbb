// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a run may leave behind, looked at from outside.

#pragma once

#include <cstddef>

namespace weft::fibers::testing {

std::size_t open_fd_count();

// Whether that many descriptors are open; a thread that the run has abandoned may still be about to
// let go of the run's.
bool open_fds_come_down_to(std::size_t descriptors);

// Whether this process has a child, ended or not, that nobody has waited for.
bool has_child_process();
// Whether none is left in a moment: one that nobody waits for is still to be reaped.
bool children_go();

}  // namespace weft::fibers::testing
