// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Connections over Unix sockets, outgoing and incoming. Trio has open_unix_socket() only; the names
// of the listening side are the ones that it plans, in the pattern of its TCP functions.
//
//   open_nursery([&](Nursery& nursery) {
//     nursery.start([&](TaskStatus<void>& status) {
//       serve_unix(handle_client, "/run/x/control", {.mode = 0600}, status);
//     });
//     SocketStream stream = open_unix_socket("/run/x/control");
//     ...
//   });
//
// A path that begins with a zero byte is an abstract name: no file, gone with its socket.

#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "weft/fibers/nursery.h"
#include "weft/fibers/socket.h"
#include "weft/fibers/tcp.h"

namespace weft::fibers {

// Connects. Throws std::system_error that names the path: none there, nobody listening, too long
// (107 bytes are the most).
//
// Blocks: yes, always a checkpoint; also while the listener's queue is full.
// Cancel: at once; no connection is left open.
// Threads: the run's own only.
SocketStream open_unix_socket(const std::string& path);

struct UnixListenOptions {
  // The permissions of the file; nothing: what the process's umask makes of 0777. Who may write may
  // connect.
  std::optional<unsigned> mode = std::nullopt;
  int backlog = kDefaultBacklog;
};

// Listens at `path`. The file of a socket that nobody listens on any more is replaced; that of a
// living one, and any file that is no socket, is std::system_error (EADDRINUSE) that names the
// path. The file stays when the listener is closed: serve_unix() is tidier. One listener, in a
// vector, as serve_listeners() takes it.
//
// Blocks: yes, always a checkpoint.
// Cancel: before any effect.
// Threads: the run's own only.
std::vector<SocketListener> open_unix_listeners(const std::string& path,
                                                const UnixListenOptions& options = {});

struct ServeUnixOptions {
  std::optional<unsigned> mode = std::nullopt;
  int backlog = kDefaultBacklog;
  // Where the connections' tasks run, so that they outlive the listening; null: in one of its own.
  Nursery* handler_nursery = nullptr;
};

// As serve_tcp(), at `path`. Removes the file at the end, unless it is somebody else's by then.
//
// Blocks: yes, until cancelled.
// Cancel: cancels the handlers too, unless they run in a nursery of the caller's.
// Threads: the run's own only.
void serve_unix(std::function<void(SocketStream&)> handler, const std::string& path,
                const ServeUnixOptions& options, TaskStatus<void>& status);
void serve_unix(std::function<void(SocketStream&)> handler, const std::string& path,
                const ServeUnixOptions& options = {});

}  // namespace weft::fibers
