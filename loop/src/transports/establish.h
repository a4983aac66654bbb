// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A connected socket, with a layer if there is one, becomes a transport.

#pragma once

#include "loop/src/transports/socket_transport.h"
#include "weft/loop/detail/connecting.h"

namespace weft::loop::detail {

// A socket that somebody has given: of streams, and one of Unix if that is asked for. It does not
// block afterwards. Throws UsageError, std::system_error.
void take_stream_socket(int fd, bool unix_only);
// Throws UsageError for options of a layer without one.
void require_layer_options(const LayerOptions& layer);
// `given.waiter` ends when the user's protocol has been told, or will not be. Returns the user's
// transport.
Transport establish(LoopCore& loop, SocketGiven given, const LayerOptions& layer, bool server_side);

}  // namespace weft::loop::detail
