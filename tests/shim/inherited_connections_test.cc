// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The methods of asyncio's loop that make transports of connections, and servers, in a loop of
// open_loop's.

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "tests/loop/connection_testing.h"
#include "tests/loop/sendfile_testing.h"
#include "tests/shim/inherited_methods_testing.h"
#include "tests/shim/slow_names.h"
#include "tests/support/temporary_directory.h"
#include "weft/fibers/socket_address.h"
#include "weft/loop/start_tls.h"
#include "weft/loop/transport_layer.h"

namespace weft::shim {
namespace {

using fibers::SocketAddress;
using loop::Coro;
using loop::testing::address_of;
using loop::testing::OwnFd;
using loop::testing::SocketPair;

// asyncio calls it.
struct Told : loop::testing::Recorder {
  void connection_made(loop::Transport made) override {
    EXPECT_EQ(current_async_library(), "asyncio");
    Recorder::connection_made(std::move(made));
  }
  void data_received(std::string_view data) override {
    EXPECT_EQ(current_async_library(), "asyncio");
    Recorder::data_received(data);
  }
  void connection_lost(std::exception_ptr error) override {
    EXPECT_EQ(current_async_library(), "asyncio");
    Recorder::connection_lost(std::move(error));
  }
};

std::shared_ptr<Told> told() {
  return std::make_shared<Told>();
}

using Made = std::pair<loop::Transport, std::shared_ptr<Told>>;

void check_and_close(EventLoop& loop, Made made) {
  EXPECT_EQ(made.second->log.at(0), "made");
  made.first.close();
  loop::testing::run_until(loop, [&] { return loop::testing::is_lost(*made.second); });
}

// A layer whose hands are shaken when the test wants it.
class Handshake final : public loop::TransportLayer {
 public:
  loop::MadeLayer make(loop::LayerRequest request) override {
    last_ = std::make_shared<Hands>(*this, std::move(request));
    return {.protocol = last_, .transport = {}};
  }
  void shake() {
    shaken_ = true;
    if (last_ != nullptr && last_->transport) last_->shake();
  }
  void fail() { fails_ = true; }

 private:
  struct Hands final : loop::Protocol {
    Hands(Handshake& of, loop::LayerRequest request)
        : layer(of),
          user(std::static_pointer_cast<Told>(std::move(request.protocol))),
          waiter(std::move(request.waiter)),
          tell(request.call_connection_made) {}
    void connection_made(loop::Transport made) override {
      EXPECT_EQ(current_async_library(), "asyncio");
      transport = std::move(made);
      if (layer.fails_) {
        transport.abort();
      } else if (layer.shaken_) {
        shake();
      }
    }
    void shake() {
      if (shaken || waiter.done()) return;
      shaken = true;
      if (tell) user->connection_made(transport);
      waiter.set_result();
    }
    void data_received(std::string_view data) override { user->data_received(data); }
    void connection_lost(std::exception_ptr error) override {
      if (!waiter.done()) {
        waiter.set_exception(std::make_exception_ptr(
            std::system_error(EPROTO, std::generic_category(), "no handshake")));
      }
      if (shaken || !tell) user->connection_lost(std::move(error));
      transport = {};
    }
    Handshake& layer;
    const std::shared_ptr<Told> user;
    loop::Future<void> waiter;
    const bool tell;
    bool shaken = false;
    loop::Transport transport;
  };
  bool fails_ = false;
  bool shaken_ = false;
  std::shared_ptr<Hands> last_;
};

struct WithAHandshake {
  static constexpr bool kWaits = true;
  static constexpr int kError = EPROTO;
  void let_go(EventLoop&) { handshake.shake(); }
  static void check(EventLoop& loop, Made made) { check_and_close(loop, std::move(made)); }
  loop::ConnectionOptions options() { return {.ssl = &handshake, .server_hostname = "x"}; }
  Handshake handshake;
};

// One end is given away, the other is the row's.
class Pairs {
 public:
  int give() {
    pair_.emplace();
    return pair_->take();
  }
  SocketPair& last() { return *pair_; }

 private:
  std::optional<SocketPair> pair_;
};

struct ConnectAcceptedSocket : WithAHandshake {
  explicit ConnectAcceptedSocket(EventLoop&) {}
  Coro<Made> call(EventLoop& loop) {
    return loop.connect_accepted_socket(told, pairs.give(), {.ssl = &handshake});
  }
  Coro<Made> fail(EventLoop& loop) {
    handshake.fail();
    return call(loop);
  }
  Pairs pairs;
};

FIBER_TEST(InheritedConnectionsTest, ConnectAcceptedSocket) {
  hold_to_the_border<ConnectAcceptedSocket>();
}

struct CreateConnectionOfASocket : WithAHandshake {
  explicit CreateConnectionOfASocket(EventLoop&) {}
  Coro<Made> call(EventLoop& loop) { return loop.create_connection(told, pairs.give(), options()); }
  Coro<Made> fail(EventLoop& loop) {
    handshake.fail();
    return call(loop);
  }
  Pairs pairs;
};

FIBER_TEST(InheritedConnectionsTest, CreateConnectionOfASocket) {
  hold_to_the_border<CreateConnectionOfASocket>();
}

struct Listener {
  Listener() {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
    EXPECT_EQ(::listen(fd.get(), 20), 0);
    port = address_of(fd.get()).port();
  }
  OwnFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  std::uint16_t port = 0;
};

struct CreateConnection : WithAHandshake {
  static constexpr int kError = ECONNREFUSED;
  explicit CreateConnection(EventLoop&) {}
  Coro<Made> call(EventLoop& loop) {
    return loop.create_connection(told, "127.0.0.1", listener.port, options());
  }
  static Coro<Made> fail(EventLoop& loop) {
    const loop::testing::ClosedPort nobody;
    return loop.create_connection(told, "127.0.0.1", nobody.number);
  }
  Listener listener;
};

FIBER_TEST(InheritedConnectionsTest, CreateConnection) {
  hold_to_the_border<CreateConnection>();
}

FIBER_TEST(InheritedConnectionsTest, ADeadlineEndsACreateConnectionThatNobodyAnswers) {
  open_loop([&](EventLoop& loop) {
    Listener listener;
    EXPECT_EQ(::listen(listener.fd.get(), 0), 0);
    const OwnFd first(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const SocketAddress address = address_of(listener.fd.get());
    EXPECT_EQ(::connect(first.get(), address.data(), static_cast<socklen_t>(address.size())), 0);
    const auto before = open_descriptors();
    EXPECT_FALSE(fibers::move_on_after(1s, [&] {
      static_cast<void>(aio_as_trio(loop.create_connection(told, "127.0.0.1", listener.port)));
    }));
    EXPECT_EQ(watched(loop), 0U);
    EXPECT_EQ(open_descriptors(), before);
  });
}

struct CreateUnixConnection : WithAHandshake {
  static constexpr int kError = ENOENT;
  explicit CreateUnixConnection(EventLoop&) {
    const SocketAddress address = SocketAddress::from_path(path);
    EXPECT_EQ(::bind(fd.get(), address.data(), static_cast<socklen_t>(address.size())), 0);
    EXPECT_EQ(::listen(fd.get(), 20), 0);
  }
  Coro<Made> call(EventLoop& loop) { return loop.create_unix_connection(told, path, options()); }
  Coro<Made> fail(EventLoop& loop) const {
    return loop.create_unix_connection(told, directory / "nothing");
  }
  test::TemporaryDirectory directory;
  std::string path = directory / "listener";
  OwnFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
};

FIBER_TEST(InheritedConnectionsTest, CreateUnixConnection) {
  hold_to_the_border<CreateUnixConnection>();
}

struct StartTls : WithAHandshake {
  explicit StartTls(EventLoop&) {}
  Coro<loop::Transport> call(EventLoop& loop) {
    made = co_await loop.create_connection(told, pairs.give());
    co_return co_await start_tls(made.first, made.second, handshake);
  }
  void check(EventLoop& loop, const loop::Transport&) { check_and_close(loop, made); }
  Coro<loop::Transport> fail(EventLoop& loop) {
    handshake.fail();
    return call(loop);
  }
  Made made;
  Pairs pairs;
};

FIBER_TEST(InheritedConnectionsTest, StartTls) {
  hold_to_the_border<StartTls>();
}

FIBER_TEST(InheritedConnectionsTest, ACancelledStartTlsClosesTheConnection) {
  open_loop([&](EventLoop& loop) {
    StartTls row(loop);
    EXPECT_FALSE(
        fibers::move_on_after(1s, [&] { static_cast<void>(aio_as_trio(row.call(loop))); }));
    loop::testing::run_until(loop, [&] { return loop::testing::is_lost(*row.made.second); });
    EXPECT_TRUE(row.pairs.last().at_end());
  });
}

struct Sendfile {
  static constexpr bool kWaits = true;
  static constexpr int kError = EBADF;
  static constexpr std::size_t kSize = 1'000'000;
  explicit Sendfile(EventLoop& loop)
      : transport(aio_as_trio(loop.create_connection(told, pair.take())).first) {}
  Coro<std::size_t> call(EventLoop& loop) const { return loop.sendfile(transport, file.fd()); }
  void let_go(EventLoop& loop) const {
    loop.add_reader(pair.peer(), [this] { pair.get(); });
  }
  void check(EventLoop&, std::size_t value) const { EXPECT_EQ(value, kSize); }
  Coro<std::size_t> fail(EventLoop& loop) const { return loop.sendfile(transport, -1); }
  SocketPair pair;
  loop::Transport transport;
  loop::testing::OpenFile file{loop::testing::numbers(kSize)};
};

FIBER_TEST(InheritedConnectionsTest, Sendfile) {
  hold_to_the_border<Sendfile>();
}

// --- Servers. ---

void check_and_stop(EventLoop& loop, const loop::Server& server, const SocketAddress& address) {
  EXPECT_TRUE(server.is_serving());
  const OwnFd client(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(client.get(), address.data(), static_cast<socklen_t>(address.size())), 0);
  loop.synchronize();
  loop::Server mine = server;
  mine.close();
  mine.abort_clients();
  await(mine.wait_closed());
}

struct CreateServer : OfANameThatTakesItsTime {
  explicit CreateServer(EventLoop&) {}
  static Coro<loop::Server> call(EventLoop& loop) {
    return loop.create_server(told, "slow.example", 0);
  }
  static void check(EventLoop& loop, const loop::Server& server) {
    check_and_stop(loop, server, address_of(server.sockets().at(0)));
  }
  static Coro<loop::Server> fail(EventLoop& loop) {
    return loop.create_server(told, "nobody.example", 0);
  }
};

FIBER_TEST(InheritedConnectionsTest, CreateServer) {
  hold_to_the_border<CreateServer>();
}

struct CreateUnixServer {
  static constexpr bool kWaits = false;
  static constexpr int kError = ENOENT;
  explicit CreateUnixServer(EventLoop&) {}
  Coro<loop::Server> call(EventLoop& loop) const { return loop.create_unix_server(told, path); }
  void check(EventLoop& loop, const loop::Server& server) const {
    check_and_stop(loop, server, SocketAddress::from_path(path));
  }
  Coro<loop::Server> fail(EventLoop& loop) const {
    return loop.create_unix_server(told, directory / "nothing/here");
  }
  test::TemporaryDirectory directory;
  std::string path = directory / "server";
};

FIBER_TEST(InheritedConnectionsTest, CreateUnixServer) {
  hold_to_the_border<CreateUnixServer>();
}

FIBER_TEST(InheritedConnectionsTest, CreateConnectionOfANameEndsByADeadline) {
  open_loop([](EventLoop& loop) {
    OfANameThatTakesItsTime names;
    EXPECT_FALSE(fibers::move_on_after(1s, [&] {
      static_cast<void>(aio_as_trio(loop.create_connection(told, "slow.example", 1)));
    }));
  });
}

}  // namespace
}  // namespace weft::shim
