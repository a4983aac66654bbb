// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Connections as a pair of streams.
//
//   auto [reader, writer] = co_await open_connection("127.0.0.1", 8888);
//   writer.write("hello\n");
//   std::string line = co_await reader.readline();
//
//   Coro<void> handle(StreamReader reader, StreamWriter writer) { ... }      // a task for each
//   Server server = co_await start_server(handle, "127.0.0.1", 8888);
//   co_await server.serve_forever();
//
// The options are those of create_connection() and create_server(). The functions without a loop
// are for its callbacks and tasks: elsewhere they throw UsageError. (asyncio: streams.)

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "weft/loop/coro.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/server.h"
#include "weft/loop/stream_protocol.h"
#include "weft/loop/stream_reader.h"
#include "weft/loop/stream_writer.h"

namespace weft::loop {

// Connects to a name or numeric address; `limit` is the reader's.
//
// Blocks: whoever awaits it.
// Cancel: at once; no connection is left open.
// Threads: the loop's own only.
Coro<std::pair<StreamReader, StreamWriter>> open_connection(
    EventLoop& loop, std::string_view host, std::uint16_t port,
    const ConnectionOptions& options = {}, std::size_t limit = StreamReader::kDefaultLimit);
Coro<std::pair<StreamReader, StreamWriter>> open_connection(
    std::string_view host, std::uint16_t port, const ConnectionOptions& options = {},
    std::size_t limit = StreamReader::kDefaultLimit);
// Over a socket that is connected already, which the call takes over. (asyncio: sock=.)
//
// Blocks: whoever awaits it.
// Cancel: at once; closes the socket.
// Threads: the loop's own only.
Coro<std::pair<StreamReader, StreamWriter>> open_connection(
    EventLoop& loop, int sock, const ConnectionOptions& options = {},
    std::size_t limit = StreamReader::kDefaultLimit);
Coro<std::pair<StreamReader, StreamWriter>> open_connection(
    int sock, const ConnectionOptions& options = {},
    std::size_t limit = StreamReader::kDefaultLimit);
// To a Unix socket.
//
// Blocks: whoever awaits it.
// Cancel: at once; no connection is left open.
// Threads: the loop's own only.
Coro<std::pair<StreamReader, StreamWriter>> open_unix_connection(
    EventLoop& loop, std::string_view path, const ConnectionOptions& options = {},
    std::size_t limit = StreamReader::kDefaultLimit);
Coro<std::pair<StreamReader, StreamWriter>> open_unix_connection(
    std::string_view path, const ConnectionOptions& options = {},
    std::size_t limit = StreamReader::kDefaultLimit);
// Over a Unix socket that is connected already, which the call takes over.
//
// Blocks: whoever awaits it.
// Cancel: at once; closes the socket.
// Threads: the loop's own only.
Coro<std::pair<StreamReader, StreamWriter>> open_unix_connection(
    EventLoop& loop, int sock, const ConnectionOptions& options = {},
    std::size_t limit = StreamReader::kDefaultLimit);
Coro<std::pair<StreamReader, StreamWriter>> open_unix_connection(
    int sock, const ConnectionOptions& options = {},
    std::size_t limit = StreamReader::kDefaultLimit);

// Calls `client_connected(reader, writer)` for each connection, as a task: of a coroutine, or of a
// function with a stack.
//
// Blocks: whoever awaits it.
// Cancel: nothing is left open.
// Threads: the loop's own only.
Coro<Server> start_server(EventLoop& loop, ClientConnected client_connected, std::string_view host,
                          std::uint16_t port, const ServerOptions& options = {},
                          std::size_t limit = StreamReader::kDefaultLimit);
Coro<Server> start_server(ClientConnected client_connected, std::string_view host,
                          std::uint16_t port, const ServerOptions& options = {},
                          std::size_t limit = StreamReader::kDefaultLimit);
// On a Unix socket.
//
// Blocks: whoever awaits it, for one iteration.
// Cancel: nothing is left open.
// Threads: the loop's own only.
Coro<Server> start_unix_server(EventLoop& loop, ClientConnected client_connected,
                               std::string_view path, const ServerOptions& options = {},
                               std::size_t limit = StreamReader::kDefaultLimit);
Coro<Server> start_unix_server(ClientConnected client_connected, std::string_view path,
                               const ServerOptions& options = {},
                               std::size_t limit = StreamReader::kDefaultLimit);
// On a socket that is bound already, which the call takes over. (asyncio: sock=.)
//
// Blocks: whoever awaits it, for one iteration.
// Cancel: closes the socket.
// Threads: the loop's own only.
Coro<Server> start_server(EventLoop& loop, ClientConnected client_connected, int sock,
                          const ServerOptions& options = {},
                          std::size_t limit = StreamReader::kDefaultLimit);
Coro<Server> start_server(ClientConnected client_connected, int sock,
                          const ServerOptions& options = {},
                          std::size_t limit = StreamReader::kDefaultLimit);
// On a Unix socket that is bound already, which the call takes over.
//
// Blocks: whoever awaits it, for one iteration.
// Cancel: closes the socket.
// Threads: the loop's own only.
Coro<Server> start_unix_server(EventLoop& loop, ClientConnected client_connected, int sock,
                               const ServerOptions& options = {},
                               std::size_t limit = StreamReader::kDefaultLimit);
Coro<Server> start_unix_server(ClientConnected client_connected, int sock,
                               const ServerOptions& options = {},
                               std::size_t limit = StreamReader::kDefaultLimit);

}  // namespace weft::loop
