// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The examples of tools/docs/testing.md. What they test is made up here; what stands in the guide
// stands below as it does there.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "weft/fibers/backtrace.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/testing/check_streams.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/left_over.h"
#include "weft/fibers/testing/lockstep_stream.h"
#include "weft/fibers/testing/memory_stream.h"
#include "weft/fibers/testing/open_stream_to_socket_listener.h"
#include "weft/fibers/testing/raises_group.h"
#include "weft/fibers/testing/sequencer.h"
#include "weft/fibers/testing/threads.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/throw_backtrace.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"

using namespace weft::fibers;
using namespace weft::fibers::testing;
using namespace std::chrono_literals;

namespace {

// --- What is tested. ---

void retry_for_ever() {
  for (;;) sleep(10s);
}

class Pool {
 public:
  explicit Pool(int size) : free_(size) {}
  class Connection {
   public:
    explicit Connection(Pool& pool) : pool_(&pool) {
      while (pool.free_ == 0) checkpoint();
      --pool.free_;
      ++pool.users_;
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() {
      --pool_->users_;
      ++pool_->free_;
    }
    int users() const { return pool_->users_; }

   private:
    Pool* pool_;
  };
  Connection take() { return Connection(*this); }

 private:
  int free_;
  int users_ = 0;
};

struct Accounts {
  int ours = 0;
  int theirs = 0;
  int sum() const { return ours + theirs; }
};
void transfer(Accounts& accounts, int amount) {
  checkpoint();
  accounts.ours -= amount;
  accounts.theirs += amount;
  checkpoint();
}

// Keeps what it was asked for last until somebody asks again ten seconds later.
class Cache {
 public:
  int get() {
    if (current_time() >= stale_at_) {
      stale_at_ = current_time() + 10s;
      ++loads_;
    }
    return loads_;
  }

 private:
  Instant stale_at_ = kLongAgo;
  int loads_ = 0;
};

class Mailbox {
 public:
  void put(std::string letter) {
    letters_.push_back(std::move(letter));
    there_.set();
  }
  std::string take() {
    there_.wait();
    return letters_.front();
  }
  std::size_t size() const { return letters_.size(); }

 private:
  Event there_;
  std::deque<std::string> letters_;
};

class Index {
 public:
  void build_in_thread() {
    to_thread::run_sync([this] { built_ = true; });
  }
  bool built() const { return built_; }

 private:
  bool built_ = false;
};

void serve(Stream& stream) {
  for (std::string line; !(line = stream.receive_some()).empty();) {
    stream.send_all(line == "HELO\n" ? "250 hello\n" : "500 what?\n");
  }
}

struct ParseError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct IoError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
void load(const std::string& name) {
  if (name.ends_with(".txt")) throw ParseError("line 1");
  throw IoError(name + ": no such file");
}
void load_all(const std::vector<std::string>& names) {
  open_nursery([&](Nursery& nursery) {
    for (const std::string& name : names) nursery.start_soon([&] { load(name); });
  });
}

void deliver(Stream& stream) {
  stream.send_all("question");
  stream.receive_some();
}

// --- The examples. ---

FIBER_TEST(RetryTest, GivesUpAfterAMinute) {
  const Instant begun = current_time();
  EXPECT_THROW(fail_after(1min, [] { retry_for_ever(); }), TooSlowError);
  EXPECT_EQ(current_time() - begun, 1min);  // in no time
}

TEST(CacheTest, LoadsAgainAfterTenSeconds) {
  MockClock clock;
  run(
      [&] {
        Cache cache;
        EXPECT_EQ(cache.get(), 1);
        clock.jump(9s);
        EXPECT_EQ(cache.get(), 1);
        clock.jump(1s);
        EXPECT_EQ(cache.get(), 2);
      },
      {.clock = &clock});
}

FIBER_TEST(MailboxTest, TakeWaitsForALetter) {
  Mailbox mailbox;
  std::string letter;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { letter = mailbox.take(); });
    wait_all_tasks_blocked();
    EXPECT_EQ(letter, "");
    mailbox.put("hello");
  });
  EXPECT_EQ(letter, "hello");
}

FIBER_TEST(MailboxTest, IsInOrder) {
  Mailbox mailbox;
  Sequencer sequencer;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      sequencer.seq(0, [&] { mailbox.put("first"); });
      sequencer.seq(2, [&] { mailbox.put("third"); });
    });
    nursery.start_soon([&] { sequencer.seq(1, [&] { mailbox.put("second"); }); });
  });
  EXPECT_EQ(mailbox.take(), "first");
}

FIBER_TEST(MailboxTest, PutNeverWaitsAndTakeMay) {
  Mailbox mailbox;
  assert_no_checkpoints([&] { mailbox.put("hello"); });
  assert_checkpoints([&] { mailbox.take(); });
}

FIBER_TEST(IndexTest, IsBuiltInAThread) {
  Index index;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { index.build_in_thread(); });
    wait_all_tasks_blocked();
    EXPECT_LE(active_thread_count(), 1U);
    wait_all_threads_completed();
    EXPECT_TRUE(index.built());
  });
}

FIBER_TEST(ServerTest, AnswersAHello) {
  auto [ours, theirs] = memory_stream_pair();
  open_nursery([&, &ours = ours, &theirs = theirs](Nursery& nursery) {
    nursery.start_soon([&] { serve(theirs); });
    ours.send_all("HELO\n");
    EXPECT_EQ(ours.receive_some(), "250 hello\n");
    ours.send_eof();
  });
}

FIBER_TEST(ServerTest, SurvivesABrokenConnection) {
  auto [ours, theirs] = memory_stream_pair();
  theirs.send_stream.send_all_hook = [] { throw BrokenResourceError(); };
  ours.send_all("HELO\n");
  EXPECT_THROW(serve(theirs), BrokenResourceError);
}

FIBER_TEST(DeliveryTest, NeedsNoBuffer) {
  auto [ours, theirs] = lockstep_stream_pair();
  open_nursery([&, &ours = ours, &theirs = theirs](Nursery& nursery) {
    nursery.start_soon([&] { deliver(ours); });
    EXPECT_EQ(theirs.receive_some(), "question");
    theirs.send_all("answer");
  });
}

FIBER_TEST(MyStreamTest, IsAStream) {
  check_two_way_stream([] { return memory_stream_pair(); },
                       [] { return lockstep_stream_pair(); });  // no room to send
}

TEST(ServerTest, AnswersOverTcp) {
  run([] {
    auto listeners = open_tcp_listeners(0, {.host = "127.0.0.1"});
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        SocketStream stream = listeners.front().accept();
        serve(stream);
      });
      SocketStream client = open_stream_to_socket_listener(listeners.front());
      client.send_all("HELO\n");
      EXPECT_EQ(client.receive_some(), "250 hello\n");
      client.send_eof();
    });
  });
}

FIBER_TEST(LoadTest, ReportsEveryFileThatFails) {
  EXPECT_THAT(thrown_by([] {
                load_all({"a.txt", "b.dat"});
              }),
              RaisesGroup(type<ParseError>(), matcher<IoError>({.match = "no such file"})));
}

EXPLORE_TEST(PoolTest, NeverHandsOutTheSameConnectionTwice) {
  Pool pool(1);
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i)
      nursery.start_soon([&] {
        auto connection = pool.take();
        EXPECT_EQ(connection.users(), 1);
        checkpoint();
      });
  });
}

TEST(TransferTest, MovesAllOrNothing) {
  Accounts accounts;
  cancel_sweep(
      [&] {
        accounts = {100, 0};
        transfer(accounts, 30);
      },
      {.check = [&] {
        if (accounts.sum() != 100) throw std::logic_error("money is lost");
      }});
}

TEST(ServerTest, LeavesNothingBehind) {
  const LeftOver since;
  run([] { sleep(1ms); });
  EXPECT_EQ(since.find(), "");
}

TEST(LoadTest, SaysWhereItThrew) {
  record_throw_backtraces(true);
  const std::exception_ptr error = thrown_by([] { load("b.dat"); });
  record_throw_backtraces(false);
  EXPECT_FALSE(throw_backtrace(error).empty());
}

}  // namespace
