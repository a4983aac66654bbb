// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A thread that lives as long as the process. The system counts the end of the thread that started
// a child as the death of its parent, and workers of the thread cache end when they are idle.

#pragma once

#include <functional>

namespace weft::fibers::detail {

// Calls `fn`, which must not throw, in that thread, with all signals blocked, and waits for it.
// Throws std::system_error if the thread cannot be started.
void call_in_lasting_thread(const std::function<void()>& fn);

}  // namespace weft::fibers::detail
