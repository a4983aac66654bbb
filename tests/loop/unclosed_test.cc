// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What debug mode tells of transports and servers that are open when their loop is closed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/loop/datagram_testing.h"
#include "tests/loop/pipe_testing.h"
#include "tests/loop/server_testing.h"
#include "tests/loop/transport_testing.h"
#include "weft/loop/runner.h"
#include "weft/loop/streams.h"

namespace weft::loop {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

// What a loop in debug mode has reported.
struct Reported {
  void listen(EventLoop& loop) {
    loop.set_debug(true);
    loop.set_slow_callback_duration(std::chrono::hours(1));
    loop.set_exception_handler([this](EventLoop&, const ExceptionContext& context) {
      contexts.push_back(context);
      messages.push_back(context.message);
    });
  }
  std::vector<ExceptionContext> contexts;
  std::vector<std::string> messages;
};

void end(EventLoop& loop) {
  loop.stop();
  loop.wait_stopped();
  loop.close();
}

// The descriptor is taken over at once.
auto connect(EventLoop& loop, int fd) {
  return loop.create_connection([] { return std::make_shared<Recorder>(); }, fd);
}

FIBER_TEST(UnclosedTest, DebugModeTellsOfATransportThatTheLoopsCloseCutsOff) {
  SocketPair pair;
  Reported reported;
  with_idle_loop([&](EventLoop& loop) {
    reported.listen(loop);
    const int fd = pair.transports();
    auto making = loop.create_task(connect(loop, pair.take()));
    while (!making.done()) run_once(loop);
    const auto protocol = making.result().second;
    loop.close();
    EXPECT_THAT(reported.messages,
                ElementsAre(AllOf(
                    StartsWith("unclosed transport <SocketTransport fd=" + std::to_string(fd)),
                    HasSubstr("close() it before"))));
    ASSERT_THAT(reported.contexts, SizeIs(1));
    EXPECT_NE(reported.contexts[0].transport, nullptr);
    EXPECT_EQ(reported.contexts[0].protocol, protocol.get());
    EXPECT_EQ(reported.contexts[0].socket, fd);
    EXPECT_EQ(reported.contexts[0].exception, nullptr);
    EXPECT_TRUE(protocol->transport.is_closing());
    EXPECT_THAT(protocol->log, ElementsAre("made"));
    loop.close();
    EXPECT_THAT(reported.messages, SizeIs(1)) << "once";
  });
  EXPECT_TRUE(pair.at_end());
}

FIBER_TEST(UnclosedTest, OutsideDebugModeNobodyIsTold) {
  SocketPair pair;
  Reported reported;
  with_loop([&](EventLoop& loop) {
    reported.listen(loop);
    loop.set_debug(false);
    const auto protocol = connect_over(loop, pair);
    const CapturedLog log;
    end(loop);
    EXPECT_THAT(log.lines, IsEmpty());
  });
  EXPECT_THAT(reported.messages, IsEmpty());
}

FIBER_TEST(UnclosedTest, AddressesSayWhichConnectionItIs) {
  Reported reported;
  std::string expected_client;
  with_loop([&](EventLoop& loop) {
    reported.listen(loop);
    Server server =
        await(loop.create_server([] { return std::make_shared<Recorder>(); }, "127.0.0.1", 0));
    const fibers::SocketAddress at = address_of(server.sockets().at(0));
    const auto client = await(loop.create_connection([] { return std::make_shared<Recorder>(); },
                                                     "127.0.0.1", at.port()))
                            .second;
    const fibers::SocketAddress own =
        client->transport.get_extra_info(extra_info::sockname).value();
    run_until(loop, [&] { return !client->log.empty(); });
    server.close();
    server.abort_clients();
    end(loop);
    expected_client = own.to_string() + " -> " + at.to_string();
  });
  EXPECT_THAT(reported.messages, ElementsAre(HasSubstr(expected_client)));
}

FIBER_TEST(UnclosedTest, AServerIsNamedByItsAddresses) {
  Reported reported;
  with_loop([&](EventLoop& loop) {
    reported.listen(loop);
    const Server server =
        await(loop.create_server([] { return std::make_shared<Recorder>(); }, "127.0.0.1", 0));
    const int fd = server.sockets().at(0);
    const std::string address = address_of(fd).to_string();
    end(loop);
    EXPECT_THAT(reported.messages,
                ElementsAre(StartsWith("unclosed server <Server sockets=[" + address + "]>: ")));
    ASSERT_THAT(reported.contexts, SizeIs(1));
    EXPECT_NE(reported.contexts[0].server, nullptr);
    EXPECT_EQ(reported.contexts[0].transport, nullptr);
    EXPECT_EQ(reported.contexts[0].socket, fd);
  });
}

FIBER_TEST(UnclosedTest, DatagramsAndPipesToo) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  Reported reported;
  DatagramPair datagrams;
  Ends first;
  Ends second;
  with_loop([&](EventLoop& loop) {
    reported.listen(loop);
    const auto endpoint = open_endpoint(loop, {.sock = datagrams.take()});
    const PipeStream reading = read_from(loop, first.give(0));
    const PipeStream writing = write_to(loop, second.give(1));
    end(loop);
  });
  EXPECT_THAT(reported.messages,
              UnorderedElementsAre(StartsWith("unclosed transport <DatagramTransport fd="),
                                   StartsWith("unclosed transport <ReadPipeTransport fd="),
                                   StartsWith("unclosed transport <WritePipeTransport fd=")));
}

// The child's pipes are its transport's.
FIBER_TEST(UnclosedTest, AChildIsReportedOnceAndItsPipesAreNot) {
  Reported reported;
  with_loop([&](EventLoop& loop) {
    reported.listen(loop);
    const auto child =
        await(loop.subprocess_exec([&] { return std::make_shared<NotingChild>(loop); }, {"cat"}))
            .second;
    const std::string pid = std::to_string(child->transport.get_pid());
    end(loop);
    EXPECT_THAT(reported.messages,
                ElementsAre(StartsWith("unclosed transport <SubprocessTransport pid=" + pid)));
    child->transport = {};
  });
}

// --- What has been closed. ---

FIBER_TEST(UnclosedTest, WhatIsClosedOrAbortedIsNotReported) {
  SocketPair closed_pair;
  SocketPair aborted_pair;
  Ends pipe;
  Reported reported;
  with_loop([&](EventLoop& loop) {
    reported.listen(loop);
    const auto closed = connect_over(loop, closed_pair);
    const auto aborted = connect_over(loop, aborted_pair);
    const PipeStream writing = write_to(loop, pipe.give(1));
    Server server =
        await(loop.create_server([] { return std::make_shared<Recorder>(); }, "127.0.0.1", 0));
    server.close();
    loop.stop();
    loop.wait_stopped();
    aborted->transport.write(much());
    aborted->transport.abort();
    closed->transport.close();  // connection_lost() does not come any more.
    writing->transport.close();
    loop.close();
  });
  EXPECT_THAT(reported.messages, IsEmpty());
}

FIBER_TEST(UnclosedTest, AClosedOneWhoseDataAreLostIs) {
  SocketPair pair;
  Reported reported;
  with_loop([&](EventLoop& loop) {
    reported.listen(loop);
    const auto protocol = connect_over(loop, pair);
    loop.stop();
    loop.wait_stopped();
    protocol->transport.write(much());
    const std::size_t left = protocol->transport.get_write_buffer_size();
    EXPECT_GT(left, 0U);
    protocol->transport.close();
    loop.close();
    EXPECT_THAT(reported.messages,
                ElementsAre(AllOf(StartsWith("unclosed transport <SocketTransport closing fd="),
                                  HasSubstr(", " + std::to_string(left) + " bytes not sent>"),
                                  HasSubstr("wait_closed()"))));
  });
}

FIBER_TEST(UnclosedTest, OneThatTheProgramHasNotHeardOfIsNotReported) {
  SocketPair pair;
  Reported reported;
  with_idle_loop([&](EventLoop& loop) {
    reported.listen(loop);
    auto making = loop.create_task(connect(loop, pair.take()));
    run_once(loop);
    EXPECT_FALSE(making.done());
    loop.close();
    EXPECT_THAT(reported.messages, ElementsAre("Task was destroyed but it is pending!"));
  });
}

// --- The exception handler. ---

FIBER_TEST(UnclosedTest, TheHandlerMayCloseWhatItIsToldOf) {
  SocketPair first;
  SocketPair second;
  int told = 0;
  with_loop([&](EventLoop& loop) {
    loop.set_debug(true);
    auto one = connect_over(loop, first);
    auto other = connect_over(loop, second);
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext&) {
      ++told;
      one->transport.abort();
      other->transport.abort();
    });
    end(loop);
  });
  EXPECT_EQ(told, 2) << "both were open";
}

FIBER_TEST(UnclosedTest, TheHandlerMayCloseTheLoop) {
  SocketPair first;
  SocketPair second;
  int told = 0;
  with_loop([&](EventLoop& loop) {
    loop.set_debug(true);
    const auto one = connect_over(loop, first);
    const auto other = connect_over(loop, second);
    loop.set_exception_handler([&](EventLoop& closing, const ExceptionContext&) {
      ++told;
      closing.close();
    });
    end(loop);
    EXPECT_TRUE(loop.is_closed());
  });
  EXPECT_EQ(told, 2);
}

FIBER_TEST(UnclosedTest, TheHandlerMustNotWait) {
  SocketPair pair;
  CapturedLog log;
  with_loop([&](EventLoop& loop) {
    loop.set_debug(true);
    const auto protocol = connect_over(loop, pair);
    loop.set_exception_handler([](EventLoop&, const ExceptionContext&) { fibers::checkpoint(); });
    end(loop);
    EXPECT_TRUE(loop.is_closed());
  });
  EXPECT_THAT(log.lines,
              ElementsAre(AllOf(StartsWith("Unhandled error in exception handler"),
                                HasSubstr("unclosed transport"), HasSubstr("UsageError"))));
}

// What the handler refers to may be gone before the loop.
FIBER_TEST(UnclosedTest, ALoopThatIsDestroyedTellsTheLog) {
  SocketPair pair;
  const CapturedLog log;
  bool called = false;
  with_loop([&](EventLoop& loop) {
    loop.set_debug(true);
    const auto protocol = connect_over(loop, pair);
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext&) { called = true; });
  });
  EXPECT_FALSE(called);
  EXPECT_THAT(log.lines, ElementsAre(StartsWith("unclosed transport <SocketTransport fd=")));
}

// --- Writers. ---

// asyncio: test_streams.py::StreamTests::test_loop_is_closed_resource_warnings
FIBER_TEST(UnclosedTest, AWriterThatOutlivesTheLoopSaysThatTheLoopIsClosed) {
  SocketPair pair;
  const CapturedLog log;
  std::optional<StreamWriter> writer;
  with_loop([&](EventLoop& loop) {
    writer = await(open_connection(loop, pair.take())).second;
    end(loop);
    EXPECT_TRUE(writer->is_closing());
  });
  EXPECT_THAT(log.lines, IsEmpty());
  writer.reset();
  EXPECT_THAT(log.lines, ElementsAre(StartsWith("loop is closed")));
}

FIBER_TEST(UnclosedTest, AWriterWhoseTransportIsReportedSaysNothingMore) {
  SocketPair pair;
  Reported reported;
  const CapturedLog log;
  std::optional<StreamWriter> writer;
  with_loop([&](EventLoop& loop) {
    reported.listen(loop);
    writer = await(open_connection(loop, pair.take())).second;
    end(loop);
  });
  writer.reset();
  EXPECT_THAT(reported.messages, ElementsAre(StartsWith("unclosed transport")));
  EXPECT_THAT(log.lines, IsEmpty());
}

// asyncio: test_streams.py::StreamTests::test_unclosed_server_resource_warnings
FIBER_TEST(UnclosedTest, AWriterOfAServerThatIsDroppedOpenIsClosedAndTheLogSaysSo) {
  const CapturedLog log;
  bool served = false;
  with_loop([&](EventLoop& loop) {
    Server server = await(start_server(
        loop, [&](const StreamReader&, const StreamWriter&) { served = true; }, "127.0.0.1", 0));
    auto [reader, writer] = await(open_connection(loop, "127.0.0.1", port_of(server)));
    EXPECT_EQ(await(reader.read()), "");
    EXPECT_TRUE(served);
    writer.close();
    await(writer.wait_closed());
    stop(server);
  });
  EXPECT_THAT(log.lines, ElementsAre(StartsWith("unclosed StreamWriter")));
}

// --- Who closes the loop. ---

// As asyncio.run: it closes no transports of its own accord.
TEST(UnclosedTest, ARunnersCloseReportsWhatItsMainTaskHasLeftOpen) {
  SocketPair open;
  SocketPair closed;
  Reported reported;
  {
    Runner runner({.debug = true});
    reported.listen(runner.get_loop().loop());
    const auto first = runner.run(connect(runner.get_loop().loop(), open.take())).second;
    auto second = runner.run(connect(runner.get_loop().loop(), closed.take())).second;
    second->transport.close();
    runner.close();
    EXPECT_THAT(second->log, ElementsAre("made", "lost"));
  }
  EXPECT_THAT(reported.messages, ElementsAre(StartsWith("unclosed transport")));
}

}  // namespace
}  // namespace weft::loop
