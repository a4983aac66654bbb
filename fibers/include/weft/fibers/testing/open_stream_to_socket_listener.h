// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A client for a listener that a test has just opened.
//
//   auto listeners = open_tcp_listeners(0, {.host = "127.0.0.1"});
//   SocketStream client = open_stream_to_socket_listener(listeners.front());
//   SocketStream server = listeners.front().accept();

#pragma once

#include "weft/fibers/socket.h"

namespace weft::fibers::testing {

// Connects to the address at which `listener` listens, TCP or Unix; to this machine if it listens
// on all addresses. Throws std::system_error; ClosedResourceError if the listener is closed. (Trio:
// testing.open_stream_to_socket_listener.)
//
// Blocks: yes, always a checkpoint.
// Cancel: no connection is left open.
// Threads: the run's own only.
SocketStream open_stream_to_socket_listener(const SocketListener& listener);

}  // namespace weft::fibers::testing
