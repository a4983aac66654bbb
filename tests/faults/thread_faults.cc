// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <gtest/gtest.h>

#include <chrono>

#include "tests/faults/faults_testing.h"
#include "weft/fibers/event.h"
#include "weft/fibers/from_thread.h"
#include "weft/fibers/lock.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/semaphore.h"
#include "weft/fibers/thread_cache.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"

namespace weft::fibers::testing {
namespace {

FAULT_TEST(ThreadFaults, ToThread) {
  EXPECT_EQ(to_thread::run_sync([] { return 7; }), 7);
}

FAULT_TEST(ThreadFaults, SeveralToThread) {
  int sum = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 1; i <= 3; ++i) {
      nursery.start_soon([&, i] { sum += to_thread::run_sync([i] { return i; }); });
    }
  });
  EXPECT_EQ(sum, 6);
}

FAULT_TEST(ThreadFaults, ThereAndBack) {
  const int got = to_thread::run_sync([] {
    return from_thread::run_sync([] { return 1; }) + from_thread::run([] {
             checkpoint();
             return 2;
           });
  });
  EXPECT_EQ(got, 3);
}

// The threads end at once, and others have to be started.
TEST(ThreadFaults, NewThreads) {
  fibers::detail::set_thread_idle_timeout(std::chrono::nanoseconds(0));
  expect_no_fault_harms([] { EXPECT_EQ(to_thread::run_sync([] { return 7; }), 7); });
  fibers::detail::set_thread_idle_timeout(kThreadIdleTimeout);
}

FAULT_TEST(ThreadFaults, MemoryChannels) {
  auto [send, receive] = open_memory_channel<std::string>(1);
  std::string got;
  open_nursery([&, &to = send, &from = receive](Nursery& nursery) {
    nursery.start_soon([&] {
      for (const char* word : {"one long enough to need memory of its own", "two", "three"}) {
        to.send(word);
      }
      to.close();
    });
    for (auto word = from.next(); word; word = from.next()) got += *word;
  });
  EXPECT_EQ(got, "one long enough to need memory of its owntwothree");
}

FAULT_TEST(ThreadFaults, LocksAndEvents) {
  Lock lock;
  Semaphore semaphore(1);
  Event event;
  int inside = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&] {
        event.wait();
        lock.acquire();
        EXPECT_EQ(++inside, 1);
        checkpoint();
        --inside;
        lock.release();
      });
    }
    semaphore.acquire();
    sleep(std::chrono::seconds(1));
    semaphore.release();
    event.set();
  });
}

}  // namespace
}  // namespace weft::fibers::testing
