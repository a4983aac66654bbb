// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The sockets of a server, bound.

#pragma once

#include <vector>

#include "loop/src/servers/server_impl.h"
#include "weft/loop/coro.h"
#include "weft/loop/detail/serving.h"

namespace weft::loop::detail {

// At least one. The request outlives it. Throws std::system_error.
Coro<std::vector<Bound>> bind_all(LoopCore& loop, const ServeRequest& request);
Bound bind_to_path(const ServeRequest& request);
// A socket that is bound already.
Bound take_bound(UniqueFd fd, bool unix_only);

}  // namespace weft::loop::detail
