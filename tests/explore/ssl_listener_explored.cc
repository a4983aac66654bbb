// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// SSLListener, over a Unix socket: there a connection is made, or not, when connect() returns.

#include "weft/tls/ssl_listener.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <optional>

#include "tests/explore/ssl_explored.h"
#include "weft/fibers/owned_fd.h"
#include "weft/fibers/socket.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

using namespace ssl_explored;  // NOLINT: the helpers of these scenarios.

OwnedFd unix_socket() {
  OwnedFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  EXPECT_TRUE(fd.is_open());
  return fd;
}

// An abstract name that the kernel has found.
struct Address {
  sockaddr_un name{};
  socklen_t size = sizeof name;
  sockaddr* get() { return static_cast<sockaddr*>(static_cast<void*>(&name)); }
};

OwnedFd listening_socket(Address& address) {
  OwnedFd fd = unix_socket();
  address.name.sun_family = AF_UNIX;
  EXPECT_EQ(::bind(fd.get(), address.get(), sizeof address.name.sun_family), 0);
  EXPECT_EQ(::listen(fd.get(), 8), 0);
  EXPECT_EQ(::getsockname(fd.get(), address.get(), &address.size), 0);
  return fd;
}

const SSLContext& server_context() {
  static const SSLContext context = test_server_context();
  return context;
}
const SSLContext& client_context() {
  static const SSLContext context = test_client_context();
  return context;
}

struct Server {
  Address address;
  SSLListener<> listener{SocketListener(listening_socket(address)), server_context()};

  std::optional<SocketStream> connect() {
    OwnedFd fd = unix_socket();
    if (::connect(fd.get(), address.get(), address.size) != 0) return std::nullopt;
    return SocketStream(std::move(fd));
  }
};

// explores: SSLListener
EXPLORE_TEST(SSLListenerExplored, ClosingTellsWhoAccepts) {
  Server server;
  const int turns = any_number(2);
  together([&] { EXPECT_EQ(end_of([&] { server.listener.accept(); }), End::kClosed); },
           [&] {
             wait_turns(turns);
             server.listener.aclose();
           },
           [] { checkpoint(); });
}

// Whoever has connected is accepted, or sees the end of the connection.
// explores: SSLListener
EXPLORE_TEST(SSLListenerExplored, AConnectionThatMeetsTheCloseIsServedOrEnded) {
  Server server;
  End accepted = End::kDone;
  std::optional<SSLStream> serving;
  std::optional<SocketStream> client;
  together([&] { accepted = end_of([&] { serving.emplace(server.listener.accept()); }); },
           [&] { client = server.connect(); },
           [&] {
             checkpoint();
             server.listener.aclose();
           });
  EXPECT_EQ(serving.has_value(), accepted == End::kDone);
  if (!serving) {
    EXPECT_EQ(accepted, End::kClosed);
  }
  if (client && !serving) {
    EXPECT_NE(end_of([&] { EXPECT_EQ(client->receive_some(), ""); }), End::kBusy);
  }
  if (serving) {
    // Nobody has closed it.
    EXPECT_TRUE(client.has_value());
    client->send_all("x");
    EXPECT_EQ(serving->transport_stream().receive_some(), "x");
  }
}

// explores: SSLListener
EXPLORE_TEST(SSLListenerExplored, WhoIsCancelledLosesNoConnection) {
  Server server;
  const int turns = any_number(2);
  CancelScope leaves;
  std::optional<SSLStream> serving;
  std::optional<SocketStream> client;
  together(
      [&] {
        leaves.run([&] { serving.emplace(server.listener.accept()); });
        if (!serving) serving.emplace(server.listener.accept());
      },
      [&] {
        checkpoint();
        client = server.connect();
      },
      [&] {
        wait_turns(turns);
        leaves.cancel();
      });
  SSLStream talking(std::move(*client), client_context(), {.server_hostname = "example.org"});
  shake_hands(talking, *serving);
}

}  // namespace
}  // namespace weft::fibers
