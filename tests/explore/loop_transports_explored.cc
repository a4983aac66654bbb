// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Transports, whose peer acts at any time.

#include <sys/socket.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "tests/explore/outside.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/task.h"

namespace weft::loop {
namespace {

using fibers::checkpoint;
using namespace testing;  // NOLINT: the helpers of the folder.

// --- Writing. ---

// explores: loop.Transport
EXPLORE_TEST(LoopTransportExplored, ACloseWhileWritingIsPausedSendsTheRestFirst) {
  with_loop([](EventLoop& loop) {
    NarrowPair pair;
    const auto protocol = connect_over<StrictProtocol>(loop, pair);
    protocol->transport.set_write_buffer_limits(1000);
    std::string got;
    together(
        [&] {
          protocol->transport.write(long_text());
          protocol->transport.write("end");
          checkpoint();
          protocol->transport.close();
        },
        [&] { got = read_to_end(pair.peer()); });
    protocol->lost.wait();
    EXPECT_EQ(got, long_text() + "end");
    EXPECT_GE(protocol->pauses, 1);
    EXPECT_EQ(protocol->lost_with, nullptr);
  });
}

// explores: loop.Transport
EXPLORE_TEST(LoopTransportExplored, AnAbortEndsTheWriteWhereItIs) {
  with_loop([](EventLoop& loop) {
    NarrowPair pair;
    const auto protocol = connect_over<StrictProtocol>(loop, pair);
    std::string got;
    together(
        [&] {
          protocol->transport.write(long_text());
          checkpoint();
          if (protocol->transport) protocol->transport.write("more");
        },
        [&] { protocol->transport.abort(); }, [&] { got = read_to_end(pair.peer()); });
    protocol->lost.wait();
    EXPECT_TRUE((long_text() + "more").starts_with(got));
    EXPECT_EQ(protocol->lost_with, nullptr);
  });
}

// explores: loop.Transport
EXPLORE_TEST(LoopTransportExplored, AWriterIsPausedAndResumedInTurns) {
  with_loop([](EventLoop& loop) {
    NarrowPair pair;
    const auto protocol = connect_over<StrictProtocol>(loop, pair);
    protocol->transport.set_write_buffer_limits(1000);
    std::string got;
    together(
        [&] {
          protocol->transport.write(long_text());
          checkpoint();
          protocol->transport.write("end");
          protocol->transport.write_eof();
        },
        [&] { got = read_to_end(pair.peer()); });
    EXPECT_EQ(got, long_text() + "end");
    EXPECT_FALSE(protocol->is_paused);
    protocol->transport.close();
    protocol->lost.wait();
  });
}

// explores: loop.Transport
EXPLORE_TEST(LoopTransportExplored, APeerThatGoesEndsTheConnectionOnce) {
  with_loop([](EventLoop& loop) {
    NarrowPair pair;
    const auto protocol = connect_over<StrictProtocol>(loop, pair);
    together(
        [&] {
          protocol->transport.write(long_text());
          checkpoint();
          if (protocol->transport) protocol->transport.write("more");
        },
        [&] { pair.close_peer(); },
        [&] {
          if (protocol->transport) protocol->transport.write("and more");
        });
    protocol->lost.wait();
  });
}

// --- Reading. ---

// explores: loop.Transport
EXPLORE_TEST(LoopTransportExplored, NothingIsReceivedAfterAnAbortFromWithin) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over<StrictProtocol>(loop, pair);
    protocol->on_data = [&](std::string_view) { protocol->transport.abort(); };
    together(
        [&] {
          pair.put("a");
          checkpoint();
          send_to(pair.peer(), "b");
        },
        [&] {
          checkpoint();
          if (protocol->transport) protocol->transport.write("c");
        });
    protocol->lost.wait();
    EXPECT_TRUE(protocol->received == "a" || protocol->received == "ab");
    EXPECT_EQ(protocol->lost_with, nullptr);
    protocol->on_data = nullptr;
  });
}

// explores: loop.Transport
EXPLORE_TEST(LoopTransportExplored, BothEndsMayFinishAtOnce) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over<StrictProtocol>(loop, pair);
    protocol->keep_open = true;
    std::string got;
    together(
        [&] {
          pair.put("question");
          ::shutdown(pair.peer(), SHUT_WR);
        },
        [&] {
          protocol->transport.write("answer");
          protocol->transport.write_eof();
        },
        [&] { got = read_to_end(pair.peer()); });
    protocol->eof.wait();
    EXPECT_EQ(protocol->received, "question");
    EXPECT_EQ(got, "answer");
    EXPECT_FALSE(protocol->is_lost);
    protocol->transport.close();
    protocol->lost.wait();
    EXPECT_EQ(protocol->lost_with, nullptr);
  });
}

// explores: loop.Transport
EXPLORE_TEST(LoopTransportExplored, AnEndThatMeetsAWriteEofStillSendsWhatIsBuffered) {
  with_loop([](EventLoop& loop) {
    NarrowPair pair;
    const auto protocol = connect_over<StrictProtocol>(loop, pair);
    std::string got;
    together([&] { ::shutdown(pair.peer(), SHUT_WR); },
             [&] {
               protocol->transport.write(long_text());
               protocol->transport.write_eof();
             },
             [&] { got = read_to_end(pair.peer()); });
    protocol->lost.wait();
    EXPECT_EQ(got, long_text());
    EXPECT_TRUE(protocol->has_eof);
    EXPECT_EQ(protocol->lost_with, nullptr);
  });
}

// explores: loop.Transport
EXPLORE_TEST(LoopTransportExplored, WhatComesWhileReadingIsPausedIsReadLater) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over<StrictProtocol>(loop, pair);
    bool paused = false;
    protocol->on_data = [&](std::string_view) { EXPECT_FALSE(paused); };
    together(
        [&] {
          protocol->transport.pause_reading();
          paused = true;
          checkpoint();
          checkpoint();
          paused = false;
          protocol->transport.resume_reading();
        },
        [&] {
          pair.put("a");
          checkpoint();
          pair.put("b");
          ::shutdown(pair.peer(), SHUT_WR);
        });
    protocol->lost.wait();
    EXPECT_EQ(protocol->received, "ab");
    EXPECT_TRUE(protocol->has_eof);
    protocol->on_data = nullptr;
  });
}

// explores: loop.Transport
EXPLORE_TEST(LoopTransportExplored, AProtocolThatWaitsIsNotCalledAgainMeanwhile) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over<StrictProtocol>(loop, pair);
    protocol->on_data = [&](std::string_view) { checkpoint(); };
    together([&] { pair.put("a"); },
             [&] {
               checkpoint();
               pair.put("b");
               ::shutdown(pair.peer(), SHUT_WR);
             });
    protocol->lost.wait();
    EXPECT_EQ(protocol->received, "ab");
    protocol->on_data = nullptr;
  });
}

// explores: loop.Transport
EXPLORE_TEST(LoopTransportExplored, EachByteGoesToOneOfTwoProtocols) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const auto first = connect_over<StrictProtocol>(loop, pair);
    const auto second = std::make_shared<StrictProtocol>();
    Transport transport = first->transport;
    together(
        [&] {
          pair.put("a");
          checkpoint();
          pair.put("b");
          ::shutdown(pair.peer(), SHUT_WR);
        },
        [&] {
          checkpoint();
          if (first->is_lost) return;
          second->connection_made(transport);
          transport.set_protocol(second);
        });
    if (second->is_made && !first->is_lost) {
      second->lost.wait();
    } else {
      first->lost.wait();
    }
    EXPECT_EQ(first->received + second->received, "ab");
    EXPECT_NE(first->has_eof, second->has_eof);
  });
}

// --- Connecting. ---

// explores: loop.create_connection
EXPLORE_TEST(LoopCreateConnectionExplored, ACancelledOneLeavesNothingOpen) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    auto protocol = std::make_shared<StrictProtocol>();
    fibers::CancelScope leaves;
    together(
        [&] {
          leaves.run([&] {
            await(loop.create_connection([&] { return protocol; }, pair.take()));
            protocol->transport.close();
          });
        },
        [&] { leaves.cancel(); }, [&] { EXPECT_EQ(read_to_end(pair.peer()), ""); });
    if (protocol->is_made) protocol->lost.wait();
  });
}

// explores: loop.create_connection
EXPLORE_TEST(LoopCreateConnectionExplored, WhatThePeerHasSentIsReceivedAfterConnectionMade) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    auto protocol = std::make_shared<StrictProtocol>();
    together([&] { await(loop.create_connection([&] { return protocol; }, pair.take())); },
             [&] {
               pair.put("a");
               checkpoint();
               send_to(pair.peer(), "b");
               ::shutdown(pair.peer(), SHUT_WR);
             });
    protocol->lost.wait();
    EXPECT_EQ(protocol->received, "ab");
    EXPECT_TRUE(protocol->has_eof);
  });
}

// explores: loop.create_connection
EXPLORE_TEST(LoopCreateConnectionExplored, APeerThatIsGoneAlreadyIsAConnectionThatEnds) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    auto protocol = std::make_shared<StrictProtocol>();
    together([&] { await(loop.create_connection([&] { return protocol; }, pair.take())); },
             [&] { pair.close_peer(); });
    protocol->lost.wait();
    EXPECT_TRUE(protocol->has_eof);
  });
}

// explores: loop.create_connection
EXPLORE_TEST(LoopCreateConnectionExplored, ATaskOfTheLoopThatIsCancelledLeavesNothingOpen) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    auto protocol = std::make_shared<StrictProtocol>();
    auto task = loop.create_task(loop.create_connection([&] { return protocol; }, pair.take()));
    together([&] { task.cancel(); },
             [&] {
               wait(task);
               if (!task.cancelled()) Transport(task.result().first).close();
             },
             [&] { EXPECT_EQ(read_to_end(pair.peer()), ""); });
    if (protocol->is_made) protocol->lost.wait();
    EXPECT_EQ(protocol->lost_with, nullptr);
  });
}

}  // namespace
}  // namespace weft::loop
