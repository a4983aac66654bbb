// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// An echo server and its client, by protocols: "TCP Echo Server" and "TCP Echo Client" of Python's
// documentation, in one program; a Unix socket takes the place of the port.
//
//   class EchoServerProtocol(asyncio.Protocol):
//       def connection_made(self, transport):
//           print("server: connection made")
//           self.transport = transport
//
//       def data_received(self, data):
//           print("server: send back", data.decode())
//           self.transport.write(data)
//           self.transport.close()
//
//   class EchoClientProtocol(asyncio.Protocol):
//       def __init__(self, message, on_con_lost):
//           self.message = message
//           self.on_con_lost = on_con_lost
//
//       def connection_made(self, transport):
//           transport.write(self.message.encode())
//           print("client: sent", self.message)
//
//       def data_received(self, data):
//           print("client: received", data.decode())
//
//       def connection_lost(self, exc):
//           print("client: the server closed the connection")
//           self.on_con_lost.set_result(None)
//
//   async def main():
//       loop = asyncio.get_running_loop()
//       server = await loop.create_unix_server(EchoServerProtocol, path)
//       on_con_lost = loop.create_future()
//       transport, protocol = await loop.create_unix_connection(
//           lambda: EchoClientProtocol("Hello World!", on_con_lost), path)
//       await on_con_lost
//       transport.close()
//       server.close()
//       await server.wait_closed()
//
// Prints:
//   client: sent Hello World!
//   server: connection made
//   server: send back Hello World!
//   client: received Hello World!
//   client: the server closed the connection

#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "weft/loop/event_loop.h"
#include "weft/loop/protocol.h"
#include "weft/loop/runner.h"

namespace asyncio = weft::loop;

class EchoServerProtocol : public asyncio::Protocol {
  void connection_made(asyncio::Transport transport) override {
    std::cout << "server: connection made\n";
    transport_ = std::move(transport);
  }
  void data_received(std::string_view data) override {
    std::cout << "server: send back " << data << '\n';
    transport_.write(data);
    transport_.close();
  }
  asyncio::Transport transport_;
};

class EchoClientProtocol : public asyncio::Protocol {
 public:
  EchoClientProtocol(std::string message, asyncio::Future<void> on_con_lost)
      : message_(std::move(message)), on_con_lost_(std::move(on_con_lost)) {}

 private:
  void connection_made(asyncio::Transport transport) override {
    transport.write(message_);
    std::cout << "client: sent " << message_ << '\n';
  }
  void data_received(std::string_view data) override {
    std::cout << "client: received " << data << '\n';
  }
  void connection_lost(std::exception_ptr) override {
    std::cout << "client: the server closed the connection\n";
    on_con_lost_.set_result();
  }
  std::string message_;
  asyncio::Future<void> on_con_lost_;
};

asyncio::Coro<void> async_main() {
  asyncio::EventLoop& loop = asyncio::get_running_loop();
  const std::string path("\0weft-echo-by-protocol", 22);  // An abstract name: no file.
  asyncio::Server server =
      co_await loop.create_unix_server([] { return std::make_unique<EchoServerProtocol>(); }, path);

  asyncio::Future<void> on_con_lost = loop.create_future<void>();
  auto connected = co_await loop.create_unix_connection(
      [&] { return std::make_unique<EchoClientProtocol>("Hello World!", on_con_lost); }, path);
  co_await on_con_lost;
  connected.first.close();

  server.close();
  co_await server.wait_closed();
}

int main() {
  asyncio::run(async_main());
}
