// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/socket_address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <string>
#include <system_error>

#include "weft/fibers/errors.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

using testing::assert_checkpoints;

FIBER_TEST(SocketAddressTest, NumericAddressesNeedNoLookUp) {
  const SocketAddress four = resolve("127.0.0.1", 80).front();
  EXPECT_EQ(four.family(), AF_INET);
  EXPECT_EQ(four.host(), "127.0.0.1");
  EXPECT_EQ(four.port(), 80);
  EXPECT_EQ(four.to_string(), "127.0.0.1:80");
  const SocketAddress six = resolve("::1", 65535).front();
  EXPECT_EQ(six.family(), AF_INET6);
  EXPECT_EQ(six.to_string(), "[::1]:65535");
  EXPECT_FALSE(four == six);
  EXPECT_EQ(four, resolve("127.0.0.1", 80).front());
  EXPECT_FALSE(four == resolve("127.0.0.1", 81).front());
  assert_checkpoints([] { resolve("127.0.0.1", 80); });
}

FIBER_TEST(SocketAddressTest, LocalhostIsFoundInTheHostsFile) {
  const auto addresses = resolve("localhost", 1);
  ASSERT_FALSE(addresses.empty());
  EXPECT_TRUE(addresses.front().host() == "127.0.0.1" || addresses.front().host() == "::1");
}

FIBER_TEST(SocketAddressTest, WhatCannotBeResolvedSaysSo) {
  EXPECT_THROW(resolve("", 1), UsageError);
  try {
    resolve("no host has blanks", 1);
    FAIL();
  } catch (const std::system_error& error) {
    EXPECT_NE(std::string(error.what()).find("no host has blanks"), std::string::npos);
  }
}

FIBER_TEST(SocketAddressTest, ListeningWithoutHostMeansAnyAddress) {
  for (const SocketAddress& address : resolve_for_listening("", 7)) {
    EXPECT_TRUE(address.host() == "0.0.0.0" || address.host() == "::") << address.to_string();
    EXPECT_EQ(address.port(), 7);
  }
}

TEST(SocketAddressTest, EmptyUntilFilled) {
  const SocketAddress address;
  EXPECT_TRUE(address.empty());
  EXPECT_EQ(address.family(), 0);
  EXPECT_EQ(address.to_string(), "");
  EXPECT_EQ(address.port(), 0);
}

TEST(SocketAddressTest, ShowsUnixPathsAndAbstractNames) {
  sockaddr_un path{};
  path.sun_family = AF_UNIX;
  std::strcpy(path.sun_path, "/run/x.sock");
  const auto* raw = static_cast<const sockaddr*>(static_cast<const void*>(&path));
  EXPECT_EQ(SocketAddress(raw, sizeof path).to_string(), "/run/x.sock");
  path.sun_path[0] = '\0';
  EXPECT_EQ(SocketAddress(raw, offsetof(sockaddr_un, sun_path) + 5).host(), "@run/");
  EXPECT_EQ(SocketAddress(raw, offsetof(sockaddr_un, sun_path)).host(), "");
}

TEST(SocketAddressTest, TooLongIsRefused) {
  SocketAddress address;
  EXPECT_THROW(address.set_size(SocketAddress::capacity() + 1), UsageError);
}

}  // namespace
}  // namespace weft::fibers
