// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The loop's connections and children, as a user of asyncio would write them.

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "tools/bench/common/echo.h"
#include "tools/bench/weft/works.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/protocol.h"
#include "weft/loop/runner.h"
#include "weft/loop/streams.h"
#include "weft/loop/subprocess_transport.h"

namespace bench {
namespace {

namespace asyncio = weft::loop;

class Echo final : public asyncio::Protocol {
  void connection_made(asyncio::Transport transport) override { transport_ = std::move(transport); }
  void data_received(std::string_view data) override { transport_.write(data); }

  asyncio::Transport transport_;
};

// The same, read into memory of its own.
class BufferedEcho final : public asyncio::BufferedProtocol {
  void connection_made(asyncio::Transport transport) override { transport_ = std::move(transport); }
  std::span<std::byte> get_buffer(std::size_t) override { return buffer_; }
  void buffer_updated(std::size_t count) override {
    transport_.write(std::span<const std::byte>(buffer_).first(count));
  }

  asyncio::Transport transport_;
  std::array<std::byte, kEchoBuffer> buffer_{};
};

template <class P>
asyncio::Coro<void> serve_protocol() {
  asyncio::EventLoop& loop = asyncio::get_running_loop();
  asyncio::Server server = co_await loop.create_server([] { return std::make_unique<P>(); },
                                                       "127.0.0.1", 0, {.backlog = 4096});
  announce_port_of(server.sockets().at(0));
  co_await server.serve_forever();
}

class DatagramEcho final : public asyncio::DatagramProtocol {
  void connection_made(asyncio::DatagramTransport transport) override {
    transport_ = std::move(transport);
  }
  void datagram_received(std::string_view data, const weft::fibers::SocketAddress& from) override {
    transport_.sendto(data, from);
  }

  asyncio::DatagramTransport transport_;
};

asyncio::Coro<void> serve_datagrams() {
  asyncio::EventLoop& loop = asyncio::get_running_loop();
  auto endpoint = co_await loop.create_datagram_endpoint(
      [] { return std::make_unique<DatagramEcho>(); }, {.sock = bind_and_announce()});
  co_await loop.create_future<void>();
}

asyncio::Coro<void> echo_data(asyncio::StreamReader reader, asyncio::StreamWriter writer) {
  try {
    for (;;) {
      const std::string_view data = co_await reader.read_view(kEchoBuffer);
      if (data.empty()) break;
      writer.write(data);
      co_await writer.drain();
    }
  } catch (const std::exception&) {  // The client was killed.
  }
  writer.close();
}

asyncio::Coro<void> serve_streams() {
  asyncio::Server server =
      co_await asyncio::start_server(&echo_data, "127.0.0.1", 0, {.backlog = 4096});
  announce_port_of(server.sockets().at(0));
  co_await server.serve_forever();
}

struct Child final : asyncio::SubprocessProtocol {
  explicit Child(asyncio::Future<void> end) : gone(std::move(end)) {}
  void connection_lost(std::exception_ptr) override { gone.set_result(); }
  asyncio::Future<void> gone;
};

asyncio::Coro<void> spawn(std::uint64_t count) {
  asyncio::EventLoop& loop = asyncio::get_running_loop();
  for (; count > 0; --count) {
    asyncio::Future<void> gone = loop.create_future<void>();
    const asyncio::SubprocessOptions options{
        .stdin = asyncio::kDevNull, .stdout = asyncio::kPipe, .stderr = asyncio::kInherit};
    static_cast<void>(co_await loop.subprocess_exec(
        [gone] { return std::make_shared<Child>(gone); }, "/bin/true", options));
    co_await gone;
  }
}

}  // namespace

void protocol_echo(Meter& /*meter*/) {
  asyncio::run(serve_protocol<Echo>());
}

void protocol_echo_buffered(Meter& /*meter*/) {
  asyncio::run(serve_protocol<BufferedEcho>());
}

void stream_echo(Meter& /*meter*/) {
  asyncio::run(serve_streams());
}

void datagram_echo(Meter& /*meter*/) {
  asyncio::run(serve_datagrams());
}

void subprocess_spawn(Meter& meter) {
  asyncio::Runner runner;
  meter.run([&runner](std::uint64_t count) { runner.run(spawn(count)); });
}

}  // namespace bench
