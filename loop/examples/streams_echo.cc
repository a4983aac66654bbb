// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// An echo server and its client, by streams. In Python:
//
//   async def handle_echo(reader, writer):
//       data = await reader.read(100)
//       print("Received", data)
//       writer.write(data)
//       await writer.drain()
//       writer.close()
//       await writer.wait_closed()
//
//   async def tcp_echo_client(message, port):
//       reader, writer = await asyncio.open_connection("127.0.0.1", port)
//       print("Send:", message)
//       writer.write(message)
//       data = await reader.read(100)
//       print("Got back:", data)
//       writer.close()
//       await writer.wait_closed()
//
//   async def main():
//       server = await asyncio.start_server(handle_echo, "127.0.0.1", 0)
//       await tcp_echo_client(b"Hello World!", server.sockets[0].getsockname()[1])
//       server.close()
//       await server.wait_closed()
//
//   asyncio.run(main())
//
// Prints:
//   Send: Hello World!
//   Received Hello World!
//   Got back: Hello World!

#include <sys/socket.h>

#include <cstdint>
#include <iostream>
#include <string>

#include "weft/fibers/socket_address.h"
#include "weft/loop/runner.h"
#include "weft/loop/streams.h"

using weft::fibers::SocketAddress;
using namespace weft::loop;

// server.sockets()[0].getsockname()[1]
std::uint16_t port_of(const Server& server) {
  SocketAddress address;
  auto size = static_cast<socklen_t>(SocketAddress::capacity());
  if (getsockname(server.sockets()[0], address.data(), &size) == 0) address.set_size(size);
  return address.port();
}

Coro<void> handle_echo(StreamReader reader, StreamWriter writer) {
  std::string data = co_await reader.read(100);
  std::cout << "Received " << data << '\n';
  writer.write(data);
  co_await writer.drain();
  writer.close();
  co_await writer.wait_closed();
}

Coro<void> tcp_echo_client(std::string message, std::uint16_t port) {
  auto [reader, writer] = co_await open_connection("127.0.0.1", port);
  std::cout << "Send: " << message << '\n';
  writer.write(message);
  std::string data = co_await reader.read(100);
  std::cout << "Got back: " << data << '\n';
  writer.close();
  co_await writer.wait_closed();
}

Coro<void> run_both() {
  Server server = co_await start_server(handle_echo, "127.0.0.1", 0);
  const std::uint16_t port = port_of(server);
  Coro<void> client = tcp_echo_client("Hello World!", port);
  co_await std::move(client);
  server.close();
  co_await server.wait_closed();
}

int main() {
  run(run_both());
}
