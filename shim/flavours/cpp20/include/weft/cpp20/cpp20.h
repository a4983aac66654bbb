// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Everything of weft::cpp20.

#pragma once

#include "weft/cpp20/awaitable_as_trio.h"  // IWYU pragma: export
#include "weft/cpp20/std_future.h"         // IWYU pragma: export
#include "weft/cpp20/stop_token.h"         // IWYU pragma: export
#include "weft/cpp20/trio_as_awaitable.h"  // IWYU pragma: export
