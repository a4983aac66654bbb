// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/stream_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "tests/loop/streams_testing.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/stream_protocol.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

// A connection whose transport does nothing.
struct Connection {
  explicit Connection(EventLoop& loop)
      : fake(loop),
        reader(loop),
        protocol(std::make_shared<StreamReaderProtocol>(loop, reader)),
        writer(StreamAccess::wrap(detail::make_counted<detail::StreamWriterCore>(
            fake.transport(), protocol, StreamAccess::core(reader)))) {
    protocol->connection_made(fake.transport());
  }
  ~Connection() { fake->forget(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Fake fake;
  StreamReader reader;
  std::shared_ptr<StreamReaderProtocol> protocol;
  StreamWriter writer;
};

auto drain(const Connection& connection) {
  return [writer = connection.writer]() mutable { return writer.drain(); };
}

template <class T>
int errno_of(const T& task) {
  try {
    task.result();
  } catch (const std::system_error& error) {
    return error.code().value();
  }
  return 0;
}

// asyncio: test_streams.py::StreamTests::test_multiple_drain
// asyncio: claims_transports::drain_with_several_waiters
FIBER_TEST(StreamWriterTest, SeveralTasksMayDrainAtATime) {
  in_each_form([](Form form) {
    with_idle_loop([&](EventLoop& loop) {
      const Connection connection(loop);
      auto free = start(loop, form, drain(connection));
      run_once(loop);
      EXPECT_TRUE(free.done());
      connection.protocol->pause_writing();
      auto first = start(loop, form, drain(connection));
      auto second = start(loop, form, drain(connection));
      auto gone = start(loop, form, drain(connection));
      run_iterations(loop, 2);
      EXPECT_FALSE(first.done() || second.done());
      gone.cancel();
      connection.protocol->resume_writing();
      run_iterations(loop, 2);
      EXPECT_TRUE(first.done() && second.done());
      EXPECT_TRUE(gone.cancelled());
    });
  });
}

// asyncio: test_streams.py::StreamTests::test_drain_raises
FIBER_TEST(StreamWriterTest, TheLossOfTheConnectionEndsADrain) {
  in_each_form([](Form form) {
    with_idle_loop([&](EventLoop& loop) {
      const Connection broken(loop);
      const Connection closed(loop);
      broken.protocol->pause_writing();
      closed.protocol->pause_writing();
      auto first = start(loop, form, drain(broken));
      auto second = start(loop, form, drain(closed));
      run_iterations(loop, 2);
      broken.protocol->connection_lost(std::make_exception_ptr(std::out_of_range("cut")));
      closed.protocol->connection_lost(nullptr);
      run_iterations(loop, 2);
      EXPECT_THROW(first.result(), std::out_of_range);
      second.result();
      auto later = start(loop, form, drain(closed));
      run_iterations(loop, 2);
      EXPECT_EQ(errno_of(later), ECONNRESET);
    });
  });
}

FIBER_TEST(StreamWriterTest, ADrainThrowsWhatTheReaderHas) {
  with_loop([](EventLoop& loop) {
    Connection connection(loop);
    connection.reader.set_exception(std::make_exception_ptr(std::out_of_range("cut")));
    EXPECT_THROW(await(connection.writer.drain()), std::out_of_range);
  });
}

// Whoever only writes and drains would else never hear of it.
FIBER_TEST(StreamWriterTest, ADrainLetsTheEndOfTheConnectionIn) {
  in_each_form([](Form form) {
    with_idle_loop([&](EventLoop& loop) {
      Connection connection(loop);
      connection.writer.write("data");
      connection.writer.close();
      EXPECT_TRUE(connection.writer.is_closing());
      EXPECT_THAT(connection.fake->log, ElementsAre("data", "close"));
      auto drains = start(loop, form, drain(connection));
      loop.call_soon([&] { connection.protocol->connection_lost(nullptr); });
      run_iterations(loop, 4);
      EXPECT_EQ(errno_of(drains), ECONNRESET);
    });
  });
}

// asyncio: test_streams.py::StreamTests::test_wait_closed_on_close
// asyncio: test_streams.py::StreamTests::test_eof_feed_when_closing_writer
// asyncio: test_streams.py::StreamTests::test_open_connection_error
// asyncio: test_streams.py::StreamTests::test_open_unix_connection_error
FIBER_TEST(StreamWriterTest, WaitClosedReturnsWhenTheConnectionIsLost) {
  in_each_form([](Form form) {
    with_idle_loop([&](EventLoop& loop) {
      Connection good(loop);
      const Connection bad(loop);
      const auto closed = [](const Connection& c) {
        return [writer = c.writer]() mutable { return writer.wait_closed(); };
      };
      auto first = start(loop, form, closed(good));
      auto second = start(loop, form, closed(good));
      auto third = start(loop, form, closed(bad));
      run_once(loop);
      first.cancel();  // Of one alone.
      good.writer.close();
      good.protocol->connection_lost(nullptr);
      bad.protocol->connection_lost(std::make_exception_ptr(std::out_of_range("cut")));
      run_iterations(loop, 2);
      second.result();
      EXPECT_THROW(third.result(), std::out_of_range);
      EXPECT_TRUE(good.reader.at_eof());
      EXPECT_NE(bad.reader.exception(), nullptr);
    });
  });
}

// asyncio: test_streams.py::StreamTests::test_unclosed_resource_warnings
FIBER_TEST(StreamWriterTest, OneThatIsDroppedOpenClosesAndSaysSo) {
  with_loop([](EventLoop& loop) {
    const Fake fake(loop);
    const StreamReader reader(loop);
    const CapturedLog capture;
    {
      const StreamWriter writer = StreamAccess::wrap(detail::make_counted<detail::StreamWriterCore>(
          fake.transport(), std::make_shared<StreamReaderProtocol>(loop, reader),
          StreamAccess::core(reader)));
      const StreamWriter copy = writer;  // NOLINT: the last one counts.
    }
    EXPECT_THAT(fake->log, ElementsAre("close"));
    EXPECT_THAT(capture.lines, ElementsAre(HasSubstr("unclosed StreamWriter")));
  });
}

// --- What a server does with a connection. ---

struct Served {
  explicit Served(EventLoop& loop, ClientConnected client_connected)
      : fake(loop),
        protocol(std::make_shared<StreamReaderProtocol>(loop, StreamReader(loop),
                                                        std::move(client_connected))) {
    protocol->connection_made(fake.transport());
  }
  Fake fake;
  std::shared_ptr<StreamReaderProtocol> protocol;
};

Coro<void> answer_in_coroutine(StreamReader reader, StreamWriter writer) {
  writer.write(co_await reader.readline());
  writer.close();
}
void answer_on_a_stack(StreamReader reader, StreamWriter writer) {
  writer.write(await(reader.readline()));
  writer.close();
}

void feed(StreamReaderProtocol& protocol, std::string_view data) {
  const auto room = protocol.get_buffer(0);
  data.copy(static_cast<char*>(static_cast<void*>(room.data())), data.size());
  protocol.buffer_updated(data.size());
}

FIBER_TEST(StreamReaderProtocolTest, AConnectionIsACoroutinesOrThatOfAFunctionWithAStack) {
  with_idle_loop([](EventLoop& loop) {
    const Served coroutine(loop, answer_in_coroutine);
    const Served function(loop, answer_on_a_stack);
    run_once(loop);
    feed(*coroutine.protocol, "in a coroutine\n");
    feed(*function.protocol, "on a stack\n");
    run_iterations(loop, 3);
    EXPECT_THAT(coroutine.fake->log, ElementsAre("in a coroutine\n", "close"));
    EXPECT_THAT(function.fake->log, ElementsAre("on a stack\n", "close"));
  });
}

// asyncio: test_streams.py::StreamTests::test_unhandled_exception
FIBER_TEST(StreamReaderProtocolTest, WhatTheCallbackThrowsIsReportedAndClosesTheConnection) {
  with_idle_loop([](EventLoop& loop) {
    std::string message;
    loop.set_exception_handler(
        [&](EventLoop&, const ExceptionContext& context) { message = context.message; });
    std::vector<StreamWriter> kept;  // The last one closes its connection.
    const auto fails = [&kept](StreamReader, StreamWriter writer) -> Coro<void> {
      kept.push_back(std::move(writer));
      co_await sleep(fibers::Duration(0));
      throw std::out_of_range("failed");
    };
    const Served served(loop, fails);
    run_iterations(loop, 4);
    EXPECT_EQ(message, "Unhandled exception in client_connected_cb");
    EXPECT_THAT(served.fake->log, ElementsAre("close"));
  });
}

// asyncio: test_streams.py::StreamTests::test_unhandled_cancel
FIBER_TEST(StreamReaderProtocolTest, ACallbackThatIsCancelledIsNotReported) {
  with_idle_loop([](EventLoop& loop) {  // Its handler fails the test.
    const auto cancels_itself = [](StreamReader, StreamWriter writer) -> Coro<void> {
      writer.close();
      current_task().cancel();
      co_return;
    };
    const Served at_once(loop, cancels_itself);
    const auto is_cancelled_later = [](StreamReader reader, StreamWriter) -> Coro<void> {
      current_task().cancel();
      co_await reader.readline();
    };
    const Served later(loop, is_cancelled_later);
    run_iterations(loop, 4);
    EXPECT_THAT(at_once.fake->log, ElementsAre("close"));
    EXPECT_THAT(later.fake->log, ElementsAre("close"));
  });
}

FIBER_TEST(StreamReaderProtocolTest, TheEndOfTheDataLeavesTheConnectionOpenForWriting) {
  with_loop([](EventLoop& loop) {
    const Connection connection(loop);
    EXPECT_TRUE(connection.protocol->eof_received());
    EXPECT_TRUE(connection.reader.at_eof());
  });
}

}  // namespace
}  // namespace weft::loop
