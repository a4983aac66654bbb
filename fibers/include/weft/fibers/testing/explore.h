// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Runs a body under many schedules: all that there are, random ones, or ones that look for rare
// orders.
//
//   explore([] {
//     Semaphore semaphore(1);
//     int inside = 0;
//     open_nursery([&](Nursery& nursery) {
//       for (int i = 0; i < 3; ++i) nursery.start_soon([&] {
//         Guard guard(semaphore);
//         if (++inside > 1) throw std::logic_error("two at once");
//         checkpoint();
//         --inside;
//       });
//     });
//   });
//
// Under a MockClock, without threads and without the world outside, only the order in which ready
// tasks run is arbitrary. So a body that is right in every schedule is right. Each schedule is a
// run of its own, whose clock jumps when every task waits. A body fails if it throws, waits for
// what can never happen (DeadlockError), does not end, or if `failed` returns true. The error then
// names one token, and
//
//   WEFT_REPLAY=s0102 build/my_test --gtest_filter=...
//
// runs that schedule alone, in a debugger if you like. EXPLORE_TEST (fiber_test.h) is the form for
// GoogleTest.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers::testing {

enum class Strategy : std::uint8_t {
  // Every schedule, depth first, until all have been run or `schedules` is reached.
  kExhaustive,
  // Every choice at random.
  kRandom,
  // Tasks have random priorities, and the task with the highest one runs; at `depth` - 1 random
  // moments the running task's priority falls below all others. The probability of finding a bug
  // that needs `depth` steps in a certain order does not vanish with many tasks. (Burckhardt and
  // others: A randomized scheduler with probabilistic guarantees of finding bugs, 2010.)
  kPct,
};

struct ExploreOptions {
  Strategy strategy = Strategy::kExhaustive;
  // The most schedules to run.
  std::uint64_t schedules = 100'000;
  // The start of random strategies. The seed of each schedule is derived from it.
  std::uint64_t seed = 0;
  // Of kPct.
  unsigned depth = 3;
  // kExhaustive: does not branch at choices of one schedule beyond this many.
  std::size_t choices = 10'000;
  // A schedule with more steps of tasks counts as one that never ends.
  std::uint64_t steps = 100'000;
  // Only orders that a run can have: a task that becomes ready waits for those that were ready
  // before it. With false, any ready task may run next; that tries more than a run can do.
  bool fair = true;
  // Called after each schedule. True: it failed.
  std::function<bool()> failed = nullptr;
  // Bytes of a task's stack.
  std::size_t stack_size = 64 * 1024;
  // A token: run only that schedule. Empty: the environment variable WEFT_REPLAY decides.
  std::string replay = {};
};

struct ExploreResult {
  std::uint64_t schedules = 0;  // How many were run,
  std::uint64_t pruned = 0;     // of these not to the end of their branches: see prune().
  bool exhausted = false;       // Whether there is no other.
  std::size_t choices = 0;      // The most in one schedule where there was more than one task.
  // A hash of what all schedules did: which tasks ran, and what they waited for. The same body with
  // the same options gives the same hash, with any compiler and optimisation.
  std::uint64_t trace_hash = 0;
};

// A schedule failed; the error itself is nested.
class ExploreError : public std::runtime_error {
 public:
  ExploreError(const std::string& what, std::string token)
      : std::runtime_error(what), token_(std::move(token)) {}
  // For ExploreOptions::replay.
  const std::string& token() const { return token_; }

 private:
  std::string token_;
};

// The exploration that runs a body, as the body sees it.
class Exploration {
 public:
  // Lets kExhaustive skip what follows a state that it has seen before. A state is where all tasks
  // are, what their stacks hold, the time, and `rest`: a hash of what they share elsewhere (on the
  // heap, such as a channel's buffer). If something is missing from `rest`, failures may be missed.
  // Applies to the rest of the schedule; `rest` must not wait.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void prune(std::function<std::uint64_t()> rest = [] { return std::uint64_t{0}; }) {
    rest_ = std::move(rest);
  }
  const std::function<std::uint64_t()>& rest() const { return rest_; }

 private:
  std::function<std::uint64_t()> rest_;
};

// Whether options or environment ask for one schedule alone.
bool is_replay(const ExploreOptions& options);

namespace detail {
ExploreResult explore_erased(const std::function<void(Exploration&)>& body,
                             const ExploreOptions& options);
}

// Runs `body`, which may take an Exploration&, once for each schedule. Throws ExploreError at the
// first failure; UsageError for an invalid token, and for a body that does not do the same in the
// same schedule.
//
// Blocks: the thread, until all schedules have been run.
// Cancel: does not apply.
// Threads: any, outside a run.
template <class Body>
ExploreResult explore(Body&& body, const ExploreOptions& options = {}) {
  if constexpr (std::is_invocable_v<Body&, Exploration&>) {
    return detail::explore_erased(std::ref(body), options);
  } else {
    return detail::explore_erased([&](Exploration&) { body(); }, options);
  }
}

}  // namespace weft::fibers::testing
