// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/stapled_stream.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "weft/fibers/errors.h"
#include "weft/fibers/socket.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/memory_stream.h"

namespace weft::fibers {
namespace {

using Calls = std::vector<std::string>;

struct RecordSend : SendStream {
  explicit RecordSend(Calls& to) : calls(to) {}
  void send_all(std::span<const std::byte> data) override {
    calls.push_back("send_all " + std::to_string(data.size()));
  }
  using SendStream::send_all;
  void wait_send_all_might_not_block() override { calls.emplace_back("wait"); }
  void aclose() override {
    calls.emplace_back("aclose send");
    if (fails) throw std::invalid_argument("send");
  }
  Calls& calls;
  bool fails = false;
};

struct RecordHalfCloseable final : RecordSend {
  using RecordSend::RecordSend;
  void send_eof() { calls.emplace_back("send_eof"); }
};

struct RecordReceive final : ReceiveStream {
  explicit RecordReceive(Calls& to) : calls(to) {}
  std::size_t receive_some(std::span<std::byte> buffer) override {
    calls.push_back("receive_some " + std::to_string(buffer.size()));
    return 0;
  }
  using ReceiveStream::receive_some;
  void aclose() override {
    calls.emplace_back("aclose receive");
    if (fails) throw std::out_of_range("receive");
  }
  Calls& calls;
  bool fails = false;
};

// trio: test_highlevel_generic.py::test_StapledStream
TEST(StapledStreamTest, EachCallGoesToItsSide) {
  Calls calls;
  RecordSend send(calls);
  RecordReceive receive(calls);
  StapledStream stapled(send, receive);
  static_assert(std::is_same_v<decltype(stapled), StapledStream<RecordSend&, RecordReceive&>>);
  EXPECT_EQ(&stapled.send_stream, &send);
  EXPECT_EQ(&stapled.receive_stream, &receive);
  stapled.send_all("foo");
  stapled.wait_send_all_might_not_block();
  stapled.receive_some(7);
  EXPECT_EQ(calls, (Calls{"send_all 3", "wait", "receive_some 7"}));
}

// trio: test_highlevel_generic.py::test_StapledStream
TEST(StapledStreamTest, SendEofIsTheSendingStreamsOwnOrCloses) {
  Calls calls;
  StapledStream plain(RecordSend{calls}, RecordReceive{calls});
  plain.send_eof();
  EXPECT_EQ(calls, Calls{"aclose send"});
  calls.clear();
  StapledStream half_closeable(RecordHalfCloseable{calls}, RecordReceive{calls});
  half_closeable.send_eof();
  EXPECT_EQ(calls, Calls{"send_eof"});
  calls.clear();
  half_closeable.aclose();
  EXPECT_EQ(calls, (Calls{"aclose send", "aclose receive"}));
}

// trio: test_highlevel_generic.py::test_StapledStream_with_erroring_close
TEST(StapledStreamTest, ClosesBothEvenIfOneFails) {
  Calls calls;
  StapledStream stapled(RecordSend{calls}, RecordReceive{calls});
  stapled.send_stream.fails = true;
  EXPECT_THROW(stapled.aclose(), std::invalid_argument);
  EXPECT_EQ(calls, (Calls{"aclose send", "aclose receive"}));
  stapled.receive_stream.fails = true;
  EXPECT_THROW(stapled.aclose(), std::out_of_range);
}

FIBER_TEST(StapledStreamTest, AnErrorOfTheFirstIsNotLostToACancellationOfTheSecond) {
  Calls calls;
  auto [a, b] = socket_stream_pair();
  StapledStream stapled(RecordSend{calls}, std::move(a));
  stapled.send_stream.fails = true;
  EXPECT_THROW(aclose_forcefully(stapled), std::invalid_argument);
  EXPECT_FALSE(stapled.receive_stream.is_open());
}

FIBER_TEST(StapledStreamTest, OwnsWhatIsMovedIn) {
  auto [a, b] = socket_stream_pair();
  auto [c, d] = socket_stream_pair();
  StapledStream stapled(std::move(a), std::move(c));
  static_assert(std::is_same_v<decltype(stapled), StapledStream<SocketStream, SocketStream>>);
  StapledStream moved(std::move(stapled));
  moved.send_all("x");
  EXPECT_EQ(b.receive_some(), "x");
  d.send_all("y");
  EXPECT_EQ(moved.receive_some(), "y");
  aclose_forcefully(moved);
  EXPECT_EQ(b.receive_some(), "");
  EXPECT_EQ(d.receive_some(), "");
}

FIBER_TEST(StapledStreamTest, TakesStreamsOfAnyKindByTheirBaseClass) {
  auto [a, b] = socket_stream_pair();
  SendStream& send = a;
  ReceiveStream& receive = a;
  StapledStream stapled(send, receive);
  stapled.send_all("x");
  EXPECT_EQ(b.receive_some(), "x");
  stapled.aclose();
  EXPECT_FALSE(a.is_open());
}

template <class Stream>
concept Closes = requires(Stream& stream) {
  stream.close();
};

static_assert(Closes<StapledStream<SocketStream, SocketStream>>);
static_assert(Closes<StapledStream<SocketStream&, testing::MemoryReceiveStream>>);
static_assert(!Closes<StapledStream<RecordSend, SocketStream>>);

FIBER_TEST(StapledStreamTest, ClosesBothWithoutWaiting) {
  StapledStream stream{testing::MemorySendStream(), testing::MemoryReceiveStream()};
  testing::assert_no_checkpoints([&] { stream.close(); });
  stream.close();
  EXPECT_THROW(stream.send_all("x"), ClosedResourceError);
  EXPECT_THROW(stream.receive_some(), ClosedResourceError);
}

}  // namespace
}  // namespace weft::fibers
