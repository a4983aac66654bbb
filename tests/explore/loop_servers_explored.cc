// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Servers, and streams over their connections, whose clients come and go at any time.

#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "tests/explore/outside.h"
#include "tests/loop/server_testing.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/server.h"
#include "weft/loop/streams.h"
#include "weft/loop/task.h"

namespace weft::loop {
namespace {

using fibers::checkpoint;
using namespace testing;  // NOLINT: the helpers of the folder.

// The protocols of a server's connections, as they come.
struct Accepted {
  std::shared_ptr<StrictProtocol> make() {
    return all.emplace_back(std::make_shared<StrictProtocol>());
  }
  int open() const {
    int count = 0;
    for (const auto& each : all) count += each->is_made && !each->is_lost ? 1 : 0;
    return count;
  }
  std::vector<std::shared_ptr<StrictProtocol>> all;
};

Server serve(EventLoop& loop, Accepted& accepted) {
  return await(loop.create_unix_server([&accepted] { return accepted.make(); }, free_name()));
}

// What a client that says `word` hears until the connection ends.
std::string talk(std::string_view word) {
  const int fd = connect_to_name(free_name());
  if (fd < 0) return "refused";
  send_to(fd, word);
  std::string heard = read_to_end(fd);
  ::close(fd);
  return heard;
}

// --- Servers. ---

// explores: loop.create_unix_server
EXPLORE_TEST(LoopServerExplored, AClientThatComesWhileItIsClosedIsServedOrSentAway) {
  with_loop([](EventLoop& loop) {
    Accepted accepted;
    Server server = serve(loop, accepted);
    together([&] { server.close(); }, [&] { talk("hello"); },
             [&] {
               checkpoint();
               server.close_clients();
             });
    await(server.wait_closed());
    EXPECT_EQ(accepted.open(), 0);
  });
}

// explores: loop.create_unix_server
EXPLORE_TEST(LoopServerExplored, AFactoryThatWaitsFindsItsServerClosed) {
  with_loop([](EventLoop& loop) {
    Accepted accepted;
    Server server = await(loop.create_unix_server(
        [&accepted] {
          checkpoint();
          return accepted.make();
        },
        free_name()));
    together([&] { talk("hello"); },
             [&] {
               checkpoint();
               server.close();
               server.abort_clients();
             });
    await(server.wait_closed());
    EXPECT_EQ(accepted.open(), 0);
  });
}

// explores: loop.create_unix_server
EXPLORE_TEST(LoopServerExplored, EveryClientIsServedByAProtocolOfItsOwn) {
  with_loop([](EventLoop& loop) {
    Accepted accepted;
    Server server = serve(loop, accepted);
    const auto client = [&](const char* word) {
      const int fd = connect_to_name(free_name());
      send_to(fd, word);
      ::shutdown(fd, SHUT_WR);
      EXPECT_EQ(read_to_end(fd), "");
      ::close(fd);
    };
    together([&] { client("one"); }, [&] { client("two"); });
    server.close();
    await(server.wait_closed());
    ASSERT_EQ(accepted.all.size(), 2u);
    EXPECT_EQ(accepted.all[0]->received.size() + accepted.all[1]->received.size(), 6u);
    EXPECT_NE(accepted.all[0]->received, accepted.all[1]->received);
  });
}

// explores: loop.create_unix_server
EXPLORE_TEST(LoopServerExplored, ACancelledStartLeavesTheNameFree) {
  with_loop([](EventLoop& loop) {
    Accepted accepted;
    Server server;
    fibers::CancelScope leaves;
    together([&] { leaves.run([&] { server = serve(loop, accepted); }); },
             [&] { leaves.cancel(); });
    if (server) server.close();
    EXPECT_EQ(connect_to_name(free_name()), -1);
  });
}

// explores: loop.Server.wait_closed
EXPLORE_TEST(LoopServerExplored, WaitClosedEndsWithTheLastConnectionAndNotBefore) {
  with_loop([](EventLoop& loop) {
    Accepted accepted;
    Server server = serve(loop, accepted);
    together([&] { talk(""); },
             [&] {
               await(server.wait_closed());
               EXPECT_EQ(accepted.open(), 0);
               EXPECT_FALSE(server.is_serving());
             },
             [&] {
               checkpoint();
               server.close();
               checkpoint();
               server.close_clients();
             });
  });
}

// explores: loop.Server.wait_closed
EXPLORE_TEST(LoopServerExplored, AWaitClosedThatIsCancelledKeepsNobodyElse) {
  with_loop([](EventLoop& loop) {
    Accepted accepted;
    Server server = serve(loop, accepted);
    fibers::CancelScope leaves;
    auto task = loop.create_task(server.wait_closed());
    together([&] { leaves.run([&] { await(server.wait_closed()); }); }, [&] { leaves.cancel(); },
             [&] { server.close(); });
    await(task);
  });
}

// explores: loop.Server.wait_closed
EXPLORE_TEST(LoopServerExplored, ClientsThatLeaveByThemselvesEndIt) {
  with_loop([](EventLoop& loop) {
    Accepted accepted;
    Server server = serve(loop, accepted);
    const int first = connect_to_name(free_name());
    const int second = connect_to_name(free_name());
    together([&] { ::close(first); }, [&] { ::close(second); }, [&] { server.close(); });
    await(server.wait_closed());
    EXPECT_EQ(accepted.open(), 0);
  });
}

// explores: loop.Server.serve_forever
EXPLORE_TEST(LoopServerExplored, ServeForeverEndsWhenItIsCancelledAndHasClosed) {
  with_loop([](EventLoop& loop) {
    Accepted accepted;
    Server server = serve(loop, accepted);
    auto task = loop.create_task(server.serve_forever());
    together([&] { task.cancel(); },
             [&] {
               const int fd = connect_to_name(free_name());
               checkpoint();
               if (fd >= 0) ::close(fd);
             });
    wait(task);
    EXPECT_TRUE(task.cancelled());
    server.close();  // It has not closed it if it was cancelled before it began.
    await(server.wait_closed());
    EXPECT_EQ(accepted.open(), 0);
  });
}

// explores: loop.Server.serve_forever
EXPLORE_TEST(LoopServerExplored, ServeForeverEndsOnceWhoeverEndsIt) {
  with_loop([](EventLoop& loop) {
    Accepted accepted;
    Server server = serve(loop, accepted);
    auto task = loop.create_task(server.serve_forever());
    loop.synchronize();  // It has begun.
    together([&] { server.close(); }, [&] { task.cancel(); }, [&] { wait(task); });
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(connect_to_name(free_name()), -1);
  });
}

// explores: loop.Server.serve_forever
EXPLORE_TEST(LoopServerExplored, ASecondServeForeverIsRefusedAndChangesNothing) {
  with_loop([](EventLoop& loop) {
    Accepted accepted;
    Server server = serve(loop, accepted);
    fibers::CancelScope leaves;
    int refused = 0;
    const auto serves = [&] {
      try {
        leaves.run([&] { await(server.serve_forever()); });
      } catch (const fibers::UsageError&) {
        ++refused;
        leaves.cancel();
      }
    };
    together(serves, serves);
    EXPECT_EQ(refused, 1);
    EXPECT_FALSE(server.is_serving());
  });
}

// --- Streams. ---

// explores: loop.start_unix_server
EXPLORE_TEST(LoopStreamsExplored, AnEchoGivesBackAllOfIt) {
  with_loop([](EventLoop& loop) {
    Server server = await(start_unix_server(loop, echo, free_name()));
    std::string heard;
    together(
        [&] {
          const int fd = connect_to_name(free_name());
          send_to(fd, "hel");
          checkpoint();
          send_to(fd, "lo");
          ::shutdown(fd, SHUT_WR);
          heard = read_to_end(fd);
          ::close(fd);
        },
        [&] {
          checkpoint();
          checkpoint();
        });
    EXPECT_EQ(heard, "hello");
    stop(server);
  });
}

// explores: loop.start_unix_server
EXPLORE_TEST(LoopStreamsExplored, AServersHandlersEndWithItsClients) {
  int handled = 0;
  with_loop([&](EventLoop& loop) {
    Server server = await(start_unix_server(
        loop,
        [&](StreamReader reader, StreamWriter writer) {
          try {
            await(reader.read(1));
          } catch (const std::exception&) {
          }
          writer.close();
          ++handled;
        },
        free_name()));
    const int client = connect_to_name(free_name());
    together([&] { EXPECT_EQ(read_to_end(client), ""); },
             [&] {
               checkpoint();
               checkpoint();
               server.close();
               server.abort_clients();
             });
    ::close(client);
    await(server.wait_closed());
  });
  EXPECT_LE(handled, 1);
}

// The same, where clients go away while they are answered.
Coro<void> echo_while_there(StreamReader reader, StreamWriter writer) {
  try {
    co_await echo(std::move(reader), std::move(writer));
  } catch (const std::system_error&) {
  }
}

// explores: loop.start_unix_server
EXPLORE_TEST(LoopStreamsExplored, AClientThatGoesDoesNotStopTheServer) {
  with_loop([](EventLoop& loop) {
    Server server = await(start_unix_server(loop, echo_while_there, free_name()));
    together(
        [&] {
          const int fd = connect_to_name(free_name());
          send_to(fd, "lost");
          checkpoint();
          ::close(fd);
        },
        [&] {
          const int fd = connect_to_name(free_name());
          send_to(fd, "kept");
          ::shutdown(fd, SHUT_WR);
          EXPECT_EQ(read_to_end(fd), "kept");
          ::close(fd);
        });
    stop(server);
  });
}

// Streams over a connection whose other end is the test's.
struct Streams {
  explicit Streams(EventLoop& loop) : Streams(await(open_unix_connection(loop, free_name()))) {}
  explicit Streams(std::pair<StreamReader, StreamWriter> both)
      : reader(std::move(both.first)),
        writer(std::move(both.second)),
        transport(writer.transport()) {}
  StreamReader reader;
  StreamWriter writer;
  Transport transport;
};

// A socket that listens at free_name(), and the first connection that comes.
class Listening {
 public:
  Listening() : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = free_name();
    name.copy(address.sun_path, sizeof address.sun_path);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(fd_, 1), 0);
  }
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;
  ~Listening() {
    close_peer();
    ::close(fd_);
  }
  bool accept() {
    peer_ = ::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return peer_ >= 0;
  }
  int peer() const { return peer_; }
  void close_peer() {
    if (peer_ >= 0) ::close(std::exchange(peer_, -1));
  }

 private:
  int fd_;
  int peer_ = -1;
};

// explores: loop.open_unix_connection
EXPLORE_TEST(LoopStreamsExplored, AReadThatIsCancelledLeavesWhatHasCome) {
  with_loop([](EventLoop& loop) {
    Listening listening;
    Streams streams(loop);
    ASSERT_TRUE(listening.accept());
    std::string line;
    fibers::CancelScope leaves;
    together([&] { leaves.run([&] { line = await(streams.reader.readuntil("\n")); }); },
             [&] {
               send_to(listening.peer(), "li");
               checkpoint();
               send_to(listening.peer(), "ne\n");
             },
             [&] { leaves.cancel(); });
    if (line.empty()) line = await(streams.reader.readuntil("\n"));
    EXPECT_EQ(line, "line\n");
    streams.writer.close();
    await(streams.writer.wait_closed());
  });
}

// explores: loop.open_unix_connection
EXPLORE_TEST(LoopStreamsExplored, ADrainEndsWhenTheConnectionIsLost) {
  with_loop([](EventLoop& loop) {
    Listening listening;
    Streams streams(loop);
    ASSERT_TRUE(listening.accept());
    streams.transport.set_write_buffer_limits(1000);
    int ended = 0;
    together(
        [&] {
          streams.writer.write(std::string(1 << 20, 'x'));
          try {
            await(streams.writer.drain());
          } catch (const std::exception&) {
          }
          ++ended;
        },
        [&] { listening.close_peer(); });
    EXPECT_EQ(ended, 1);
    streams.writer.close();
    try {
      await(streams.writer.wait_closed());
    } catch (const std::exception&) {
    }
  });
}

// explores: loop.open_unix_connection
EXPLORE_TEST(LoopStreamsExplored, WaitClosedHearsOfAnAbortAndOfAPeerThatGoes) {
  with_loop([](EventLoop& loop) {
    Listening listening;
    Streams streams(loop);
    ASSERT_TRUE(listening.accept());
    together(
        [&] {
          streams.writer.close();
          await(streams.writer.wait_closed());
        },
        [&] { streams.transport.abort(); }, [&] { listening.close_peer(); });
    EXPECT_TRUE(streams.reader.at_eof());
  });
}

// explores: loop.open_unix_connection
EXPLORE_TEST(LoopStreamsExplored, AnOpenThatIsCancelledLeavesNoConnection) {
  with_loop([](EventLoop& loop) {
    Listening listening;
    fibers::CancelScope leaves;
    together(
        [&] {
          leaves.run([&] {
            Streams streams(loop);
            streams.writer.close();
            await(streams.writer.wait_closed());
          });
        },
        [&] { leaves.cancel(); });
    if (!listening.accept()) return;  // Cancelled before it has begun.
    EXPECT_EQ(read_to_end(listening.peer()), "");
  });
}

}  // namespace
}  // namespace weft::loop
