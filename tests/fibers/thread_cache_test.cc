// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/thread_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fibers/core/context.h"  // WEFT_TSAN
#include "tests/support/captured_log.h"
#include "weft/fibers/exception_group.h"

namespace weft::fibers {
namespace {

void start(std::function<void()> work, std::function<void()> deliver) {
  start_thread_soon(std::move(work), [deliver = std::move(deliver)](Outcome<void>) { deliver(); });
}

// trio: test_thread_cache.py::test_thread_cache_basics
TEST(ThreadCacheTest, DeliverGetsTheOutcomeInTheThreadOfTheCall) {
  struct Seen {
    std::thread::id work, deliver;
    std::exception_ptr error;
  };
  std::promise<Seen> failed;
  start_thread_soon([]() -> int { throw std::out_of_range("far"); },
                    [&](Outcome<int> outcome) {
                      failed.set_value({{}, std::this_thread::get_id(), outcome.error()});
                    });
  const Seen seen = failed.get_future().get();
  EXPECT_TRUE(holds<std::out_of_range>(seen.error));
  EXPECT_NE(seen.deliver, std::this_thread::get_id());
  std::promise<Seen> returned;
  start_thread_soon([] { return std::make_unique<std::thread::id>(std::this_thread::get_id()); },
                    [&](Outcome<std::unique_ptr<std::thread::id>> outcome) {
                      returned.set_value({*outcome.unwrap(), std::this_thread::get_id(), nullptr});
                    });
  const Seen of_value = returned.get_future().get();
  EXPECT_EQ(of_value.work, of_value.deliver);
}

// trio: test_thread_cache.py::test_raise_in_deliver
TEST(ThreadCacheTest, ADeliverThatThrowsIsLoggedAndTheThreadGoesOn) {
  const test::CapturedLog log;
  std::promise<std::thread::id> failing;
  start([&] { failing.set_value(std::this_thread::get_id()); },
        [] { throw std::out_of_range("far"); });
  const std::thread::id thread = failing.get_future().get();
  // What runs in that thread next runs after deliver().
  const auto next_thread = [] {
    std::promise<std::thread::id> next;
    start([&] { next.set_value(std::this_thread::get_id()); }, [] {});
    return next.get_future().get();
  };
  while (next_thread() != thread) {
  }
  ASSERT_EQ(log.lines.size(), 1U);
  EXPECT_THAT(log.lines.front(), ::testing::HasSubstr("far"));
}

// trio: test_thread_cache.py::test_clear_thread_cache_after_fork
TEST(ThreadCacheTest, TheChildOfAForkHasThreadsOfItsOwn) {
#ifdef WEFT_TSAN
  GTEST_SKIP() << "under TSan the child of a process with threads cannot start any";
#endif
  std::promise<void> warm;
  start([] {}, [&] { warm.set_value(); });
  warm.get_future().wait();
  const pid_t child = ::fork();
  if (child == 0) {
    std::promise<void> ran;
    start([&] { ran.set_value(); }, [] {});
    ran.get_future().wait();
    ::_exit(7);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

// trio: test_thread_cache.py::test_thread_cache_deref
TEST(ThreadCacheTest, WorkIsDestroyedWhenItIsDone) {
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  std::promise<void> delivered, next_started;
  start([held = std::exchange(held, nullptr)] {}, [&] { delivered.set_value(); });
  delivered.get_future().wait();
  // The thread is idle, so it takes this too, after it has put the first work away.
  start([&] { next_started.set_value(); }, [] {});
  next_started.get_future().wait();
  EXPECT_TRUE(watch.expired());
}

// trio: test_thread_cache.py::test_spawning_new_thread_from_deliver_reuses_starting_thread
TEST(ThreadCacheTest, WorkStartedByDeliverRunsInTheSameThread) {
  std::promise<void> done;
  std::vector<std::thread::id> seen;
  std::function<void(int)> hop = [&](int hops) {
    start([&] { seen.push_back(std::this_thread::get_id()); },
          [&, hops] { hops > 0 ? hop(hops - 1) : done.set_value(); });
  };
  hop(4);
  done.get_future().wait();
  ASSERT_EQ(seen.size(), 5U);
  for (const std::thread::id id : seen) EXPECT_EQ(id, seen.front());
}

// Threads that become idle while it lives are not kept for long.
struct ShortIdling {
  explicit ShortIdling(std::chrono::nanoseconds timeout) {
    detail::set_thread_idle_timeout(timeout);
  }
  ShortIdling(const ShortIdling&) = delete;
  ShortIdling& operator=(const ShortIdling&) = delete;
  ~ShortIdling() { detail::set_thread_idle_timeout(kThreadIdleTimeout); }
};

// trio: test_thread_cache.py::test_idle_threads_exit
TEST(ThreadCacheTest, AThreadThatHasNothingToDoEnds) {
  const ShortIdling idling(std::chrono::milliseconds(1));
  std::promise<pid_t> ran;
  start([&] { ran.set_value(::gettid()); }, [] {});
  const std::string thread = "/proc/self/task/" + std::to_string(ran.get_future().get());
  while (::access(thread.c_str(), F_OK) == 0) std::this_thread::yield();
}

// trio: test_thread_cache.py::test_race_between_idle_exit_and_job_assignment
TEST(ThreadCacheTest, WorkGivenToAThreadInItsLastMomentIsDone) {
  const ShortIdling idling(std::chrono::nanoseconds(1));
  for (int i = 0; i < 500; ++i) {
    std::promise<void> delivered;
    start([] {}, [&] { delivered.set_value(); });
    delivered.get_future().wait();
    if (i % 2 == 0) std::this_thread::yield();
  }
}

// The order in which they are used again.
TEST(ThreadCacheTest, ThreadThatBecameIdleLastIsUsedFirst) {
  struct Thread {
    std::promise<std::thread::id> started;
    std::promise<void> may_end, ended;
  };
  std::array<Thread, 2> threads;
  std::array<std::thread::id, 2> ids;
  for (std::size_t i = 0; i < 2; ++i) {
    Thread& thread = threads[i];
    start(
        [&thread] {
          thread.started.set_value(std::this_thread::get_id());
          thread.may_end.get_future().wait();
        },
        [&thread] { thread.ended.set_value(); });
    ids[i] = thread.started.get_future().get();
  }
  EXPECT_NE(ids[0], ids[1]);
  for (const std::size_t i : {1U, 0U}) {
    threads[i].may_end.set_value();
    threads[i].ended.get_future().wait();
  }
  std::promise<std::thread::id> reused;
  start([&] { reused.set_value(std::this_thread::get_id()); }, [] {});
  EXPECT_EQ(reused.get_future().get(), ids[0]);
}

}  // namespace
}  // namespace weft::fibers
