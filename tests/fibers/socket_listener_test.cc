// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Sockets that listen. Streams: socket_test.cc.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <exception>
#include <optional>
#include <string>
#include <system_error>

#include "fibers/src/net/accept_errors.h"
#include "tests/support/pipe.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/socket.h"
#include "weft/fibers/socket/socket_type.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using testing::assert_checkpoints;
using testing::wait_all_tasks_blocked;

// trio: test_highlevel_socket.py::test_SocketListener
FIBER_TEST(SocketListenerTest, AcceptsUntilClosed) {
  auto listeners = open_tcp_listeners(0, {.host = "127.0.0.1"});
  SocketListener& listener = listeners.front();
  const SocketAddress address = listener.local_address();
  SocketStream client = open_tcp_stream("127.0.0.1", address.port());
  std::optional<SocketStream> server;
  assert_checkpoints([&] { server = listener.accept(); });
  EXPECT_EQ(server->local_address(), client.peer_address());
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(listener.accept(), ClosedResourceError); });
    wait_all_tasks_blocked();
    assert_checkpoints([&] { listener.aclose(); });
  });
  EXPECT_THROW(listener.accept(), ClosedResourceError);
  EXPECT_FALSE(listener.is_open());
}

FIBER_TEST(SocketListenerTest, CancelledAcceptLosesNoConnection) {
  auto listeners = open_tcp_listeners(0, {.host = "127.0.0.1"});
  SocketListener& listener = listeners.front();
  EXPECT_FALSE(move_on_after(seconds(1), [&] { listener.accept(); }));
  SocketStream client = open_tcp_stream("127.0.0.1", listener.local_address().port());
  CancelScope cancelled;
  cancelled.cancel();
  EXPECT_FALSE(cancelled.run([&] { listener.accept(); }));
  SocketStream server = listener.accept();
  server.send_all("hi");
  EXPECT_EQ(client.receive_some(), "hi");
}

// trio: test_highlevel_socket.py::test_SocketStream_basics
// trio: test_highlevel_socket.py::test_SocketListener
FIBER_TEST(SocketListenerTest, TakesSocketsOfTheRightKindOnly) {
  EXPECT_THROW(SocketStream{socket::socket(AF_INET, SOCK_DGRAM)}, UsageError);
  EXPECT_THROW(SocketListener{socket::socket(AF_INET, SOCK_DGRAM)}, UsageError);
  EXPECT_THROW(SocketListener{socket::socket(AF_INET, SOCK_STREAM)}, UsageError);  // Not listening.
  test::Pipe pipe;
  EXPECT_THROW(SocketStream{OwnedFd(pipe.take(0))}, UsageError);
  EXPECT_THROW(SocketListener{OwnedFd(pipe.take(1))}, UsageError);
  EXPECT_THROW(SocketStream{OwnedFd()}, UsageError);
  auto [a, b] = socket::socketpair();
  SocketStream stream(std::move(a));
  stream.send_all("x");
  EXPECT_EQ(b.recv(1), "x");
}

// trio: test_highlevel_socket.py::test_SocketListener_socket_closed_underfoot
FIBER_TEST(SocketListenerTest, ClosingWakesWhoAccepts) {
  auto listeners = open_tcp_listeners(0, {.host = "127.0.0.1"});
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(listeners.front().accept(), ClosedResourceError); });
    wait_all_tasks_blocked();
    listeners.front().close();
  });
  EXPECT_THROW(listeners.front().accept(), ClosedResourceError);
}

// What a connection can die of before it is accepted cannot be brought about on loopback: which
// errors those are is asked of the rule itself.
//
// trio: test_highlevel_socket.py::test_SocketListener_accept_errors
TEST(AcceptErrorsTest, ThoseOfOneConnectionAreSkipped) {
  for (const int error : {ECONNABORTED, EPERM, EPROTO, ENETDOWN, EHOSTUNREACH, ETIMEDOUT}) {
    EXPECT_TRUE(detail::concerns_one_connection(error)) << error;
  }
  for (const int error : {EINVAL, EBADF, EMFILE, ENFILE, ENOMEM, ENOBUFS, EFAULT}) {
    EXPECT_FALSE(detail::concerns_one_connection(error)) << error;
  }
}

// trio: test_highlevel_socket.py::test_SocketListener_accept_errors
FIBER_TEST(SocketListenerTest, ErrorsOfTheListenerItselfComeOut) {
  auto listeners = open_tcp_listeners(0, {.host = "127.0.0.1"});
  ::shutdown(listeners.front().fd(), SHUT_RD);  // Listens no more.
  try {
    listeners.front().accept();
    FAIL() << "accepted from a socket that does not listen";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::invalid_argument);
  }
}

FIBER_TEST(SocketListenerTest, OutOfDescriptorsIsSaidAndNoConnectionLost) {
  WEFT_NOT_SWEPT("it takes the limit away from the whole process");
  auto listeners = open_tcp_listeners(0, {.host = "127.0.0.1"});
  SocketStream client = open_tcp_stream("127.0.0.1", listeners.front().local_address().port());
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  rlimit none = before;
  none.rlim_cur = 0;
  // UBSan needs descriptors to look at an object of a type that it has not met yet.
  const std::system_error met(EMFILE, std::generic_category(), "");
  ::setrlimit(RLIMIT_NOFILE, &none);
  std::exception_ptr error;
  try {
    listeners.front().accept();
  } catch (...) {
    error = std::current_exception();  // Looked at below: a sanitizer needs descriptors for it.
  }
  ::setrlimit(RLIMIT_NOFILE, &before);
  try {
    ASSERT_NE(error, nullptr);
    std::rethrow_exception(error);
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::too_many_files_open);
  }
  listeners.front().accept().send_all("now");
  EXPECT_EQ(client.receive_some(), "now");
}

}  // namespace
}  // namespace weft::fibers
