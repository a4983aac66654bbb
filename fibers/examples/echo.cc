// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A TCP server that sends back what it gets, and three clients, in one process and on one thread.
//
// Prints:
//   client 0: hello, hello
//   client 1: hello, hello
//   client 2: hello, hello

#include <array>
#include <cstdint>
#include <iostream>
#include <string>

#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/tcp.h"

namespace trio = weft::fibers;

void echo(trio::SocketStream& stream) {
  for (;;) {
    const std::string data = stream.receive_some();
    if (data.empty()) return;  // The client has finished; the stream is closed by serve_tcp.
    stream.send_all(data);
  }
}

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

int main() {
  trio::run([] {
    trio::open_nursery([](trio::Nursery& server) {
      // start() returns when the server accepts connections, with the port it has got.
      const auto port = server.start<std::uint16_t>([](trio::TaskStatus<std::uint16_t>& status) {
        trio::serve_tcp(echo, 0, {.host = "127.0.0.1"}, status);
      });
      std::array<std::string, 3> answers;
      trio::open_nursery([&](trio::Nursery& clients) {
        for (std::string& answer : answers) clients.start_soon([&] { answer = talk(port); });
      });
      for (int i = 0; i < 3; ++i) std::cout << "client " << i << ": " << answers.at(i) << '\n';
      server.cancel_scope().cancel();
    });
  });
}
