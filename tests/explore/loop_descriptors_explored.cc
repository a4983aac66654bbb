// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Pipes and plain sockets under the loop, whose other end acts at any time.

#include <fcntl.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "tests/explore/outside.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/io.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/task.h"

namespace weft::loop {
namespace {

using fibers::checkpoint;
using namespace testing;  // NOLINT: the helpers of the folder.

// A pipe that takes a page, both ends of which do not block.
class NarrowPipe {
 public:
  NarrowPipe() {
    EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC | O_NONBLOCK), 0);
    EXPECT_GE(::fcntl(ends_[1], F_SETPIPE_SZ, 4096), 0);
  }
  NarrowPipe(const NarrowPipe&) = delete;
  NarrowPipe& operator=(const NarrowPipe&) = delete;
  ~NarrowPipe() {
    close_reader();
    close_writer();
  }
  int take_reader() { return std::exchange(ends_[0], -1); }
  int take_writer() { return std::exchange(ends_[1], -1); }
  void close_reader() { close(ends_[0]); }
  void close_writer() { close(ends_[1]); }
  void put(std::string_view data) const {
    EXPECT_EQ(::write(ends_[1], data.data(), data.size()), static_cast<ssize_t>(data.size()));
  }
  std::string read_to_end() const {
    std::string all;
    std::array<char, 4096> part{};
    for (;;) {
      const ssize_t count = ::read(ends_[0], part.data(), part.size());
      if (count > 0) {
        all.append(part.data(), static_cast<std::size_t>(count));
      } else if (count < 0) {
        fibers::wait_readable(ends_[0]);
      } else {
        return all;
      }
    }
  }

 private:
  static void close(int& end) {
    if (end >= 0) ::close(std::exchange(end, -1));
  }
  std::array<int, 2> ends_{-1, -1};
};

// What is told to the protocol of a pipe.
struct PipeProtocol : Protocol {
  void data_received(std::string_view data) override {
    EXPECT_FALSE(has_eof || is_lost);
    received += data;
  }
  bool eof_received() override {
    EXPECT_FALSE(std::exchange(has_eof, true));
    return false;
  }
  void pause_writing() override { EXPECT_FALSE(std::exchange(is_paused, true)); }
  void resume_writing() override { EXPECT_TRUE(std::exchange(is_paused, false)); }
  void connection_lost(std::exception_ptr error) override {
    EXPECT_FALSE(std::exchange(is_lost, true));
    lost_with = std::move(error);
    lost.set();
  }
  std::string received;
  std::exception_ptr lost_with;
  fibers::Event lost;
  bool has_eof = false;
  bool is_paused = false;
  bool is_lost = false;
};

auto read_from(EventLoop& loop, NarrowPipe& pipe) {
  return await(
      loop.connect_read_pipe([] { return std::make_shared<PipeProtocol>(); }, pipe.take_reader()));
}
auto write_to(EventLoop& loop, NarrowPipe& pipe) {
  return await(
      loop.connect_write_pipe([] { return std::make_shared<PipeProtocol>(); }, pipe.take_writer()));
}

// --- Pipes. ---

// explores: loop.connect_read_pipe
EXPLORE_TEST(LoopReadPipeExplored, WhatHasBeenWrittenComesBeforeTheEnd) {
  with_loop([](EventLoop& loop) {
    NarrowPipe pipe;
    auto [transport, protocol] = read_from(loop, pipe);
    together(
        [&] {
          pipe.put("a");
          checkpoint();
          pipe.put("b");
          pipe.close_writer();
        },
        [&] {
          checkpoint();
          checkpoint();
        });
    protocol->lost.wait();
    EXPECT_EQ(protocol->received, "ab");
    EXPECT_TRUE(protocol->has_eof);
    EXPECT_EQ(protocol->lost_with, nullptr);
  });
}

// explores: loop.connect_read_pipe
EXPLORE_TEST(LoopReadPipeExplored, NothingComesWhileItIsPausedAndAllOfItAfterwards) {
  with_loop([](EventLoop& loop) {
    NarrowPipe pipe;
    auto both = read_from(loop, pipe);
    ReadTransport transport = both.first;
    const auto protocol = both.second;
    together(
        [&] {
          if (transport.is_closing()) return;
          transport.pause_reading();
          const std::string before = protocol->received;
          checkpoint();
          checkpoint();
          EXPECT_EQ(protocol->received, before);
          transport.resume_reading();
        },
        [&] {
          pipe.put("a");
          checkpoint();
          pipe.put("b");
          pipe.close_writer();
        });
    protocol->lost.wait();
    EXPECT_EQ(protocol->received, "ab");
  });
}

// explores: loop.connect_read_pipe
EXPLORE_TEST(LoopReadPipeExplored, ACloseMeetsTheEnd) {
  with_loop([](EventLoop& loop) {
    NarrowPipe pipe;
    auto both = read_from(loop, pipe);
    ReadTransport transport = both.first;
    together([&] { transport.close(); }, [&] { pipe.close_writer(); },
             [&] { both.second->lost.wait(); });
    EXPECT_EQ(both.second->lost_with, nullptr);
  });
}

// explores: loop.connect_write_pipe
EXPLORE_TEST(LoopWritePipeExplored, ACloseWhileWritingIsPausedSendsTheRestFirst) {
  with_loop([](EventLoop& loop) {
    NarrowPipe pipe;
    auto both = write_to(loop, pipe);
    WriteTransport transport = both.first;
    transport.set_write_buffer_limits(1000);
    std::string got;
    together(
        [&] {
          transport.write(long_text());
          checkpoint();
          transport.write("end");
          transport.close();
        },
        [&] { got = pipe.read_to_end(); });
    both.second->lost.wait();
    EXPECT_EQ(got, long_text() + "end");
    EXPECT_EQ(both.second->lost_with, nullptr);
  });
}

// explores: loop.connect_write_pipe
EXPLORE_TEST(LoopWritePipeExplored, AReaderThatGoesEndsItOnce) {
  with_loop([](EventLoop& loop) {
    NarrowPipe pipe;
    auto both = write_to(loop, pipe);
    WriteTransport transport = both.first;
    together([&] { transport.write(long_text()); },
             [&] {
               checkpoint();
               transport.close();
             },
             [&] { pipe.close_reader(); });
    both.second->lost.wait();
  });
}

// explores: loop.connect_write_pipe
EXPLORE_TEST(LoopWritePipeExplored, AnAbortLeavesAPartAndAnEnd) {
  with_loop([](EventLoop& loop) {
    NarrowPipe pipe;
    auto both = write_to(loop, pipe);
    WriteTransport transport = both.first;
    std::string got;
    together([&] { transport.write(long_text()); }, [&] { transport.abort(); },
             [&] { got = pipe.read_to_end(); });
    both.second->lost.wait();
    EXPECT_TRUE(long_text().starts_with(got));
  });
}

// --- Sockets that stay their owner's. ---

// explores: loop.sock_recv
EXPLORE_TEST(LoopSockRecvExplored, WhatIsCancelledHasTakenNothing) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const int fd = pair.transports();
    fibers::CancelScope leaves;
    std::string got;
    together([&] { leaves.run([&] { got = await(loop.sock_recv(fd, 10)); }); },
             [&] { pair.put("a"); }, [&] { leaves.cancel(); });
    if (got.empty()) got = await(loop.sock_recv(fd, 10));
    EXPECT_EQ(got, "a");
  });
}

// explores: loop.sock_recv
EXPLORE_TEST(LoopSockRecvExplored, ATaskOfTheLoopThatIsCancelledHasTakenNothing) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const int fd = pair.transports();
    auto task = loop.create_task(loop.sock_recv(fd, 10));
    together([&] { pair.put("a"); }, [&] { task.cancel(); }, [&] { wait(task); });
    EXPECT_EQ(task.cancelled() ? await(loop.sock_recv(fd, 10)) : task.result(), "a");
  });
}

// explores: loop.sock_recv
EXPLORE_TEST(LoopSockRecvExplored, TheEndComesAfterTheData) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const int fd = pair.transports();
    std::string got;
    together(
        [&] {
          for (;;) {
            const std::string part = await(loop.sock_recv(fd, 10));
            if (part.empty()) break;
            got += part;
          }
        },
        [&] {
          pair.put("a");
          checkpoint();
          pair.put("b");
          pair.close_peer();
        });
    EXPECT_EQ(got, "ab");
  });
}

// explores: loop.sock_sendall
EXPLORE_TEST(LoopSockSendallExplored, AllOfItArrives) {
  with_loop([](EventLoop& loop) {
    NarrowPair pair;
    const int fd = pair.transports();
    std::string got;
    together(
        [&] {
          await(loop.sock_sendall(fd, long_text()));
          ::shutdown(fd, SHUT_WR);
        },
        [&] { got = read_to_end(pair.peer()); });
    EXPECT_EQ(got, long_text());
  });
}

// explores: loop.sock_sendall
EXPLORE_TEST(LoopSockSendallExplored, WhatIsCancelledHasSentAPart) {
  with_loop([](EventLoop& loop) {
    NarrowPair pair;
    const int fd = pair.transports();
    fibers::CancelScope leaves;
    std::string got;
    together(
        [&] {
          leaves.run([&] { await(loop.sock_sendall(fd, long_text())); });
          ::shutdown(fd, SHUT_WR);
        },
        [&] { leaves.cancel(); }, [&] { got = read_to_end(pair.peer()); });
    EXPECT_TRUE(long_text().starts_with(got));
  });
}

// explores: loop.sock_sendall
EXPLORE_TEST(LoopSockSendallExplored, APeerThatGoesIsAnErrorOrNobodysBusiness) {
  with_loop([](EventLoop& loop) {
    NarrowPair pair;
    const int fd = pair.transports();
    bool failed = false;
    together(
        [&] {
          try {
            await(loop.sock_sendall(fd, long_text()));
          } catch (const std::system_error&) {
            failed = true;
          }
        },
        [&] { pair.close_peer(); });
    EXPECT_TRUE(failed);  // It cannot take all of it before that.
  });
}

// explores: loop.add_reader
EXPLORE_TEST(LoopAddReaderExplored, IsCalledAsOftenAsThereIsSomething) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const int fd = pair.transports();
    std::string got;
    loop.add_reader(fd, [&] {
      char c = 0;
      while (::recv(fd, &c, 1, 0) == 1) got += c;
    });
    together(
        [&] {
          pair.put("a");
          checkpoint();
          pair.put("b");
        },
        [&] { pair.put("c"); });
    loop.synchronize();
    loop.synchronize();
    loop.remove_reader(fd);
    EXPECT_EQ(got.size(), 3u);
  });
}

// explores: loop.add_reader
EXPLORE_TEST(LoopAddReaderExplored, IsNotCalledAfterItHasBeenRemoved) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const int fd = pair.transports();
    bool removed = false;
    loop.add_reader(fd, [&] { EXPECT_FALSE(removed); });
    together([&] { pair.put("a"); },
             [&] {
               checkpoint();
               removed = loop.remove_reader(fd);
             },
             [&] { checkpoint(); });
    EXPECT_TRUE(removed);
    loop.synchronize();
  });
}

// explores: loop.add_reader
EXPLORE_TEST(LoopAddReaderExplored, OneThatIsReplacedLeavesItToTheNext) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const int fd = pair.transports();
    bool replaced = false;
    fibers::Event called;
    loop.add_reader(fd, [&] { EXPECT_FALSE(replaced); });
    together([&] { pair.put("a"); },
             [&] {
               replaced = true;
               loop.add_reader(fd, [&] { called.set(); });
             },
             [&] { called.wait(); });
    loop.remove_reader(fd);
  });
}

}  // namespace
}  // namespace weft::loop
