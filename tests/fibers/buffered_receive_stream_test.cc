// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/buffered_receive_stream.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/check_streams.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/memory_stream.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using namespace std::chrono_literals;
using testing::assert_checkpoints;
using testing::MemoryReceiveStream;

// A stream that gives out `pieces`, one a call, and then ends.
class Pieces final : public ReceiveStream {
 public:
  explicit Pieces(std::vector<std::string> pieces) : left_(pieces.rbegin(), pieces.rend()) {}
  std::size_t receive_some(std::span<std::byte> buffer) override {
    checkpoint();
    if (left_.empty()) return 0;
    std::string& piece = left_.back();
    const std::size_t n =
        piece.copy(static_cast<char*>(static_cast<void*>(buffer.data())), buffer.size());
    piece.erase(0, n);
    if (piece.empty()) left_.pop_back();
    return n;
  }
  using ReceiveStream::receive_some;
  void aclose() override {}

 private:
  std::vector<std::string> left_;
};

BufferedReceiveStream reading(std::vector<std::string> pieces) {
  return BufferedReceiveStream(std::make_unique<Pieces>(std::move(pieces)));
}

template <class Error>
std::string message_of(const std::function<void()>& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

FIBER_TEST(BufferedReceiveStreamTest, ReadsLines) {
  auto in = reading({"one\ntw", "o\r", "\n\nfour"});
  EXPECT_EQ(in.receive_line(), "one");
  EXPECT_EQ(in.receive_line(), "two");
  EXPECT_EQ(in.receive_line(), "");
  EXPECT_EQ(in.receive_line(), "four");
  EXPECT_EQ(in.receive_line(), std::nullopt);
  EXPECT_EQ(in.receive_line(), std::nullopt);
}

FIBER_TEST(BufferedReceiveStreamTest, ReadsLengths) {
  auto in = reading({"ab", "cdef", "g"});
  EXPECT_EQ(in.receive_exactly(0), "");
  EXPECT_EQ(in.receive_exactly(1), "a");
  EXPECT_EQ(in.receive_exactly(4), "bcde");
  EXPECT_EQ(in.buffer(), "f");
  EXPECT_EQ(message_of<IncompleteRead>([&] { in.receive_exactly(3); }),
            "the stream ended after 2 of 3 bytes");
  EXPECT_EQ(in.receive_exactly(2), "fg");
}

FIBER_TEST(BufferedReceiveStreamTest, ReadsUpToADelimiter) {
  auto in = reading({"key=va", "lue--", "--", "=b--", "-tail"});
  EXPECT_EQ(in.receive_until("=", 10), "key");
  EXPECT_EQ(in.receive_until("---", 10), "value");
  EXPECT_EQ(in.receive_until("b", 10), "-=");
  EXPECT_EQ(in.receive_until("---", 0), "");
  EXPECT_EQ(message_of<IncompleteRead>([&] { in.receive_until("\n", 10); }),
            "the stream ended after 4 bytes without the delimiter");
  EXPECT_EQ(in.receive_exactly(4), "tail");
  EXPECT_THROW(in.receive_until("", 10), UsageError);
}

FIBER_TEST(BufferedReceiveStreamTest, LimitIsExact) {
  auto in = reading({"12345--", "12345-", "-"});
  EXPECT_EQ(message_of<DelimiterNotFound>([&] { in.receive_until("--", 4); }),
            "no delimiter within 4 bytes");
  EXPECT_EQ(in.receive_until("--", 5), "12345");
  EXPECT_THROW(in.receive_until("--", 4), DelimiterNotFound);
  EXPECT_EQ(in.receive_until("--", std::numeric_limits<std::size_t>::max()), "12345");
  auto lines = reading({"12345\r\n12345\n12345"});
  EXPECT_EQ(message_of<DelimiterNotFound>([&] { lines.receive_line(4); }),
            "no end of the line within 4 bytes");
  EXPECT_EQ(lines.receive_line(5), "12345");
  EXPECT_THROW(lines.receive_line(4), DelimiterNotFound);
  EXPECT_EQ(lines.receive_line(5), "12345");
  EXPECT_THROW(lines.receive_line(4), DelimiterNotFound);
  EXPECT_EQ(lines.receive_line(5), "12345");
}

FIBER_TEST(BufferedReceiveStreamTest, LimitIsNoticedBeforeTheDelimiterComes) {
  MemoryReceiveStream stream;
  BufferedReceiveStream in(stream);
  stream.put_data("12345");
  EXPECT_THROW(in.receive_until("\n", 4), DelimiterNotFound);
}

FIBER_TEST(BufferedReceiveStreamTest, KindsOfReadingCanBeMixed) {
  auto in = reading({"HTTP/1.1 200 OK\r\nlength: 4\r\n\r\nbody rest"});
  EXPECT_EQ(in.receive_line(), "HTTP/1.1 200 OK");
  EXPECT_EQ(in.receive_until("\r\n\r\n", 100), "length: 4");
  EXPECT_EQ(in.receive_exactly(4), "body");
  EXPECT_EQ(in.receive_some(3), " re");
  EXPECT_EQ(in.receive_some(), "st");
  EXPECT_EQ(in.receive_some(), "");
}

FIBER_TEST(BufferedReceiveStreamTest, CancellationLosesNothing) {
  MemoryReceiveStream stream;
  BufferedReceiveStream in(stream);
  for (const char c : std::string("ab\n")) {
    EXPECT_FALSE(move_on_after(1s, [&] { in.receive_line(); }));
    EXPECT_FALSE(move_on_after(1s, [&] { in.receive_exactly(4); }));
    EXPECT_FALSE(move_on_after(1s, [&] { in.receive_until("\n\n", 10); }));
    stream.put_data(std::string(1, c));
  }
  EXPECT_EQ(in.receive_line(), "ab");
  stream.put_data("rest");
  EXPECT_EQ(in.receive_exactly(1), "r");
  CancelScope cancelled;
  cancelled.cancel();
  EXPECT_FALSE(cancelled.run([&] { in.receive_exactly(1); }));
  EXPECT_EQ(in.buffer(), "est");
}

FIBER_TEST(BufferedReceiveStreamTest, IsACheckpointAlsoWhenAllIsThere) {
  auto in = reading({"line\nuntil;12345"});
  EXPECT_EQ(in.receive_exactly(0), "");
  assert_checkpoints([&] { EXPECT_EQ(in.receive_line(), "line"); });
  assert_checkpoints([&] { EXPECT_EQ(in.receive_until(";", 9), "until"); });
  assert_checkpoints([&] { EXPECT_EQ(in.receive_exactly(2), "12"); });
  assert_checkpoints([&] { EXPECT_EQ(in.receive_some(), "345"); });
}

FIBER_TEST(BufferedReceiveStreamTest, HoldsMuchWithoutMixingItUp) {
  std::vector<std::string> pieces;
  std::string all;
  for (int i = 0; i < 5000; ++i) {
    pieces.push_back(std::to_string(i) + std::string(static_cast<std::size_t>(i % 97), 'x') + '\n');
    all += pieces.back();
  }
  auto in = reading(pieces);
  EXPECT_EQ(in.receive_exactly(all.size() / 2), all.substr(0, all.size() / 2));
  auto lines = reading({all});
  for (std::string& piece : pieces) {
    piece.pop_back();
    ASSERT_EQ(lines.receive_line(), piece);
  }
}

// In bytes; always 0 where a sanitizer has a malloc() of its own.
std::ptrdiff_t allocated() {
  const struct mallinfo2 now = ::mallinfo2();
  return static_cast<std::ptrdiff_t>(now.uordblks + now.hblkhd);
}

// A connection lives longer than its longest message.
FIBER_TEST(BufferedReceiveStreamTest, RoomOfALongMessageIsGivenBack) {
  constexpr std::ptrdiff_t kLong = 8'000'000;
  auto in = reading({std::string(kLong, 'x'), "y"});
  const std::ptrdiff_t before = allocated();  // With the message, which is still in the pieces.
  EXPECT_EQ(in.receive_exactly(kLong).size(), kLong);
  if (before > 0) {
    EXPECT_LE(allocated(), before - kLong / 2);
  }
  EXPECT_EQ(in.receive_exactly(1), "y");
}

FIBER_TEST(BufferedReceiveStreamTest, MovedFromIsClosed) {
  auto in = reading({"one two"});
  EXPECT_EQ(in.receive_until(" ", 10), "one");
  BufferedReceiveStream moved = std::move(in);
  EXPECT_EQ(in.buffer(), "");  // NOLINT(bugprone-use-after-move): this is about just that.
  EXPECT_THROW(in.receive_line(), ClosedResourceError);
  assert_checkpoints([&] { in.aclose(); });
  EXPECT_EQ(moved.receive_line(), "two");
  in = std::move(moved);
  EXPECT_EQ(in.receive_line(), std::nullopt);
}

FIBER_TEST(BufferedReceiveStreamTest, OneTaskReceives) {
  MemoryReceiveStream stream;
  BufferedReceiveStream in(stream);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(in.receive_line(), ClosedResourceError); });
    testing::wait_all_tasks_blocked();
    EXPECT_THROW(in.receive_line(), BusyResourceError);
    EXPECT_THROW(in.receive_exactly(1), BusyResourceError);
    EXPECT_THROW(in.receive_until("x", 1), BusyResourceError);
    in.aclose();
  });
  EXPECT_THROW(in.receive_line(), ClosedResourceError);
  EXPECT_THROW(stream.receive_some(), ClosedResourceError);
}

FIBER_TEST(BufferedReceiveStreamTest, NeedsAStream) {
  EXPECT_THROW(BufferedReceiveStream(std::unique_ptr<ReceiveStream>()), UsageError);
}

FIBER_TEST(BufferedReceiveStreamTest, PassesTheConformanceKit) {
  testing::check_one_way_stream([] {
    auto [send, receive] = testing::memory_stream_one_way_pair();
    return std::pair(
        std::move(send),
        BufferedReceiveStream(std::make_unique<MemoryReceiveStream>(std::move(receive))));
  });
}

}  // namespace
}  // namespace weft::fibers
