// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What these tests share: protocols that write down what they are told, and connections of TLS
// between two of them.

#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "tests/loop/sync_testing.h"
#include "tests/loop_tls/pipe_transport.h"
#include "tests/tls/test_authority.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/event.h"
#include "weft/loop_tls/ssl_layer.h"

namespace weft::loop::testing {

// Writes down what it is told, and may answer.
class Recorder : public Protocol {
 public:
  explicit Recorder(EventLoop& loop, bool echoes = false)
      : made(loop), ended(loop), echoes_(echoes) {}
  void connection_made(Transport on) override {
    transport = std::move(on);
    made.set();
    log.emplace_back("made");
  }
  void data_received(std::string_view data) override {
    received += data;
    if (echoes_) transport.write(data);
  }
  bool eof_received() override {
    log.emplace_back("eof");
    return keep_open;
  }
  void connection_lost(std::exception_ptr error) override {
    ended.set();
    transport = {};
    lost_by = std::move(error);
    log.emplace_back(lost_by == nullptr ? "lost" : "broken");
  }
  // What the connection has broken by.
  void throw_error() const {
    if (lost_by != nullptr) std::rethrow_exception(lost_by);
  }
  void pause_writing() override { log.emplace_back("pause"); }
  void resume_writing() override { log.emplace_back("resume"); }

  Transport transport;
  Log log;
  std::string received;
  std::exception_ptr lost_by;
  bool keep_open = false;
  Event made;
  Event ended;

 private:
  bool echoes_;
};

// The same with memory of its own to be read into.
class BufferedRecorder : public BufferedProtocol {
 public:
  explicit BufferedRecorder(EventLoop& loop) : made(loop), ended(loop), room_(1000) {}
  void connection_made(Transport on) override {
    transport = std::move(on);
    made.set();
  }
  std::span<std::byte> get_buffer(std::size_t) override {
    return std::as_writable_bytes(std::span(room_));
  }
  void buffer_updated(std::size_t count) override { received.append(room_.data(), count); }
  bool eof_received() override { return false; }
  void connection_lost(std::exception_ptr) override {
    transport = {};
    ended.set();
  }

  Transport transport;
  std::string received;
  Event made;
  Event ended;

 private:
  std::vector<char> room_;
};

// A client and a server of TLS on the two ends of a pipe.
struct TlsPipe {
  explicit TlsPipe(EventLoop& loop, LayerRequest client_request, LayerRequest server_request,
                   const fibers::SSLContext& client_context = fibers::test_client_context(),
                   const fibers::SSLContext& server_context = fibers::test_server_context())
      : client_layer(client_context),
        server_layer(server_context),
        waiter(loop.create_future<void>()),
        pipe(loop, client_layer.make(with(std::move(client_request), waiter)).protocol,
             server_layer.make(std::move(server_request)).protocol) {}
  TlsPipe(EventLoop& loop, std::shared_ptr<BaseProtocol> client,
          std::shared_ptr<BaseProtocol> server)
      : TlsPipe(loop,
                {.loop = loop, .protocol = std::move(client), .server_hostname = "example.org"},
                {.loop = loop, .protocol = std::move(server), .server_side = true}) {}

  SSLLayer client_layer;
  SSLLayer server_layer;
  Future<void> waiter;  // Of the client.
  Wire pipe;

 private:
  static LayerRequest with(LayerRequest request, const Future<void>& waiter) {
    request.waiter = waiter;
    return request;
  }
};

// A client and a server whose handshake the client has done.
template <class Server>
struct Connected {
  Connected(EventLoop& loop, bool echoes)
      : client(std::make_shared<Recorder>(loop)),
        server(std::make_shared<Server>(loop, echoes)),
        tls(loop, client, server) {
    await(tls.waiter);
  }
  std::shared_ptr<Recorder> client;
  std::shared_ptr<Server> server;
  TlsPipe tls;
};
template <class Server = Recorder>
Connected<Server> connected(EventLoop& loop, bool echoes = false) {
  return Connected<Server>(loop, echoes);
}

// That will be set. Gives up after a long time, for what never happens without memory.
inline void expect_set(Event& event) {
  EXPECT_TRUE(fibers::move_on_after(1000s, [&] { await(event.wait()); }));
}

// Until `done()`, letting the loop turn; at most a thousand times.
template <class Done>
void turn_until(EventLoop& loop, Done done) {
  for (int i = 0; i < 1000 && !done(); ++i) loop.synchronize();
  EXPECT_TRUE(done());
}

// A client of TLS whose peer, which has been told of the connection, says what the test lets it.
struct Lonely {
  explicit Lonely(EventLoop& loop)
      : client(std::make_shared<Recorder>(loop)),
        other(std::make_shared<Recorder>(loop)),
        layer(fibers::test_client_context()),
        waiter(loop.create_future<void>()),
        made(layer.make({.loop = loop,
                         .protocol = client,
                         .server_hostname = "example.org",
                         .waiter = waiter})),
        pipe(loop, made.protocol, other) {
    expect_set(other->made);
  }
  std::shared_ptr<Recorder> client;
  std::shared_ptr<Recorder> other;
  SSLLayer layer;
  Future<void> waiter;
  MadeLayer made;
  Wire pipe;
};

// Two connected sockets, of which a test gives one or both away.
class SocketEnds {
 public:
  SocketEnds() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_.data()), 0); }
  SocketEnds(const SocketEnds&) = delete;
  SocketEnds& operator=(const SocketEnds&) = delete;
  ~SocketEnds() {
    for (const int fd : ends_) {
      if (fd >= 0) ::close(fd);
    }
  }
  int give(std::size_t end) { return std::exchange(ends_.at(end), -1); }

 private:
  std::array<int, 2> ends_{-1, -1};
};

template <class F>
int errno_of(F&& fn) {
  try {
    std::forward<F>(fn)();
  } catch (const std::system_error& error) {
    return error.code().value();
  }
  return 0;
}

}  // namespace weft::loop::testing
