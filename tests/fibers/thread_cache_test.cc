// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/src/thread_cache.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace weft::fibers {
namespace {

class Job final : public ThreadWork {
 public:
  Job(std::function<void()> work, std::function<void()> deliver)
      : work_(std::move(work)), deliver_(std::move(deliver)) {}
  void run() noexcept override { work_(); }
  void deliver() noexcept override { deliver_(); }

 private:
  std::function<void()> work_;
  std::function<void()> deliver_;
};

void start(std::function<void()> work, std::function<void()> deliver) {
  start_thread_soon(std::make_unique<Job>(std::move(work), std::move(deliver)), {});
}

// Trio: test_thread_cache.py::test_thread_cache_deref
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

// Trio: test_thread_cache.py::test_spawning_new_thread_from_deliver_reuses_starting_thread
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

// Trio: test_thread_cache.py::test_idle_threads_exit (the order in which they are used again)
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
