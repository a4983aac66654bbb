// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/open_stream_to_socket_listener.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>

#include "weft/fibers/errors.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers::testing {
namespace {

void expect_connects(SocketListener& listener) {
  SocketStream client = open_stream_to_socket_listener(listener);
  SocketStream server = listener.accept();
  client.send_all("x");
  EXPECT_EQ(server.receive_some(), "x");
}

// trio: test_testing.py::test_open_stream_to_socket_listener
FIBER_TEST(OpenStreamToSocketListenerTest, ConnectsToWhereTheListenerIs) {
  for (SocketListener& listener : open_tcp_listeners(0, {.host = "127.0.0.1"})) {
    expect_connects(listener);
  }
}

// trio: test_testing.py::test_open_stream_to_socket_listener
FIBER_TEST(OpenStreamToSocketListenerTest, AllAddressesMeansThisMachine) {
  for (SocketListener& listener : open_tcp_listeners(0)) expect_connects(listener);
}

// trio: test_testing.py::test_open_stream_to_socket_listener
FIBER_TEST(OpenStreamToSocketListenerTest, ListenerMayBeAUnixSocket) {
  std::string folder = (std::filesystem::temp_directory_path() / "weft_XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (folder + "/s").c_str(), sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const SocketAddress target(static_cast<sockaddr*>(static_cast<void*>(&address)), sizeof address);
  ASSERT_EQ(::bind(fd, target.data(), sizeof address), 0);
  ASSERT_EQ(::listen(fd, 5), 0);
  SocketListener listener{OwnedFd(fd)};
  expect_connects(listener);
  std::filesystem::remove(folder + "/s");
  EXPECT_THROW(open_stream_to_socket_listener(listener), std::system_error);
  std::filesystem::remove_all(folder);
}

FIBER_TEST(OpenStreamToSocketListenerTest, ListenerHasToBeOpen) {
  auto listeners = open_tcp_listeners(0, {.host = "127.0.0.1"});
  listeners.front().close();
  EXPECT_THROW(open_stream_to_socket_listener(listeners.front()), ClosedResourceError);
}

}  // namespace
}  // namespace weft::fibers::testing
