// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/socket/message.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>

#include "tests/support/pipe.h"
#include "weft/fibers/socket/socket_type.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using socket::SocketType;
using std::chrono::seconds;

std::string bytes_of(int value) {
  return std::string(static_cast<const char*>(static_cast<const void*>(&value)), sizeof value);
}

int int_in(const std::string& bytes) {
  int value = -1;
  if (bytes.size() >= sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

// trio: test_socket.py::test_send_recv_variants
FIBER_TEST(SocketMessageTest, GathersAndScatters) {
  auto [a, b] = socket::socketpair();
  testing::assert_checkpoints([&a = a] { EXPECT_EQ(a.sendmsg({.buffers = {"x", "yz", ""}}), 3U); });
  std::array<std::byte, 2> first{};
  std::array<std::byte, 4> second{};
  const std::array<std::span<std::byte>, 2> parts{first, second};
  const socket::IncomingMessage got = b.recvmsg_into(parts);
  EXPECT_EQ(got.size, 3U);
  EXPECT_EQ(first[1], std::byte{'y'});
  EXPECT_EQ(second[0], std::byte{'z'});
  a.sendmsg({.buffers = {"whole"}});
  const socket::IncomingMessage whole = b.recvmsg(10);
  EXPECT_EQ(whole.data, "whole");
  EXPECT_EQ(whole.flags, 0);
  EXPECT_TRUE(whole.ancillary.empty());
  EXPECT_FALSE(move_on_after(seconds(1), [&b = b] { b.recvmsg(10); }));
}

// trio: test_socket.py::test_send_recv_variants
FIBER_TEST(SocketMessageTest, DatagramsSayWhereTheyComeFromAndWhatIsMissing) {
  SocketType a = socket::socket(AF_INET, SOCK_DGRAM);
  SocketType b = socket::socket(AF_INET, SOCK_DGRAM);
  a.bind("127.0.0.1", 0);
  b.bind("127.0.0.1", 0);
  EXPECT_EQ(a.sendmsg({.buffers = {"much too ", "long"}, .address = b.getsockname()}), 13U);
  const socket::IncomingMessage got = b.recvmsg(4);
  EXPECT_EQ(got.data, "much");
  EXPECT_NE(got.flags & MSG_TRUNC, 0);
  EXPECT_EQ(got.address, a.getsockname());
}

FIBER_TEST(SocketMessageTest, DescriptorsTravel) {
  auto [a, b] = socket::socketpair();
  test::Pipe pipe;
  a.sendmsg({.buffers = {"take it"},
             .ancillary = {{.level = SOL_SOCKET, .type = SCM_RIGHTS, .data = bytes_of(pipe[1])}}});
  const socket::IncomingMessage got = b.recvmsg(10, CMSG_SPACE(sizeof(int)));
  ASSERT_EQ(got.ancillary.size(), 1U);
  EXPECT_EQ(got.ancillary[0].level, SOL_SOCKET);
  EXPECT_EQ(got.ancillary[0].type, SCM_RIGHTS);
  const int fd = int_in(got.ancillary[0].data);
  EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(::write(fd, "!", 1), 1);
  EXPECT_EQ(pipe.read(0), '!');
  ::close(fd);
}

FIBER_TEST(SocketMessageTest, SeveralControlMessagesAtOnce) {
  SocketType a = socket::socket(AF_INET, SOCK_DGRAM);
  SocketType b = socket::socket(AF_INET, SOCK_DGRAM);
  b.setsockopt(IPPROTO_IP, IP_RECVTTL, 1);
  b.setsockopt(IPPROTO_IP, IP_RECVTOS, 1);
  b.bind("127.0.0.1", 0);
  a.sendmsg({.buffers = {"x"},
             .ancillary = {{.level = IPPROTO_IP, .type = IP_TTL, .data = bytes_of(9)},
                           {.level = IPPROTO_IP, .type = IP_TOS, .data = bytes_of(0x10)}},
             .address = b.getsockname()});
  const socket::IncomingMessage got = b.recvmsg(10, 256);
  ASSERT_EQ(got.ancillary.size(), 2U);
  EXPECT_EQ(got.ancillary[0].type, IP_TTL);
  EXPECT_EQ(int_in(got.ancillary[0].data), 9);
  EXPECT_EQ(got.ancillary[1].type, IP_TOS);
  EXPECT_EQ(got.ancillary[1].data.at(0), 0x10);
}

FIBER_TEST(SocketMessageTest, ControlDataThatDoesNotFitIsToldOf) {
  auto [a, b] = socket::socketpair();
  test::Pipe pipe;
  a.sendmsg({.buffers = {"x"},
             .ancillary = {{.level = SOL_SOCKET, .type = SCM_RIGHTS, .data = bytes_of(pipe[1])}}});
  EXPECT_NE(b.recvmsg(10).flags & MSG_CTRUNC, 0);
}

}  // namespace
}  // namespace weft::fibers
