// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A TCP server that sends back what it gets, and three clients, in one process and on one thread.
// With a port (0: any) it serves there until Ctrl-C, without clients of its own.
//
// Prints:
//   client 0: hello, hello
//   client 1: hello, hello
//   client 2: hello, hello

#include <array>
#include <cstdint>
#include <iostream>
#include <string>

#include "weft/fibers/errors.h"
#include "weft/fibers/main.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/tcp.h"

namespace trio = weft::fibers;

void echo(trio::SocketStream& stream) {
  try {
    for (std::string data; !(data = stream.receive_some()).empty();) stream.send_all(data);
  } catch (const trio::BrokenResourceError&) {
    // This client has reset its connection, which is no reason to end the others'.
  }
}  // serve_tcp closes the stream.

std::string talk(std::uint16_t port) {
  trio::SocketStream stream = trio::open_tcp_stream("127.0.0.1", port);
  stream.send_all("hello, ");
  stream.send_all("hello");
  stream.send_eof();
  std::string answer;
  for (std::string data = stream.receive_some(); !data.empty(); data = stream.receive_some()) {
    answer += data;
  }
  return answer;
}

int main(int argc, char** argv) {
  return trio::main([&] {
    trio::open_nursery([&](trio::Nursery& server) {
      const auto wanted = static_cast<std::uint16_t>(argc > 1 ? std::stoi(argv[1]) : 0);
      // start() returns when the server accepts connections, with the port it has got.
      const auto port =
          server.start<std::uint16_t>([wanted](trio::TaskStatus<std::uint16_t>& status) {
            trio::serve_tcp(echo, wanted, {.host = "127.0.0.1"}, status);
          });
      if (argc > 1) {
        std::cout << "serving on port " << port << std::endl;
        return;  // The nursery goes on serving.
      }
      std::array<std::string, 3> answers;
      trio::open_nursery([&](trio::Nursery& clients) {
        for (std::string& answer : answers) clients.start_soon([&] { answer = talk(port); });
      });
      for (std::size_t i = 0; i < 3; ++i)
        std::cout << "client " << i << ": " << answers.at(i) << '\n';
      server.cancel_scope().cancel();
    });
  });
}
