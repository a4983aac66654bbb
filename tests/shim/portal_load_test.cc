// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The portal called from several threads at once, against cancellation and the end of the run.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "tests/shim/shim_test_support.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/loop/errors.h"
#include "weft/shim/portal.h"

namespace weft::shim {
namespace {

using fibers::CancelScope;
using fibers::Nursery;
using fibers::open_nursery;

// Threads of a library, each with a queue of what it has to call.
class Threads {
 public:
  explicit Threads(std::size_t count) : lanes_(count) {
    for (Lane& lane : lanes_) lane.thread = std::thread([&lane] { lane.serve(); });
  }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() { join(); }

  void call(std::size_t which, std::function<void()> fn) { lanes_[which].push(std::move(fn)); }
  std::size_t count() const { return lanes_.size(); }
  // When all has been called.
  void join() {
    for (Lane& lane : lanes_) {
      if (!lane.thread.joinable()) continue;
      lane.push(nullptr);
      lane.thread.join();
    }
  }

 private:
  struct Lane {
    void push(std::function<void()> fn) {
      const std::lock_guard lock(mutex);
      queue.push_back(std::move(fn));
      changed.notify_one();
    }
    void serve() {
      for (;;) {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return !queue.empty(); });
        const std::function<void()> fn = std::move(queue.front());
        queue.pop_front();
        lock.unlock();
        if (!fn) return;
        fn();
      }
    }
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::function<void()>> queue;
    std::thread thread;
  };
  std::vector<Lane> lanes_;
};

// What became of the waits.
struct Tally {
  int values = 0;
  int errors = 0;
  int acknowledged = 0;  // loop::CancelledError: "it was cancelled", and the task was not.
  int cancelled = 0;
  int broken = 0;

  int sum() const { return values + errors + acknowledged + cancelled + broken; }
};

template <class F>
void tally(Tally& all, F&& wait) {
  try {
    wait();
    ++all.values;
  } catch (const std::out_of_range&) {
    ++all.errors;
  } catch (const loop::CancelledError&) {
    ++all.acknowledged;
  } catch (const fibers::BrokenResourceError&) {
    ++all.broken;
  } catch (const fibers::Cancelled&) {
    ++all.cancelled;
    throw;
  }
}

// Thread `which` calls in a way of its own.
void call_somehow(std::size_t which, const Completion<int>& done) {
  switch (which % 4) {
    case 0:
      return done.complete_threadsafe(static_cast<int>(which));
    case 1:
      return done.cancelled_threadsafe();
    case 2:
      return done.fail_threadsafe(std::make_exception_ptr(std::out_of_range("far")));
    default:
      return;  // Only drops its copy.
  }
}

void start_everywhere(Threads& threads, const Completion<int>& done) {
  for (std::size_t i = 0; i < threads.count(); ++i)
    threads.call(i, [i, done] { call_somehow(i, done); });
}

std::uint64_t uncounted() {
  const PortalStatistics statistics = portal_statistics();
  return statistics.extra_calls + statistics.late_calls;
}

constexpr int kWaits = 300;
constexpr std::size_t kThreads = 8;
constexpr int kCallsAWait = 6;  // Two threads of the eight only drop theirs.

TEST(PortalLoadTest, OfCallsFromSeveralThreadsOneCounts) {
  Threads threads(kThreads);
  const std::uint64_t before = uncounted();
  Tally all;
  fibers::run([&] {
    open_nursery([&](Nursery& nursery) {
      for (int task = 0; task < 10; ++task) {
        nursery.start_soon([&] {
          for (int i = 0; i < kWaits / 10; ++i) {
            tally(all, [&] {
              wait_for_callback<int>(
                  [&](const Completion<int>& done) { start_everywhere(threads, done); },
                  [] { return CancelResult::kWillComplete; });
            });
          }
        });
      }
    });
    threads.join();
  });
  EXPECT_EQ(all.sum(), kWaits);
  EXPECT_EQ(all.cancelled + all.broken, 0);
  // All other calls have been counted, those after the end of the run included.
  EXPECT_EQ(uncounted() - before, std::uint64_t{kWaits} * (kCallsAWait - 1));
}

// The cancellation comes before, between and after the calls.
TEST(PortalLoadTest, ACancellationAmongThemLosesNothing) {
  Threads threads(kThreads);
  const std::uint64_t before = uncounted();
  Tally all;
  int abandoned = 0;
  int scopes_left = 0;
  fibers::run([&] {
    for (int i = 0; i < kWaits; ++i) {
      CancelScope scope;
      open_nursery([&](Nursery& nursery) {
        nursery.start_soon([&scope, i] {
          for (int turn = 0; turn < i % 7; ++turn) fibers::checkpoint();
          scope.cancel();
        });
        scope.run([&] {
          tally(all, [&] {
            wait_for_callback<int>(
                [&](const Completion<int>& done) { start_everywhere(threads, done); },
                [&] {
                  if (i % 2 == 0) return CancelResult::kWillComplete;
                  ++abandoned;
                  return CancelResult::kAbandoned;
                });
          });
        });
        scopes_left += scope.cancelled_caught() ? 1 : 0;
      });
    }
    threads.join();
  });
  EXPECT_EQ(all.sum(), kWaits);
  EXPECT_EQ(all.cancelled, scopes_left);
  EXPECT_EQ(all.broken, 0);
  // Of an abandoned wait no call counted, of each other one did.
  EXPECT_EQ(uncounted() - before,
            std::uint64_t{kWaits} * (kCallsAWait - 1) + static_cast<std::uint64_t>(abandoned));
}

// The run is over while the threads still call.
TEST(PortalLoadTest, TheEndOfTheRunIsNoMatterToThem) {
  Threads threads(kThreads);
  const std::uint64_t before = uncounted();
  int left = 0;
  for (int i = 0; i < kWaits / 10; ++i) {
    fibers::run([&] {
      CancelScope scope;
      scope.run([&] {
        wait_for_callback<int>(
            [&](const Completion<int>& done) {
              for (std::size_t which = 0; which < kThreads; ++which) {
                threads.call(which, [done] {
                  done.complete_threadsafe(1);
                  done.cancelled_threadsafe();
                });
              }
              scope.cancel();
            },
            [] { return CancelResult::kAbandoned; });
      });
      left += scope.cancelled_caught() ? 1 : 0;
    });
  }
  threads.join();
  // A call may have come before the wait began.
  EXPECT_LE(left, kWaits / 10);
  EXPECT_EQ(uncounted() - before + static_cast<std::uint64_t>(kWaits / 10 - left),
            std::uint64_t{kWaits / 10} * kThreads * 2);
}

// All copies are dropped, on threads that do not know of each other.
TEST(PortalLoadTest, TheLastOfManyThreadsToDropItEndsTheWait) {
  Threads threads(kThreads);
  Tally all;
  fibers::run([&] {
    for (int i = 0; i < kWaits; ++i) {
      tally(all, [&] {
        wait_for_callback<int>(
            [&](const Completion<int>& done) {
              for (std::size_t which = 0; which < kThreads; ++which) threads.call(which, [done] {});
            },
            [] { return CancelResult::kWillComplete; });
      });
    }
  });
  EXPECT_EQ(all.broken, kWaits);
}

}  // namespace
}  // namespace weft::shim
