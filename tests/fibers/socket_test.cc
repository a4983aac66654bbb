// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "fibers/sys/call.h"
#include "tests/support/pipe.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/socket/socket_type.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/testing/check_streams.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using testing::assert_checkpoints;
using testing::wait_all_tasks_blocked;

// More than the buffers of a pair of streams hold.
const std::string kMuch(1'000'000, 'x');

std::string receive_all(SocketStream& stream) {
  std::string all;
  for (std::string data = stream.receive_some(); !data.empty(); data = stream.receive_some()) {
    all += data;
  }
  return all;
}

int option(const SocketStream& stream, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  ::getsockopt(stream.fd(), level, name, &value, &size);
  return value;
}

// Two ends of a connection over the loopback device.
std::pair<SocketStream, SocketStream> tcp_pair() {
  auto listeners = open_tcp_listeners(0, {.host = "127.0.0.1"});
  const SocketAddress address = listeners.front().local_address();
  SocketStream client = open_tcp_stream(address.host(), address.port());
  return {std::move(client), listeners.front().accept()};
}

// trio: test_highlevel_socket.py::test_SocketStream_basics
FIBER_TEST(SocketStreamTest, SendsAndReceives) {
  auto [a, b] = socket_stream_pair();
  assert_checkpoints([&a = a] { a.send_all("x"); });
  assert_checkpoints([&b = b] { EXPECT_EQ(b.receive_some(), "x"); });
  assert_checkpoints([&a = a] { a.send_all(""); });
  assert_checkpoints([&a = a] { a.wait_send_all_might_not_block(); });
  std::array<std::byte, 3> buffer{};
  a.send_all("hello");
  EXPECT_EQ(b.receive_some(buffer), 3U);
  EXPECT_EQ(b.receive_some(1), "l");
  EXPECT_EQ(b.receive_some(10), "o");
  EXPECT_THROW(b.receive_some(0), UsageError);
}

// trio: test_highlevel_socket.py::test_SocketStream_basics
FIBER_TEST(SocketStreamTest, TcpIsTunedForLatency) {
  auto [client, server] = tcp_pair();
  for (const SocketStream* stream : {&client, &server}) {
    EXPECT_EQ(option(*stream, IPPROTO_TCP, TCP_NODELAY), 1);
    EXPECT_EQ(option(*stream, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 16384);
  }
  EXPECT_EQ(client.peer_address(), server.local_address());
  EXPECT_EQ(client.local_address(), server.peer_address());
}

// trio: test_highlevel_socket.py::test_SocketStream_send_all
FIBER_TEST(SocketStreamTest, SendAllSendsMoreThanFits) {
  auto [a, b] = socket_stream_pair();
  open_nursery([&, &a = a, &b = b](Nursery& nursery) {
    nursery.start_soon([&a] {
      a.send_all(kMuch);
      a.send_eof();
    });
    EXPECT_EQ(receive_all(b), kMuch);
  });
}

FIBER_TEST(SocketStreamTest, BothDirectionsGoAtOnce) {
  auto [a, b] = tcp_pair();
  std::array<std::string, 2> received;
  open_nursery([&, &a = a, &b = b](Nursery& nursery) {
    for (SocketStream* stream : {&a, &b}) {
      nursery.start_soon([stream] {
        stream->send_all(kMuch);
        stream->send_eof();
      });
    }
    nursery.start_soon([&] { received[0] = receive_all(a); });
    nursery.start_soon([&] { received[1] = receive_all(b); });
  });
  EXPECT_EQ(received[0], kMuch);
  EXPECT_EQ(received[1], kMuch);
}

// Fills what `stream` can send without waiting.
void clog(SocketStream& stream) {
  const std::string block(65536, 'x');
  while (::send(stream.fd(), block.data(), block.size(), MSG_NOSIGNAL) > 0) {
  }
}

template <class Make>
auto clogged(Make make) {
  return [make] {
    auto pair = make();
    clog(pair.first);
    clog(pair.second);
    return pair;
  };
}

// trio: test_highlevel_socket.py::test_SocketStream_generic
FIBER_TEST(SocketStreamTest, KeepsAllPromisesOfAStream) {
  WEFT_NOT_FAULT_SWEPT("hundreds of runs of it take minutes");
  testing::check_half_closeable_stream(socket_stream_pair, clogged(&socket_stream_pair));
}

// trio: test_highlevel_socket.py::test_SocketStream_generic
FIBER_TEST(SocketStreamTest, KeepsAllPromisesOfAStreamOverTcp) {
  WEFT_NOT_FAULT_SWEPT("hundreds of runs of it take minutes");
  testing::check_half_closeable_stream(tcp_pair, clogged(&tcp_pair));
}

// A short read says that the socket is empty, and the next one waits without asking again: unless
// the end has come with the data.
FIBER_TEST(SocketStreamTest, TheEndIsFoundBehindTheLastData) {
  for (const bool together : {true, false}) {
    auto [ours, theirs] = tcp_pair();
    ours.send_all("x");
    if (together) ours.send_eof();
    wait_all_tasks_blocked();
    EXPECT_EQ(theirs.receive_some(), "x");
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&, &ours = ours] {
        wait_all_tasks_blocked();
        if (!together) ours.send_eof();
      });
      EXPECT_EQ(theirs.receive_some(), "");
      EXPECT_EQ(theirs.receive_some(), "");
    });
  }
}

// Before TCP's urgent data a read stops short, with more behind it.
FIBER_TEST(SocketStreamTest, DataBehindUrgentDataIsFound) {
  auto [ours, theirs] = tcp_pair();
  ours.send_all("before");
  ASSERT_EQ(::send(ours.fd(), "!", 1, MSG_OOB), 1);
  ours.send_all("behind");
  wait_all_tasks_blocked();
  EXPECT_EQ(theirs.receive_some(), "before");
  std::string behind;
  EXPECT_TRUE(move_on_after(seconds(1), [&, &theirs = theirs] { behind = theirs.receive_some(); }));
  EXPECT_EQ(behind, "behind");
}

// As if the peer took away what is sent as fast as it is sent: no send() ever has to wait.
class ShortSends final : public sys::Gate {
 public:
  ShortSends() { sys::gate = this; }
  ShortSends(const ShortSends&) = delete;
  ShortSends& operator=(const ShortSends&) = delete;
  ~ShortSends() { sys::gate = nullptr; }

  sys::Answer before(const sys::Asked& asked) noexcept override {
    return {.size = std::string_view(asked.name) == "send" ? std::size_t{1} : std::size_t{0}};
  }
  void after() noexcept override {}
};

FIBER_TEST(SocketStreamTest, ReaderThatIsAsFastDoesNotKeepOthersWaiting) {
  WEFT_NOT_SWEPT("it has a gate of its own");
  auto [a, b] = socket_stream_pair();
  const ShortSends short_sends;
  int turns = 0;
  open_nursery([&, &a = a](Nursery& nursery) {
    nursery.start_soon([&] {
      for (;; ++turns) checkpoint();
    });
    a.send_all(std::string(100, 'x'));
    nursery.cancel_scope().cancel();
  });
  EXPECT_GE(turns, 90);
  EXPECT_EQ(b.receive_some(), std::string(100, 'x'));
}

FIBER_TEST(SocketStreamTest, HalfClosedStreamStillReceives) {
  auto [a, b] = socket_stream_pair();
  assert_checkpoints([&a = a] { a.send_eof(); });
  a.send_eof();
  EXPECT_EQ(b.receive_some(), "");
  EXPECT_EQ(b.receive_some(), "");
  b.send_all("still here");
  EXPECT_EQ(a.receive_some(), "still here");
  EXPECT_THROW(a.send_all("x"), ClosedResourceError);
  EXPECT_THROW(a.wait_send_all_might_not_block(), ClosedResourceError);
}

// trio: test_highlevel_socket.py::test_SocketStream_generic
FIBER_TEST(SocketStreamTest, OneTaskADirection) {
  auto [a, b] = socket_stream_pair();
  open_nursery([&, &a = a](Nursery& nursery) {
    nursery.start_soon([&a] { a.receive_some(); });
    nursery.start_soon([&a] { a.send_all(kMuch); });
    wait_all_tasks_blocked();
    EXPECT_THROW(a.receive_some(), BusyResourceError);
    EXPECT_THROW(a.send_all("x"), BusyResourceError);
    EXPECT_THROW(a.wait_send_all_might_not_block(), BusyResourceError);
    EXPECT_THROW(a.send_eof(), BusyResourceError);
    nursery.cancel_scope().cancel();
  });
}

// trio: test_highlevel_socket.py::test_SocketStream_generic
FIBER_TEST(SocketStreamTest, ClosingWakesThoseWhoWait) {
  auto [a, b] = socket_stream_pair();
  open_nursery([&, &a = a](Nursery& nursery) {
    nursery.start_soon([&a] { EXPECT_THROW(a.receive_some(), ClosedResourceError); });
    nursery.start_soon([&a] { EXPECT_THROW(a.send_all(kMuch), ClosedResourceError); });
    wait_all_tasks_blocked();
    a.close();
  });
}

// trio: test_highlevel_socket.py::test_SocketStream_generic
FIBER_TEST(SocketStreamTest, ClosedStreamSaysSo) {
  auto [a, b] = socket_stream_pair();
  a.close();
  a.close();
  assert_checkpoints([&a = a] { a.aclose(); });
  EXPECT_FALSE(a.is_open());
  EXPECT_THROW(a.send_all("x"), ClosedResourceError);
  EXPECT_THROW(a.send_all(""), ClosedResourceError);
  EXPECT_THROW(a.receive_some(), ClosedResourceError);
  EXPECT_THROW(a.send_eof(), ClosedResourceError);
  EXPECT_THROW(a.wait_send_all_might_not_block(), ClosedResourceError);
  EXPECT_THROW(a.local_address(), ClosedResourceError);
}

// trio: test_highlevel_socket.py::test_SocketStream_generic
FIBER_TEST(SocketStreamTest, PeerThatIsGoneBreaksSending) {
  auto [a, b] = socket_stream_pair();
  b.close();
  try {
    a.send_all("x");
    FAIL() << "sent to nobody";
  } catch (const BrokenResourceError& error) {
    try {
      std::rethrow_if_nested(error);
      FAIL() << "no cause given";
    } catch (const std::system_error& cause) {
      EXPECT_EQ(cause.code(), std::errc::broken_pipe);
    }
  }
  EXPECT_EQ(a.receive_some(), "");
}

FIBER_TEST(SocketStreamTest, ResetByThePeerIsBroken) {
  auto [client, server] = tcp_pair();
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(server.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  open_nursery([&, &client = client, &server = server](Nursery& nursery) {
    nursery.start_soon([&client] { EXPECT_THROW(client.receive_some(), BrokenResourceError); });
    wait_all_tasks_blocked();
    server.close();
  });
}

FIBER_TEST(SocketStreamTest, CancelledReceiveLosesNothing) {
  auto [a, b] = socket_stream_pair();
  EXPECT_FALSE(move_on_after(seconds(1), [&b = b] { b.receive_some(); }));
  a.send_all("kept");
  CancelScope cancelled;
  cancelled.cancel();
  EXPECT_FALSE(cancelled.run([&b = b] { b.receive_some(); }));
  EXPECT_EQ(b.receive_some(), "kept");
}

FIBER_TEST(SocketStreamTest, WaitsUntilThereIsRoom) {
  auto [a, b] = socket_stream_pair();
  EXPECT_FALSE(move_on_after(seconds(1), [&a = a] { a.send_all(kMuch); }));
  EXPECT_FALSE(move_on_after(seconds(1), [&a = a] { a.wait_send_all_might_not_block(); }));
  bool room = false;
  open_nursery([&, &a = a, &b = b](Nursery& nursery) {
    nursery.start_soon([&] {
      a.wait_send_all_might_not_block();
      room = true;
      a.close();
    });
    receive_all(b);
  });
  EXPECT_TRUE(room);
}

FIBER_TEST(SocketStreamTest, ReleasedDescriptorStaysOpen) {
  WEFT_NOT_SWEPT("it plays with a number that nobody owns");
  WEFT_NOT_FAULT_SWEPT("it plays with a number that nobody owns");
  auto [a, b] = socket_stream_pair();
  const int fd = a.release();
  EXPECT_FALSE(a.is_open());
  EXPECT_EQ(::write(fd, "y", 1), 1);
  EXPECT_EQ(b.receive_some(), "y");
  ::close(fd);
}

FIBER_TEST(SocketStreamTest, MovedStreamGoesOn) {
  auto [a, b] = socket_stream_pair();
  SocketStream moved = std::move(a);
  moved.send_all("z");
  EXPECT_EQ(b.receive_some(), "z");
  moved = std::move(b);
  EXPECT_TRUE(moved.is_open());
}

// trio: test_highlevel_socket.py::test_socket_stream_works_when_peer_has_already_closed
FIBER_TEST(SocketStreamTest, WorksWhenThePeerHasAlreadyClosed) {
  auto listeners = open_tcp_listeners(0, {.host = "127.0.0.1"});
  const SocketAddress address = listeners.front().local_address();
  {
    SocketStream client = open_tcp_stream(address.host(), address.port());
    client.send_all("x");
  }
  SocketStream server = listeners.front().accept();
  EXPECT_EQ(server.receive_some(1), "x");
  EXPECT_EQ(server.receive_some(1), "");
}

// trio: test_socket.py::test_many_sockets
FIBER_TEST(SocketStreamTest, ManyStreamsWaitAndAreCancelledTogether) {
  constexpr int kPairs = 100;
  std::vector<SocketStream> streams;
  for (int i = 0; i < kPairs; ++i) {
    auto [a, b] = socket_stream_pair();
    streams.push_back(std::move(a));
    streams.push_back(std::move(b));
  }
  int cancelled = 0;
  open_nursery([&](Nursery& nursery) {
    for (SocketStream& stream : streams) {
      nursery.start_soon([&] {
        try {
          stream.receive_some();
        } catch (const Cancelled&) {
          ++cancelled;
          throw;
        }
      });
    }
    wait_all_tasks_blocked();
    nursery.cancel_scope().cancel();
  });
  EXPECT_EQ(cancelled, 2 * kPairs);
}

// trio: test_highlevel_socket.py::test_SocketListener_accept_errors
FIBER_TEST(SocketStreamTest, OptionsAreNumbersOrBytes) {
  auto [stream, peer] = socket_stream_pair();
  EXPECT_EQ(stream.getsockopt(SOL_SOCKET, SO_TYPE), SOCK_STREAM);
  stream.setsockopt(SOL_SOCKET, SO_PASSCRED, 1);
  EXPECT_EQ(stream.getsockopt(SOL_SOCKET, SO_PASSCRED), 1);
  const std::string zero(sizeof(int), '\0');
  stream.setsockopt(SOL_SOCKET, SO_PASSCRED, zero);
  EXPECT_EQ(stream.getsockopt(SOL_SOCKET, SO_PASSCRED, sizeof(int)), zero);
  EXPECT_THROW(stream.setsockopt(12345, 1, 1), std::system_error);
  EXPECT_THROW(stream.getsockopt(12345, 1), std::system_error);
  stream.close();
  EXPECT_THROW(stream.setsockopt(SOL_SOCKET, SO_PASSCRED, 1), ClosedResourceError);
  EXPECT_THROW(stream.getsockopt(SOL_SOCKET, SO_TYPE), ClosedResourceError);
}

}  // namespace
}  // namespace weft::fibers
