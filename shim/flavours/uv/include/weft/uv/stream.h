// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Streams of libuv's (uv_tcp_t, uv_pipe_t, uv_tty_t), used from tasks.

#pragma once

#include <uv.h>

#include <cstddef>
#include <span>
#include <string_view>

#include "weft/uv/handle.h"

namespace weft::uv {

// uv_tcp_connect. Throws Error.
//
// Blocks: yes, always a checkpoint.
// Cancel: closes the handle, which is libuv's only way to end it.
// Threads: the run's own only.
void connect(Handle<uv_tcp_t>& tcp, const sockaddr* address);

// uv_pipe_connect, to a Unix socket. Throws Error.
//
// Blocks: yes, always a checkpoint.
// Cancel: closes the handle.
// Threads: the run's own only.
void connect(Handle<uv_pipe_t>& pipe, const char* name);

// All of `bytes`: uv_write. Throws Error. If the peer is gone, libuv's write raises SIGPIPE, too: a
// program ignores that signal, as weft::main does.
//
// Blocks: yes, always a checkpoint.
// Cancel: closes the handle: some of it may have been written.
// Threads: the run's own only.
void write(StreamHandle& stream, std::string_view bytes);

// No more to write: uv_shutdown, after all writes. Throws Error.
//
// Blocks: yes, always a checkpoint.
// Cancel: closes the handle.
// Threads: the run's own only.
void shutdown(StreamHandle& stream);

// Waits until there are bytes and puts some into `buffer`; returns how many, 0 at the end. One task
// at a time: BusyResourceError. Throws Error; ClosedResourceError if the handle is closed
// meanwhile; UsageError for no room.
//
// Blocks: yes, always a checkpoint.
// Cancel: nothing is read.
// Threads: the run's own only.
std::size_t read_some(StreamHandle& stream, std::span<char> buffer);

// uv_listen. Throws Error.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
void listen(StreamHandle& server, int backlog = 128);

// Waits for a connection to `server`, and accepts it into `client`, which has been initialised. One
// task a client at a time: BusyResourceError. Throws Error; ClosedResourceError if either is closed
// meanwhile.
//
// Blocks: yes, always a checkpoint.
// Cancel: nothing is accepted.
// Threads: the run's own only.
void accept(StreamHandle& server, StreamHandle& client);

}  // namespace weft::uv
