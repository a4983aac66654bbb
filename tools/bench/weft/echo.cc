// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The server of tcp_echo: what a user of weft would write.

#include "tools/bench/common/echo.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tools/bench/weft/works.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/timeouts.h"

namespace bench {
namespace {

namespace fibers = weft::fibers;

void echo(fibers::SocketStream& stream) {
  std::array<std::byte, kEchoBuffer> buffer;
  try {
    while (const std::size_t n = stream.receive_some(std::span(buffer))) {
      stream.send_all(std::span(buffer).first(n));
    }
  } catch (const fibers::BrokenResourceError&) {  // The client was killed.
  }
}

}  // namespace

void tcp_echo(Meter& /*meter*/) {
  fibers::run([] {
    fibers::open_nursery([](fibers::Nursery& nursery) {
      announce(nursery.start<std::uint16_t>([](fibers::TaskStatus<std::uint16_t>& status) {
        fibers::serve_tcp(echo, 0, {.host = "127.0.0.1"}, status);
      }));
      fibers::sleep_forever();
    });
  });
}

}  // namespace bench
