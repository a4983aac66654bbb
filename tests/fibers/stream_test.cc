// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "weft/fibers/listener.h"
#include "weft/fibers/socket.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

// Knows only the one call that it has to.
class Digits final : public ReceiveStream {
 public:
  std::size_t receive_some(std::span<std::byte> buffer) override {
    rooms = buffer.size();
    const std::size_t n = std::min(buffer.size(), left_.size());
    std::memcpy(buffer.data(), left_.data(), n);
    left_.erase(0, n);
    return n;
  }
  using ReceiveStream::receive_some;
  void aclose() override {}

  std::size_t rooms = 0;

 private:
  std::string left_ = "0123456789";
};

TEST(ReceiveStreamTest, StringsComeFromTheOneCallThatAStreamHasToHave) {
  Digits digits;
  EXPECT_EQ(digits.receive_some(4), "0123");
  EXPECT_EQ(digits.rooms, 4U);
  EXPECT_EQ(digits.receive_some(), "456789");
  EXPECT_EQ(digits.rooms, 65536U);
  EXPECT_EQ(digits.receive_some(1'000'000'000), "");
  EXPECT_EQ(digits.rooms, 65536U);
}

FIBER_TEST(StreamTest, FunctionsTakeAnyStream) {
  const auto say = [](SendStream& to, std::string_view what) {
    to.send_all(what);
    to.wait_send_all_might_not_block();
  };
  const auto hear = [](ReceiveStream& from) { return from.receive_some() + from.receive_some(1); };
  const auto finish = [](HalfCloseableStream& stream) { stream.send_eof(); };
  auto [a, b] = socket_stream_pair();
  say(a, "x");
  finish(a);
  EXPECT_EQ(hear(b), "x");
  AsyncResource& resource = a;
  resource.aclose();
  EXPECT_FALSE(a.is_open());
}

FIBER_TEST(ListenerTest, FunctionsTakeAnyListenerOfAStreamType) {
  const auto first_of = [](Listener<SocketStream>& listener) { return listener.accept(); };
  auto listeners = open_tcp_listeners(0, {.host = "127.0.0.1"});
  SocketStream client = open_tcp_stream("127.0.0.1", listeners.front().local_address().port());
  SocketStream server = first_of(listeners.front());
  server.send_all("x");
  EXPECT_EQ(client.receive_some(), "x");
}

}  // namespace
}  // namespace weft::fibers
