// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/streams.h"

#include <memory>
#include <utility>

#include "weft/loop/detail/stream_access.h"

namespace weft::loop {

using Streams = std::pair<StreamReader, StreamWriter>;

namespace {

using Connecting = Coro<std::pair<Transport, std::shared_ptr<StreamReaderProtocol>>>;

Coro<Streams> make_streams(Connecting connecting, StreamReader reader) {
  auto made = co_await std::move(connecting);
  StreamWriter writer = StreamAccess::wrap(detail::make_counted<detail::StreamWriterCore>(
      std::move(made.first), std::move(made.second), StreamAccess::core(reader)));
  co_return Streams(std::move(reader), std::move(writer));
}

auto protocol_of(EventLoop& loop, const StreamReader& reader) {
  return [&loop, reader] { return std::make_shared<StreamReaderProtocol>(loop, reader); };
}

// One for each connection.
auto protocols_of(EventLoop& loop, ClientConnected client_connected, std::size_t limit) {
  return [&loop, client_connected = std::move(client_connected), limit] {
    return std::make_shared<StreamReaderProtocol>(loop, StreamReader(loop, limit),
                                                  client_connected);
  };
}

}  // namespace

Coro<Streams> open_connection(EventLoop& loop, std::string_view host, std::uint16_t port,
                              const ConnectionOptions& options, std::size_t limit) {
  const StreamReader reader(loop, limit);
  return make_streams(loop.create_connection(protocol_of(loop, reader), host, port, options),
                      reader);
}
Coro<Streams> open_connection(std::string_view host, std::uint16_t port,
                              const ConnectionOptions& options, std::size_t limit) {
  return open_connection(get_running_loop(), host, port, options, limit);
}

Coro<Streams> open_unix_connection(EventLoop& loop, std::string_view path,
                                   const ConnectionOptions& options, std::size_t limit) {
  const StreamReader reader(loop, limit);
  return make_streams(loop.create_unix_connection(protocol_of(loop, reader), path, options),
                      reader);
}
Coro<Streams> open_unix_connection(std::string_view path, const ConnectionOptions& options,
                                   std::size_t limit) {
  return open_unix_connection(get_running_loop(), path, options, limit);
}

Coro<Server> start_server(EventLoop& loop, ClientConnected client_connected, std::string_view host,
                          std::uint16_t port, const ServerOptions& options, std::size_t limit) {
  return loop.create_server(protocols_of(loop, std::move(client_connected), limit), host, port,
                            options);
}
Coro<Server> start_server(ClientConnected client_connected, std::string_view host,
                          std::uint16_t port, const ServerOptions& options, std::size_t limit) {
  return start_server(get_running_loop(), std::move(client_connected), host, port, options, limit);
}

Coro<Server> start_unix_server(EventLoop& loop, ClientConnected client_connected,
                               std::string_view path, const ServerOptions& options,
                               std::size_t limit) {
  return loop.create_unix_server(protocols_of(loop, std::move(client_connected), limit), path,
                                 options);
}
Coro<Server> start_unix_server(ClientConnected client_connected, std::string_view path,
                               const ServerOptions& options, std::size_t limit) {
  return start_unix_server(get_running_loop(), std::move(client_connected), path, options, limit);
}

Coro<Streams> open_connection(EventLoop& loop, int sock, const ConnectionOptions& options,
                              std::size_t limit) {
  detail::GivenFd given(sock);
  const StreamReader reader(loop, limit);
  return make_streams(loop.create_connection(protocol_of(loop, reader), given.release(), options),
                      reader);
}
Coro<Streams> open_connection(int sock, const ConnectionOptions& options, std::size_t limit) {
  detail::GivenFd given(sock);
  EventLoop& loop = get_running_loop();
  return open_connection(loop, given.release(), options, limit);
}

Coro<Streams> open_unix_connection(EventLoop& loop, int sock, const ConnectionOptions& options,
                                   std::size_t limit) {
  detail::GivenFd given(sock);
  const StreamReader reader(loop, limit);
  return make_streams(
      loop.create_unix_connection(protocol_of(loop, reader), given.release(), options), reader);
}
Coro<Streams> open_unix_connection(int sock, const ConnectionOptions& options, std::size_t limit) {
  detail::GivenFd given(sock);
  EventLoop& loop = get_running_loop();
  return open_unix_connection(loop, given.release(), options, limit);
}

Coro<Server> start_server(EventLoop& loop, ClientConnected client_connected, int sock,
                          const ServerOptions& options, std::size_t limit) {
  detail::GivenFd given(sock);
  auto factory = protocols_of(loop, std::move(client_connected), limit);
  return loop.create_server(std::move(factory), given.release(), options);
}
Coro<Server> start_server(ClientConnected client_connected, int sock, const ServerOptions& options,
                          std::size_t limit) {
  detail::GivenFd given(sock);
  EventLoop& loop = get_running_loop();
  return start_server(loop, std::move(client_connected), given.release(), options, limit);
}

Coro<Server> start_unix_server(EventLoop& loop, ClientConnected client_connected, int sock,
                               const ServerOptions& options, std::size_t limit) {
  detail::GivenFd given(sock);
  auto factory = protocols_of(loop, std::move(client_connected), limit);
  return loop.create_unix_server(std::move(factory), given.release(), options);
}
Coro<Server> start_unix_server(ClientConnected client_connected, int sock,
                               const ServerOptions& options, std::size_t limit) {
  detail::GivenFd given(sock);
  EventLoop& loop = get_running_loop();
  return start_unix_server(loop, std::move(client_connected), given.release(), options, limit);
}

}  // namespace weft::loop
