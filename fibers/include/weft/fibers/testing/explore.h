// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Runs a body under many schedules: all there are, random ones, or ones that look for rare orders.
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
// The order in which ready tasks run is all that is arbitrary in a run under a MockClock without
// threads and without the world outside, so a body that holds in every schedule holds. Each
// schedule is a run of its own, whose clock jumps when everybody waits. A body fails by throwing,
// by waiting for what can never happen (DeadlockError), by not coming to an end, or by what
// `failed` says. The error then names one token, and
//
//   WEFT_REPLAY=s0102 build/my_test --gtest_filter=...
//
// runs that schedule alone, under a debugger if wanted. EXPLORE_TEST (fiber_test.h) is the form for
// GoogleTest.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace weft::fibers::testing {

enum class Strategy : std::uint8_t {
  // Every schedule, depth first, until all have been run or `schedules` is reached.
  kExhaustive,
  // Every choice at random.
  kRandom,
  // Tasks have random priorities and the one with the highest runs, but at `depth` - 1 random
  // moments the running task's falls below all others. Finds a bug that needs `depth` steps in a
  // certain order with a probability that does not vanish with many tasks. (Burckhardt and others:
  // A randomized scheduler with probabilistic guarantees of finding bugs, 2010.)
  kPct,
};

struct ExploreOptions {
  Strategy strategy = Strategy::kExhaustive;
  // The most schedules to run.
  std::uint64_t schedules = 100'000;
  // Where random strategies begin. Each schedule has a seed of its own that follows from this.
  std::uint64_t seed = 0;
  // Of kPct.
  unsigned depth = 3;
  // kExhaustive: choices of one schedule beyond this many are not branched at.
  std::size_t choices = 10'000;
  // Steps of tasks after which a schedule counts as one that never ends.
  std::uint64_t steps = 100'000;
  // Only orders that a run can have: who becomes ready waits for those who were ready before. With
  // false any ready task may run next: more is tried than a run can do.
  bool fair = true;
  // Asked after each schedule; true says that it failed.
  std::function<bool()> failed = nullptr;
  // Bytes of a task's stack.
  std::size_t stack_size = 64 * 1024;
  // A token: run that schedule alone. Empty: what the environment's WEFT_REPLAY says.
  std::string replay = {};
};

struct ExploreResult {
  std::uint64_t schedules = 0;  // How many were run,
  std::uint64_t pruned = 0;     // of these not to the end of their branches: see prune().
  bool exhausted = false;       // Whether there is no other.
  std::size_t choices = 0;      // The most in one schedule where there was more than one task.
  // What all of them did: who ran, and what was waited for. The same body with the same options has
  // the same, with any compiler and optimisation.
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

// What a body may ask of the exploration that runs it.
class Exploration {
 public:
  // Lets kExhaustive leave out what comes after a state that has been seen before: where all tasks
  // stand, what their stacks hold, the time, and `rest`, a hash of what they share elsewhere (on
  // the heap, as a channel's buffer is). Whoever leaves something out of `rest` may miss failures.
  // For the rest of the schedule; `rest` must not wait.
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
// first failure; UsageError for a token that is none, and for a body that does not do the same in
// the same schedule.
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
