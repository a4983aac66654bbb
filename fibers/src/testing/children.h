// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Child processes that a body under test leaves behind.

#pragma once

namespace weft::fibers::testing {

// Whether this process has a child, ended or not, that nobody has waited for.
bool has_child_process();
// Whether none is left in a moment: one that nobody waits for is still to be reaped.
bool children_go();

}  // namespace weft::fibers::testing
