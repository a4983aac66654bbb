// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Where a run meets libuv: its loop.

#pragma once

#include <uv.h>

namespace weft::uv::detail {

struct Place {
  uv_loop_t* loop = nullptr;
  uv_async_t* waker = nullptr;  // Of a loop that weft's turns.
};

// Of this thread's run; null if it has no loop of libuv's.
Place*& this_place() noexcept;

}  // namespace weft::uv::detail
