// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// All of weft::asio.

#pragma once

#include "weft/asio/awaitable.h"
#include "weft/asio/executor.h"
#include "weft/asio/open_context.h"
#include "weft/asio/run.h"
#include "weft/asio/share_thread.h"
#include "weft/asio/use_fiber.h"
