// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/memory_stream.h"

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/check_streams.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers::testing {
namespace {

using namespace std::chrono_literals;

// trio: test_testing.py::test_MemorySendStream
FIBER_TEST(MemorySendStreamTest, KeepsWhatIsSentUntilItIsTaken) {
  MemorySendStream stream;
  stream.send_all("123");
  EXPECT_EQ(stream.get_data_nowait(1), "1");
  EXPECT_EQ(stream.get_data_nowait(), "23");
  assert_checkpoints([&] { stream.send_all("456"); });
  EXPECT_EQ(stream.get_data(), "456");
  EXPECT_THROW(stream.get_data_nowait(), WouldBlock);
  EXPECT_THROW(stream.get_data(0), UsageError);
  assert_checkpoints([&] { stream.wait_send_all_might_not_block(); });
}

// trio: test_testing.py::test_MemorySendStream
FIBER_TEST(MemorySendStreamTest, OneTaskSends) {
  WEFT_NOT_SHUFFLED("the first has to be let in");
  MemorySendStream stream;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { stream.send_all("xxx"); });
    nursery.start_soon([&] { EXPECT_THROW(stream.send_all("xxx"), BusyResourceError); });
    nursery.start_soon(
        [&] { EXPECT_THROW(stream.wait_send_all_might_not_block(), BusyResourceError); });
  });
}

// trio: test_testing.py::test_MemorySendStream
FIBER_TEST(MemorySendStreamTest, ClosedStreamHandsOutTheRest) {
  MemorySendStream stream;
  stream.send_all("abc");
  stream.close();
  EXPECT_THROW(stream.send_all("x"), ClosedResourceError);
  EXPECT_THROW(stream.wait_send_all_might_not_block(), ClosedResourceError);
  EXPECT_EQ(stream.get_data(), "abc");
  EXPECT_EQ(stream.get_data(), "");
  stream.close();
  assert_checkpoints([&] { stream.aclose(); });
}

// trio: test_testing.py::test_MemorySendStream
FIBER_TEST(MemorySendStreamTest, HooksRunInsideTheCalls) {
  MemorySendStream stream;
  std::vector<std::string> record;
  stream.send_all_hook = [&] {
    record.push_back("send_all " + stream.get_data_nowait());
    sleep(1s);
  };
  stream.wait_send_all_might_not_block_hook = [&] {
    record.emplace_back("wait");
    throw std::runtime_error("the network is down");
  };
  stream.close_hook = [&] { record.emplace_back("close"); };
  const Instant start = current_time();
  stream.send_all("x");
  EXPECT_EQ(current_time() - start, 1s);
  EXPECT_THROW(stream.wait_send_all_might_not_block(), std::runtime_error);
  stream.close();
  stream.aclose();
  EXPECT_EQ(record, (std::vector<std::string>{"send_all x", "wait", "close", "close"}));
}

// trio: test_testing.py::test_MemoryReceiveStream
FIBER_TEST(MemoryReceiveStreamTest, GivesOutWhatWasPutIn) {
  MemoryReceiveStream stream;
  stream.put_data("abc");
  assert_checkpoints([&] { EXPECT_EQ(stream.receive_some(1), "a"); });
  EXPECT_EQ(stream.receive_some(), "bc");
  EXPECT_THROW(stream.receive_some(0), UsageError);
  stream.put_data("rest");
  stream.put_eof();
  EXPECT_THROW(stream.put_data("more"), ClosedResourceError);
  EXPECT_EQ(stream.receive_some(), "rest");
  EXPECT_EQ(stream.receive_some(), "");
  EXPECT_EQ(stream.receive_some(), "");
}

// trio: test_testing.py::test_MemoryReceiveStream
FIBER_TEST(MemoryReceiveStreamTest, OneTaskReceives) {
  MemoryReceiveStream stream;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_EQ(stream.receive_some(10), "abc"); });
    wait_all_tasks_blocked();
    nursery.start_soon([&] { EXPECT_THROW(stream.receive_some(10), BusyResourceError); });
    wait_all_tasks_blocked();
    stream.put_data("abc");
  });
}

// trio: test_testing.py::test_MemoryReceiveStream
FIBER_TEST(MemoryReceiveStreamTest, HookRunsBeforeDataIsWaitedFor) {
  MemoryReceiveStream stream;
  stream.receive_some_hook = [&] {
    sleep(1s);
    stream.put_data("late");
  };
  EXPECT_EQ(stream.receive_some(), "late");
  int closed = 0;
  stream.close_hook = [&] { ++closed; };
  stream.close();
  EXPECT_EQ(closed, 1);
}

// trio: test_testing.py::test_MemoryRecvStream_closing
FIBER_TEST(MemoryReceiveStreamTest, ClosedStreamGivesNothing) {
  MemoryReceiveStream empty;
  empty.close();
  EXPECT_THROW(empty.receive_some(10), ClosedResourceError);
  empty.close();
  EXPECT_THROW(empty.put_data("123"), ClosedResourceError);
  MemoryReceiveStream full;
  full.put_data("xyz");
  full.close();
  EXPECT_THROW(full.receive_some(10), ClosedResourceError);
}

// trio: test_testing.py::test_MemoryRecvStream_closing
FIBER_TEST(MemoryReceiveStreamTest, ClosingWakesWhoWaits) {
  MemoryReceiveStream stream;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(stream.receive_some(10), ClosedResourceError); });
    wait_all_tasks_blocked();
    stream.close();
  });
}

// trio: test_testing.py::test_memory_stream_pump
FIBER_TEST(MemoryStreamPumpTest, MovesDataAndTheEnd) {
  MemorySendStream from;
  MemoryReceiveStream to;
  EXPECT_FALSE(memory_stream_pump(from, to));
  from.send_all("abc");
  EXPECT_TRUE(memory_stream_pump(from, to, 2));
  EXPECT_TRUE(memory_stream_pump(from, to));
  EXPECT_FALSE(memory_stream_pump(from, to));
  EXPECT_EQ(to.receive_some(10), "abc");
  from.send_all("x");
  from.close();
  EXPECT_TRUE(memory_stream_pump(from, to));
  EXPECT_TRUE(memory_stream_pump(from, to));
  EXPECT_EQ(to.receive_some(10), "x");
  EXPECT_EQ(to.receive_some(10), "");
}

// trio: test_testing.py::test_memory_stream_pump
FIBER_TEST(MemoryStreamPumpTest, ClosedReceiverIsBroken) {
  MemorySendStream from;
  MemoryReceiveStream to;
  from.send_all("abc");
  to.close();
  EXPECT_THROW(memory_stream_pump(from, to), BrokenResourceError);
}

// trio: test_testing.py::test_memory_stream_one_way_pair
FIBER_TEST(MemoryStreamOneWayPairTest, HooksConnectTheTwo) {
  auto [send, receive] = memory_stream_one_way_pair();
  EXPECT_TRUE(send.send_all_hook);
  EXPECT_FALSE(send.wait_send_all_might_not_block_hook);
  EXPECT_TRUE(send.close_hook);
  EXPECT_FALSE(receive.receive_some_hook);
  EXPECT_FALSE(receive.close_hook);
  send.send_all("123");
  EXPECT_EQ(receive.receive_some(10), "123");
  open_nursery([&, &send = send, &receive = receive](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_EQ(receive.receive_some(10), "abc"); });
    wait_all_tasks_blocked();
    send.send_all("abc");
  });
  // Without its hook the sender only keeps the data.
  send.send_all_hook = nullptr;
  send.send_all("456");
  bool received = false;
  open_nursery([&, &send = send, &receive = receive](Nursery& nursery) {
    nursery.start_soon([&] {
      EXPECT_EQ(receive.receive_some(10), "456");
      received = true;
    });
    wait_all_tasks_blocked();
    EXPECT_FALSE(received);
    memory_stream_pump(send, receive);
  });
  send.aclose();
  EXPECT_EQ(receive.receive_some(10), "");
}

FIBER_TEST(MemoryStreamOneWayPairTest, DestroyedSenderIsTheEnd) {
  auto pair = memory_stream_one_way_pair();
  MemoryReceiveStream receive = std::move(pair.second);
  {
    MemorySendStream send = std::move(pair.first);
    send.send_all_hook = nullptr;
    send.send_all("left");
  }
  EXPECT_EQ(receive.receive_some(), "left");
  EXPECT_EQ(receive.receive_some(), "");
}

FIBER_TEST(MemoryStreamOneWayPairTest, DestroyedReceiverIsBroken) {
  auto pair = memory_stream_one_way_pair();
  { const MemoryReceiveStream receive = std::move(pair.second); }
  EXPECT_THROW(pair.first.send_all("x"), BrokenResourceError);
  EXPECT_THROW(pair.second.receive_some(), ClosedResourceError);
}

// trio: test_testing.py::test_memory_stream_pair
FIBER_TEST(MemoryStreamPairTest, GoesBothWays) {
  auto [a, b] = memory_stream_pair();
  a.send_all("123");
  b.send_all("abc");
  EXPECT_EQ(b.receive_some(10), "123");
  EXPECT_EQ(a.receive_some(10), "abc");
  a.send_eof();
  EXPECT_EQ(b.receive_some(10), "");
  b.send_all("still");
  EXPECT_EQ(a.receive_some(10), "still");
}

// trio: test_testing.py::test_memory_stream_pair
FIBER_TEST(MemoryStreamPairTest, TasksCanTalkOverIt) {
  auto [a, b] = memory_stream_pair();
  open_nursery([&, &a = a, &b = b](Nursery& nursery) {
    nursery.start_soon([&a] {
      a.send_all("x");
      EXPECT_EQ(a.receive_some(10), "y");
      a.aclose();
    });
    nursery.start_soon([&b] {
      EXPECT_EQ(b.receive_some(10), "x");
      b.send_all("y");
      EXPECT_EQ(b.receive_some(10), "");
    });
  });
}

// trio: test_testing.py::test_memory_streams_with_generic_tests
FIBER_TEST(MemoryStreamPairTest, PassesTheConformanceKit) {
  WEFT_NOT_FAULT_SWEPT("hundreds of runs of it take minutes");
  check_one_way_stream(memory_stream_one_way_pair);
  check_half_closeable_stream(memory_stream_pair);
}

}  // namespace
}  // namespace weft::fibers::testing
