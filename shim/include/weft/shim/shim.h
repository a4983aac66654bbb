// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// All of weft::shim.

#pragma once

#include "weft/shim/aio_as_trio.h"        // IWYU pragma: export
#include "weft/shim/loop_resource.h"      // IWYU pragma: export
#include "weft/shim/main.h"               // IWYU pragma: export
#include "weft/shim/open_loop.h"          // IWYU pragma: export
#include "weft/shim/portal.h"             // IWYU pragma: export
#include "weft/shim/run_aio_future.h"     // IWYU pragma: export
#include "weft/shim/run_aio_generator.h"  // IWYU pragma: export
#include "weft/shim/second_names.h"       // IWYU pragma: export
#include "weft/shim/trio_as_aio.h"        // IWYU pragma: export
#include "weft/shim/trio_executor.h"      // IWYU pragma: export
#include "weft/shim/trio_generator.h"     // IWYU pragma: export
