// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/stream_reader_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/loop/streams_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/wait_for.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

// --- Errors, cancellation and who else reads. ---

// asyncio: test_streams.py::StreamTests::test_exception
// asyncio: test_streams.py::StreamTests::test_read_exception
// asyncio: test_streams.py::StreamTests::test_readline_exception
// asyncio: test_streams.py::StreamTests::test_readexactly_exception
FIBER_TEST(StreamReaderTest, AnErrorComesOutOfEveryCall) {
  with_loop([](EventLoop& loop) {
    StreamReader reader(loop);
    EXPECT_EQ(reader.exception(), nullptr);
    reader.feed_data("line\nmore");
    EXPECT_EQ(await(reader.readline()), "line\n");
    const std::exception_ptr error = std::make_exception_ptr(std::out_of_range("broken"));
    reader.set_exception(error);
    EXPECT_EQ(reader.exception(), error);
    EXPECT_THROW(await(reader.read(2)), std::out_of_range);
    EXPECT_THROW(await(reader.read()), std::out_of_range);
    EXPECT_THROW(await(reader.readline()), std::out_of_range);
    EXPECT_THROW(await(reader.readexactly(2)), std::out_of_range);
    EXPECT_THROW(await(reader.readuntil("x")), std::out_of_range);
    EXPECT_THROW(await(reader.read_view(2)), std::out_of_range);
  });
}

// asyncio: test_streams.py::StreamTests::test_exception_waiter
FIBER_TEST(StreamReaderTest, AnErrorWakesWhoeverWaits) {
  in_each_form([](Form form) {
    with_idle_loop([&](EventLoop& loop) {
      auto read = read_while(
          loop, form, StreamReader(), [](StreamReader& r) { return r.readline(); },
          [](StreamReader& r) {
            r.set_exception(std::make_exception_ptr(std::out_of_range("broken")));
          });
      EXPECT_THROW(read.result(), std::out_of_range);
    });
  });
}

// CPython throws the error here, too, or waits for ever, as the line is complete or not.
FIBER_TEST(StreamReaderTest, WhatIsCompleteBeforeAnErrorIsGivenOut) {
  in_each_form([](Form form) {
    with_idle_loop([&](EventLoop& loop) {
      const auto feed = [](StreamReader& r, std::string_view data) {
        r.feed_data(data);
        r.set_exception(std::make_exception_ptr(std::out_of_range("broken")));
      };
      const auto read = [](StreamReader& r) { return r.readline(); };
      auto whole = read_while(loop, form, StreamReader(), read,
                              [&](StreamReader& r) { feed(r, "line\nmore"); });
      EXPECT_EQ(whole.result(), "line\n");
      auto half =
          read_while(loop, form, StreamReader(), read, [&](StreamReader& r) { feed(r, "half"); });
      EXPECT_THROW(half.result(), std::out_of_range);
    });
  });
}

// asyncio: test_streams.py::StreamTests::test_exception_cancel
FIBER_TEST(StreamReaderTest, ACancelledReadLeavesTheDataAndTheLine) {
  in_each_form([](Form form) {
    with_idle_loop([&](EventLoop& loop) {
      StreamReader reader;
      reader.feed_data("half ");
      const auto read = [reader]() mutable { return reader.readline(); };
      auto cancelled = start(loop, form, read);
      run_once(loop);
      cancelled.cancel();
      reader.feed_data("a line");
      run_once(loop);
      EXPECT_TRUE(cancelled.cancelled());
      EXPECT_FALSE(StreamAccess::core(reader)->waited_for());
      auto next = start(loop, form, read);
      run_once(loop);
      reader.feed_data("\n");
      run_iterations(loop, 2);
      EXPECT_EQ(next.result(), "half a line\n");
    });
  });
}

FIBER_TEST(StreamReaderTest, AReadThatTimesOutLosesNothing) {
  with_loop([](EventLoop& loop) {
    StreamReader reader(loop);
    reader.feed_data("half");
    EXPECT_THROW(await(wait_for(loop.create_task(reader.readexactly(5)), 1s)), TimeoutError);
    reader.feed_data("!");
    EXPECT_EQ(await(reader.readexactly(5)), "half!");
  });
}

FIBER_TEST(StreamReaderTest, ACancelledReadMayBeFollowedByAnotherAtOnce) {
  in_each_form([](Form form) {
    with_idle_loop([&](EventLoop& loop) {
      StreamReader reader;
      const auto read = [reader]() mutable { return reader.readline(); };
      auto cancelled = start(loop, form, read);
      run_once(loop);
      cancelled.cancel();
      run_iterations(loop, 2);
      EXPECT_TRUE(cancelled.cancelled());
      auto next = start(loop, form, read);
      run_once(loop);  // Nothing has come in between.
      reader.feed_data("line\n");
      run_iterations(loop, 2);
      EXPECT_EQ(next.result(), "line\n");
    });
  });
}

FIBER_TEST(StreamReaderTest, ACancelledTaskOfFibersLosesNothing) {
  with_loop([](EventLoop& loop) {
    StreamReader reader(loop);
    reader.feed_data("half");
    EXPECT_FALSE(fibers::move_on_after(1s, [&] { await(reader.readline()); }));
    reader.feed_data("!\n");
    EXPECT_EQ(await(reader.readline()), "half!\n");
  });
}

FIBER_TEST(StreamReaderTest, OneTaskAtATimeMayWait) {
  in_each_form([](Form form) {
    with_idle_loop([&](EventLoop& loop) {
      StreamReader reader;
      auto first = start(loop, form, [reader]() mutable { return reader.readline(); });
      auto second = start(loop, form, [reader]() mutable { return reader.readexactly(4); });
      run_once(loop);
      EXPECT_THAT(thrown<fibers::UsageError>([&] { second.result(); }),
                  HasSubstr("readexactly() called while another coroutine is already waiting for "
                            "incoming data"));
      reader.feed_data("line\n");
      run_iterations(loop, 2);
      EXPECT_EQ(first.result(), "line\n");
    });
  });
}

// asyncio: test_streams.py::StreamTests::test_streamreader_constructor_without_loop
FIBER_TEST(StreamReaderTest, OutsideALoopItNeedsToBeTold) {
  StreamReader reader;
  EXPECT_THAT(error_of<fibers::UsageError>([&] { return reader.read(1); }),
              HasSubstr("no running event loop"));
  reader.feed_data("x");
  EXPECT_EQ(await(reader.read(1)), "x") << "nobody has to wait";
}

FIBER_TEST(StreamReaderTest, AReadKeepsItsReader) {
  in_each_form([](Form form) {
    with_idle_loop([&](EventLoop& loop) {
      std::optional<StreamReader> reader(std::in_place);
      reader->feed_data("line\n");
      auto read = loop.create_task(reader->readline());
      reader.reset();
      run_once(loop);
      EXPECT_EQ(read.result(), "line\n");
      static_cast<void>(form);
    });
  });
}

// --- Views. ---

FIBER_TEST(StreamReaderTest, AViewLastsUntilTheNextReadWhateverComesMeanwhile) {
  with_loop([](EventLoop& loop) {
    StreamReader reader(loop);
    reader.feed_data("first\nsecond\nthird");
    const std::string_view first = await(reader.readline_view());
    const std::string large(300000, 'x');
    reader.feed_data(large);
    reader.feed_data(large);
    EXPECT_EQ(first, "first\n");
    const std::string_view second = await(reader.readuntil_view("\n"));
    EXPECT_EQ(second, "second\n");
    EXPECT_EQ(await(reader.readexactly_view(5)), "third");
    EXPECT_EQ(await(reader.readexactly(600000)), large + large);
    reader.feed_data("last");
    const std::string_view last = await(reader.read_view(100));
    reader.feed_data("more");
    EXPECT_EQ(last, "last");
    EXPECT_EQ(await(reader.read(100)), "more");
  });
}

// --- Flow control. ---

FIBER_TEST(StreamReaderTest, PausesAboveTwiceTheLimitAndResumesAtTheLimit) {
  with_loop([](EventLoop& loop) {
    const Fake source(loop);
    StreamReader reader(loop, 4);
    reader.set_transport(source.transport());
    reader.feed_data("12345678");
    EXPECT_THAT(source->log, ElementsAre());
    reader.feed_data("9");
    reader.feed_data("0");
    EXPECT_THAT(source->log, ElementsAre("pause"));
    await(reader.readexactly(5));
    EXPECT_THAT(source->log, ElementsAre("pause"));
    await(reader.read(1));
    EXPECT_THAT(source->log, ElementsAre("pause", "resume"));
    EXPECT_THAT(thrown<fibers::UsageError>([&] { reader.set_transport(source.transport()); }),
                HasSubstr("Transport already set"));
  });
}

FIBER_TEST(StreamReaderTest, WhoeverWaitsForMoreThanTheLimitHasItComing) {
  in_each_form([](Form form) {
    with_idle_loop([&](EventLoop& loop) {
      const Fake source(loop);
      StreamReader reader(loop, 2);
      reader.set_transport(source.transport());
      reader.feed_data("12345");
      auto read = start(loop, form, [reader]() mutable { return reader.readexactly(7); });
      run_once(loop);
      EXPECT_THAT(source->log, ElementsAre("pause", "resume"));
      reader.feed_data("67");
      EXPECT_THAT(source->log, ElementsAre("pause", "resume", "pause"));
      run_iterations(loop, 2);
      EXPECT_EQ(read.result(), "1234567");
      EXPECT_THAT(source->log, ElementsAre("pause", "resume", "pause", "resume"));
    });
  });
}

FIBER_TEST(StreamReaderTest, ATransportThatCannotPauseKeepsWhatComes) {
  with_loop([](EventLoop& loop) {
    const Fake source(loop, false);
    StreamReader reader(loop, 1);
    reader.set_transport(source.transport());
    reader.feed_data("123");
    reader.feed_data("456");
    EXPECT_EQ(await(reader.read(10)), "123456");
    EXPECT_THAT(source->log, ElementsAre());
  });
}

}  // namespace
}  // namespace weft::loop
