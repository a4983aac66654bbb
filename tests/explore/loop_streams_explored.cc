// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A StreamReader of weft::loop, whose data come from tasks of fibers in any order, and are read by
// a task of the loop or by one of fibers.

#include <exception>
#include <stdexcept>
#include <string>

#include "tests/loop/streams_testing.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/loop/detail/drain_core.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/stream_reader.h"
#include "weft/loop/task.h"

namespace weft::loop {
namespace {

using fibers::checkpoint;
using fibers::Nursery;
using testing::with_loop;

// explores: loop.StreamReader
EXPLORE_TEST(LoopStreamReaderExplored, NoByteIsLostWheneverItComes) {
  with_loop([](EventLoop& loop) {
    StreamReader reader(loop);
    auto lines = loop.create_task([&]() -> Coro<std::string> {
      std::string line = co_await reader.readline();
      line += co_await reader.readexactly(2);
      co_return line;
    });
    fibers::open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        reader.feed_data("a\nb");
        checkpoint();
        reader.feed_eof();
      });
      nursery.start_soon([&] {
        checkpoint();
        if (!reader.at_eof() && reader.exception() == nullptr) checkpoint();
      });
      nursery.start_soon([&] {
        try {
          EXPECT_EQ(await(lines).substr(0, 2), "a\n");
        } catch (const IncompleteReadError& error) {
          EXPECT_EQ(error.partial(), "b");
        }
      });
    });
    EXPECT_TRUE(reader.at_eof());
  });
}

// explores: loop.StreamReader
EXPLORE_TEST(LoopStreamReaderExplored, ACancelledReadLosesNothing) {
  with_loop([](EventLoop& loop) {
    StreamReader reader(loop);
    std::string got;
    fibers::CancelScope leaves;
    fibers::open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { leaves.run([&] { got = await(reader.readline()); }); });
      nursery.start_soon([&] {
        reader.feed_data("li");
        checkpoint();
        reader.feed_data("ne\n");
      });
      nursery.start_soon([&] { leaves.cancel(); });
    });
    if (got.empty()) got = await(reader.readline());
    EXPECT_EQ(got, "line\n");
  });
}

// explores: loop.StreamReader
EXPLORE_TEST(LoopStreamReaderExplored, ACancelledTaskOfTheLoopLosesNothing) {
  with_loop([](EventLoop& loop) {
    StreamReader reader(loop);
    auto reads = loop.create_task([&] { return reader.readline(); });
    fibers::open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { reader.feed_data("line\n"); });
      nursery.start_soon([&] {
        checkpoint();
        reads.cancel();
      });
    });
    wait(reads);
    EXPECT_EQ(reads.cancelled() ? await(reader.readline()) : reads.result(), "line\n");
  });
}

// explores: loop.StreamReader
EXPLORE_TEST(LoopStreamReaderExplored, AnErrorReachesWhoeverWaits) {
  with_loop([](EventLoop& loop) {
    StreamReader reader(loop);
    auto reads = loop.create_task([&] { return reader.readline(); });
    fibers::open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        checkpoint();
        reader.feed_data("half");
      });
      nursery.start_soon(
          [&] { reader.set_exception(std::make_exception_ptr(std::out_of_range("broken"))); });
    });
    EXPECT_THROW(await(reads), std::out_of_range);
  });
}

// --- What StreamWriter::drain() waits in. ---

// explores: loop.StreamWriter
EXPLORE_TEST(LoopStreamWriterExplored, NobodyWhoDrainsIsForgotten) {
  with_loop([](EventLoop& loop) {
    detail::DrainCore flow(loop);
    flow.pause_writing();
    auto task = loop.create_task([&] { return flow.wait(); });
    fibers::open_nursery([&](Nursery& nursery) {
      for (int i = 0; i < 2; ++i) nursery.start_soon([&] { await(flow.wait()); });
      nursery.start_soon([&] { flow.resume_writing(); });
    });
    await(task);
  });
}

// explores: loop.StreamWriter
EXPLORE_TEST(LoopStreamWriterExplored, ACancelledDrainKeepsNobodyElse) {
  with_loop([](EventLoop& loop) {
    detail::DrainCore flow(loop);
    fibers::CancelScope leaves;
    flow.pause_writing();
    auto task = loop.create_task([&] { return flow.wait(); });
    fibers::open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { leaves.run([&] { await(flow.wait()); }); });
      nursery.start_soon([&] { flow.resume_writing(); });
      nursery.start_soon([&] { leaves.cancel(); });
    });
    await(task);
  });
}

// explores: loop.StreamWriter
EXPLORE_TEST(LoopStreamWriterExplored, TheLossOfTheConnectionReachesEverybody) {
  with_loop([](EventLoop& loop) {
    detail::DrainCore flow(loop);
    flow.pause_writing();
    int told = 0;
    auto task = loop.create_task([&] { return flow.wait(); });
    fibers::open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        try {
          await(flow.wait());
        } catch (const std::exception&) {
          ++told;
        }
      });
      nursery.start_soon(
          [&] { flow.connection_lost(std::make_exception_ptr(std::out_of_range("cut"))); });
      nursery.start_soon([] { checkpoint(); });
    });
    EXPECT_EQ(told, 1);
    EXPECT_ANY_THROW(await(task));
  });
}

}  // namespace
}  // namespace weft::loop
