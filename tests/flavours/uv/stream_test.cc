// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/uv/stream.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <array>
#include <cstring>
#include <optional>
#include <string>

#include "tests/flavours/uv/uv_testing.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"
#include "weft/uv/handle.h"
#include "weft/uv/request.h"

namespace weft::uv {
namespace {

using fibers::CancelScope;
using fibers::Nursery;
using fibers::open_nursery;

Handle<uv_tcp_t> make_tcp() {
  return Handle<uv_tcp_t>([](uv_tcp_t* tcp) { return uv_tcp_init(current_loop(), tcp); });
}

class Server {
 public:
  Server() {
    sockaddr_in any{};
    check(uv_ip4_addr("127.0.0.1", 0, &any), "uv_ip4_addr");
    check(uv_tcp_bind(handle.get(), reinterpret_cast<const sockaddr*>(&any), 0), "uv_tcp_bind");
    listen(handle);
    int size = sizeof address_;
    check(uv_tcp_getsockname(handle.get(), reinterpret_cast<sockaddr*>(&address_), &size),
          "uv_tcp_getsockname");
  }
  const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&address_); }

  Handle<uv_tcp_t> handle = make_tcp();

 private:
  sockaddr_in address_{};
};

std::string read_all(StreamHandle& stream) {
  std::string all;
  std::array<char, 8> buffer{};
  while (const std::size_t count = read_some(stream, buffer)) all.append(buffer.data(), count);
  return all;
}

UV_TEST(TasksTalkByTcp) {
  Server server;
  std::string got;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      auto peer = make_tcp();
      accept(server.handle, peer);
      write(peer, "echo: " + read_all(peer));
      shutdown(peer);
    });
    auto client = make_tcp();
    connect(client, server.address());
    write(client, "hello over there");
    shutdown(client);
    got = read_all(client);
    client.aclose();
  });
  EXPECT_EQ(got, "echo: hello over there");
}

UV_TEST(ARefusedConnectionIsAnError) {
  sockaddr_in nobody{};
  {
    const Server gone;
    std::memcpy(&nobody, gone.address(), sizeof nobody);
  }
  auto client = make_tcp();
  fibers::cancel_shielded_checkpoint();
  try {
    for (int i = 0; i < 100; ++i) {  // Until the listener has been closed.
      auto one = make_tcp();
      connect(one, reinterpret_cast<const sockaddr*>(&nobody));
    }
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), std::errc::connection_refused);
  }
}

// What they wait with is freed when the last of them has gone. (An error for ASan otherwise.)
UV_TEST(TheOwnerMayGoWhileOthersWait) {
  std::optional<Server> server(std::in_place);
  auto client = make_tcp();
  connect(client, server->address());
  std::optional<Handle<uv_tcp_t>> peer(make_tcp());
  accept(server->handle, *peer);
  std::optional<Handle<uv_tcp_t>> spare(make_tcp());
  std::optional<Handle<uv_tcp_t>> other(make_tcp());
  std::array<char, 8> buffer{};
  const std::string much(1 << 24, 'x');
  int begun = 0;
  int told = 0;
  const auto is_told = [&](const auto& waits) {
    ++begun;
    try {
      waits();
    } catch (const fibers::ClosedResourceError&) {
      ++told;
    } catch (const Error& error) {
      told += error.code() == std::errc::operation_canceled ? 1 : 0;
    }
  };
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { is_told([&] { read_some(*peer, buffer); }); });
    nursery.start_soon([&] { is_told([&] { write(*peer, much); }); });
    nursery.start_soon([&] { is_told([&] { accept(server->handle, *spare); }); });
    nursery.start_soon([&] {
      ++begun;
      other->aclose();
      ++told;
    });
    while (begun < 4) fibers::checkpoint();
    server.reset();
    spare.reset();
    other.reset();
    peer.reset();
  });
  EXPECT_EQ(told, 4);
}

UV_TEST(OneTaskAcceptsIntoAClient) {
  Server server;
  auto client = make_tcp();
  fibers::Event refused;
  int closed = 0;
  const auto accepts = [&] {
    try {
      accept(server.handle, client);
    } catch (const fibers::BusyResourceError&) {
      refused.set();
    } catch (const fibers::ClosedResourceError&) {
      ++closed;
    }
  };
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { accepts(); });
    nursery.start_soon([&] { accepts(); });
    refused.wait();
    client.aclose();
  });
  EXPECT_EQ(closed, 1);
}

UV_TEST(ACancelledReaderReadsNothing) {
  Server server;
  auto client = make_tcp();
  connect(client, server.address());
  auto peer = make_tcp();
  accept(server.handle, peer);
  std::array<char, 8> buffer{};
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { scope.cancel(); });
    scope.run([&] { read_some(peer, buffer); });
  });
  EXPECT_TRUE(scope.cancelled_caught());
  write(client, "later");
  EXPECT_EQ(read_some(peer, buffer), 5U);
}

UV_TEST(ACancelledWriterClosesItsStream) {
  Server server;
  auto client = make_tcp();
  connect(client, server.address());
  auto peer = make_tcp();
  accept(server.handle, peer);
  CancelScope scope;
  const std::string much(64U << 20U, 'x');  // Nobody reads it.
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      fibers::checkpoint();
      scope.cancel();
    });
    scope.run([&] { write(client, much); });
  });
  EXPECT_TRUE(scope.cancelled_caught());
  EXPECT_TRUE(client.is_closing());
  EXPECT_THROW(write(client, "more"), fibers::ClosedResourceError);
}

UV_TEST(ClosingEndsWhoWaits) {
  Server server;
  auto client = make_tcp();
  connect(client, server.address());
  auto peer = make_tcp();
  accept(server.handle, peer);
  int closed = 0;
  std::array<char, 8> buffer{};
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      try {
        read_some(peer, buffer);
      } catch (const fibers::ClosedResourceError&) {
        ++closed;
      }
    });
    nursery.start_soon([&] {
      auto another = make_tcp();
      try {
        accept(server.handle, another);
      } catch (const fibers::ClosedResourceError&) {
        ++closed;
      }
    });
    for (int i = 0; i < 3; ++i) fibers::checkpoint();
    std::array<char, 8> own{};
    EXPECT_THROW(read_some(peer, own), fibers::BusyResourceError);
    peer.aclose();
    server.handle.aclose();
    server.handle.aclose();
  });
  EXPECT_EQ(closed, 2);
}

UV_TEST(AHandleOutlivesItsOwnerUntilLibuvHasLetGo) {
  for (int i = 0; i < 3; ++i) make_tcp();
  auto moved = make_tcp();
  auto kept = std::move(moved);
  uv_tcp_t* const raw = kept.get();
  EXPECT_EQ(uv_is_closing(reinterpret_cast<uv_handle_t*>(raw)), 0);
  EXPECT_THROW(Handle<uv_tcp_t>([](uv_tcp_t*) { return UV_ENOMEM; }), Error);
}

UV_TEST(ThereIsNothingToAcceptBeforeListen) {
  Handle<uv_tcp_t> server = make_tcp();
  Handle<uv_tcp_t> client = make_tcp();
  EXPECT_THROW(accept(server, client), fibers::UsageError);
}

UV_TEST(AReaderNeedsRoom) {
  Handle<uv_tcp_t> tcp = make_tcp();
  EXPECT_THROW(read_some(tcp, {}), fibers::UsageError);
}

// libuv keeps such a handle in its loop, which went on to use it after it had been freed.
UV_TEST(AProcessThatCannotBeStartedLeavesNothingBehind) {
  const Handle<uv_timer_t> before([](uv_timer_t* h) { return uv_timer_init(current_loop(), h); });
  std::string file = "/nonexistent/program";
  std::array<char*, 2> arguments{file.data(), nullptr};
  uv_process_options_t options{};
  options.file = file.c_str();
  options.args = arguments.data();
  EXPECT_THROW(
      Handle<uv_process_t>([&](uv_process_t* p) { return uv_spawn(current_loop(), p, &options); }),
      Error);
  std::size_t left = 0;
  uv_walk(
      current_loop(),
      [](uv_handle_t* handle, void* count) {
        if (uv_handle_get_type(handle) != UV_PROCESS || uv_is_closing(handle)) return;
        ++*static_cast<std::size_t*>(count);
      },
      &left);
  EXPECT_EQ(left, 0U);
  Handle<uv_timer_t>([](uv_timer_t* h) { return uv_timer_init(current_loop(), h); }).aclose();
}

UV_TEST(APipeConnectsToo) {
  Handle<uv_pipe_t> pipe([](uv_pipe_t* p) { return uv_pipe_init(current_loop(), p, 0); });
  EXPECT_THROW(connect(pipe, "/no/such/socket"), Error);
}

}  // namespace
}  // namespace weft::uv
