// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/stream_buffer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <string_view>

namespace weft::loop::detail {
namespace {

// Receives as a transport does.
void receive(StreamBuffer& buffer, std::string_view data) {
  while (!data.empty()) {
    const auto room = buffer.room();
    ASSERT_FALSE(room.empty());
    const std::string_view part = data.substr(0, room.size());
    std::memcpy(room.data(), part.data(), part.size());
    buffer.filled(part.size());
    data.remove_prefix(part.size());
  }
}

TEST(StreamBufferTest, GivesBackWhatCameInItsOrder) {
  StreamBuffer buffer(1000);
  std::string sent;
  std::string got;
  unsigned random = 7;
  for (int round = 0; round < 2000; ++round) {
    random = random * 1664525U + 1013904223U;
    const std::string some((random >> 20U) % 700, static_cast<char>('a' + round % 26));
    sent += some;
    round % 3 == 0 ? buffer.append(some) : receive(buffer, some);
    const std::size_t take = std::min<std::size_t>(buffer.size(), (random >> 8U) % 700);
    got += buffer.data().substr(0, take);
    buffer.consume(take);
  }
  got += buffer.data();
  EXPECT_EQ(got, sent);
}

TEST(StreamBufferTest, OffersMoreWhenMoreHasCome) {
  StreamBuffer buffer(262144);
  const std::size_t first = buffer.room().size();
  EXPECT_EQ(first, 4096U);
  receive(buffer, std::string(1000000, 'x'));
  buffer.clear();
  EXPECT_GE(buffer.room().size(), 262144U / 2);
  for (int i = 0; i < 10; ++i) {
    receive(buffer, "x");
    buffer.clear();
  }
  EXPECT_EQ(buffer.room().size(), first) << "a quiet connection needs little memory";
}

TEST(StreamBufferTest, OffersNoMoreThanItIsToldTo) {
  StreamBuffer buffer(8);
  EXPECT_EQ(buffer.room().size(), 8U);
  receive(buffer, std::string(100, 'x'));
  EXPECT_LE(buffer.room().size(), 8U);
  EXPECT_EQ(buffer.size(), 100U);
}

TEST(StreamBufferTest, WhatIsLentStaysWhereItIs) {
  StreamBuffer buffer(262144);
  buffer.append("abc");
  buffer.lend();
  const std::string_view lent = buffer.data();
  buffer.consume(3);
  buffer.append(std::string(100000, 'x'));
  buffer.append(std::string(500000, 'y'));
  buffer.consume(100);
  receive(buffer, "zzz");
  EXPECT_EQ(lent, "abc");
  buffer.take_back();
  EXPECT_EQ(buffer.size(), 600000U - 100 + 3);
  EXPECT_EQ(buffer.data().substr(599900), "zzz");
}

TEST(StreamBufferTest, WhatIsLentIsNotMovedOverAlsoWhereThereWouldBeRoom) {
  StreamBuffer buffer(262144);
  buffer.append(std::string(4000, 'a'));
  buffer.append("rest");
  buffer.lend();
  const std::string_view lent = buffer.data().substr(0, 4000);
  buffer.consume(4000);
  buffer.append(std::string(3000, 'b'));  // More than is free behind the rest.
  EXPECT_EQ(lent, std::string(4000, 'a'));
  buffer.take_back();
  EXPECT_EQ(buffer.data(), "rest" + std::string(3000, 'b'));
}

}  // namespace
}  // namespace weft::loop::detail
