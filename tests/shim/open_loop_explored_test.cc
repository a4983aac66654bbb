// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The smallest blocks of open_loop, each in every schedule there is: how the body ends, what is
// alive then, and what comes on top of it. In each whoever is alive cleans up by the help of the
// other kind of code.

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <exception>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "tests/shim/shim_test_support.h"
#include "tests/support/pipe.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/detail/sanitizers.h"
#include "weft/fibers/lone_error.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/async_generator.h"
#include "weft/loop/coro.h"
#include "weft/loop/executor.h"
#include "weft/loop/task.h"
#include "weft/shim/aio_as_trio.h"
#include "weft/shim/open_loop.h"
#include "weft/shim/trio_as_aio.h"

namespace weft::shim {
namespace {

using namespace std::chrono_literals;
using fibers::CancelScope;
using loop::CancelledError;
using loop::Coro;

enum class End : std::uint8_t { kReturns, kThrows, kIsCancelled };
enum class Alive : std::uint8_t {
  kTask,       // Of Trio's, by run_trio_task.
  kCallback,   // Blocked.
  kFunction,   // A task of asyncio's with a stack.
  kCoroutine,  // One without.
  kGenerator,
  kReader,
  kJob,  // Of an executor.
};
enum class Trouble : std::uint8_t { kNone, kStop, kStopTwice, kCtrlC };

constexpr std::array kEnds{"returns", "throws", "is cancelled"};
constexpr std::array kAlive{"task",      "callback", "function", "coroutine",
                            "generator", "reader",   "job"};
constexpr std::array kTroubles{"none", "stop", "stop twice", "Ctrl-C"};

struct BodyFailed : std::runtime_error {
  BodyFailed() : std::runtime_error("body") {}
};

// What has become of what was alive.
struct Seen {
  int begun = 0;
  int ended = 0;
  int helped = 0;
};

// Each of them tells of its end whatever ends it.
struct Alone {
  explicit Alone(Seen& s) : seen(s) { ++seen.begun; }
  Alone(const Alone&) = delete;
  Alone& operator=(const Alone&) = delete;
  ~Alone() { ++seen.ended; }
  Seen& seen;
};

void live_in_task(Seen& seen) {
  const Alone alone(seen);
  try {
    fibers::sleep_forever();
  } catch (const fibers::Cancelled&) {
    CancelScope shield({.shield = true});
    shield.run([&] { aio_as_trio([&] { ++seen.helped; })(); });
    throw;
  }
}

void live_in_callback(Seen& seen) {
  const Alone alone(seen);
  try {
    fibers::sleep_forever();
  } catch (const fibers::Cancelled&) {
    CancelScope shield({.shield = true});
    shield.run([&] { await(run_trio([&] { ++seen.helped; })); });
    throw;
  }
}

void live_in_function(EventLoop& loop, Seen& seen) {
  const Alone alone(seen);
  bool cancelled = false;
  try {
    await(loop.create_future<void>());
  } catch (const CancelledError&) {
    cancelled = true;
  }
  if (cancelled) await(run_trio([&] { ++seen.helped; }));
}

Coro<void> live_in_coroutine(Seen* seen) {
  const Alone alone(*seen);
  bool cancelled = false;
  try {
    co_await loop::sleep(1h);
  } catch (const CancelledError&) {
    cancelled = true;
  }
  if (!cancelled) co_return;
  const auto helper = run_trio([seen] { ++seen->helped; });
  co_await helper;
}

loop::AsyncGenerator<int> live_in_generator(Seen* seen) {
  const Alone alone(*seen);
  std::exception_ptr exit;
  try {
    co_yield 1;
  } catch (const loop::GeneratorExit&) {
    exit = std::current_exception();
  }
  co_await loop::sleep(0s);
  ++seen->helped;
  if (exit != nullptr) std::rethrow_exception(exit);
}

// Calls its jobs in a task of this thread: schedules are of this thread alone.
class HereExecutor final : public loop::Executor {
 public:
  explicit HereExecutor(Seen& seen) : seen_(seen) {}

 private:
  void execute(Job job) override {
    run_trio_task([job = std::move(job), &seen = seen_]() mutable {
      const Alone alone(seen);
      CancelScope shield({.shield = true});  // A thread cannot be cancelled.
      shield.run([] { fibers::checkpoint(); });
      job();
      ++seen.helped;
    });
  }
  void shut_down(const loop::ShutdownOptions& /*options*/) override {}
  Seen& seen_;
};

struct Scenario {
  End end;
  Alive alive;
  Trouble trouble;

  void start(EventLoop& loop, Seen& seen) {
    switch (alive) {
      case Alive::kTask:
        return run_trio_task([&seen] { live_in_task(seen); });
      case Alive::kCallback:
        loop.call_soon([&seen] { live_in_callback(seen); });
        return;
      case Alive::kFunction:
        loop.create_task([&loop, &seen] { live_in_function(loop, seen); });
        return;
      case Alive::kCoroutine:
        loop.create_task(live_in_coroutine(&seen));
        return;
      case Alive::kGenerator:
        generator = live_in_generator(&seen);
        EXPECT_EQ(await(loop.create_task(generator->next())), 1);
        return;
      case Alive::kReader:
        loop.add_reader(pipe[0], [&seen] { ++seen.helped; });
        return;
      case Alive::kJob:
        executor.emplace(seen);
        static_cast<void>(loop.run_in_executor(&*executor, [] {}));
    }
  }

  void disturb(EventLoop& loop) const {
    switch (trouble) {
      case Trouble::kNone:
        return;
      case Trouble::kStop:
        return loop.stop();
      case Trouble::kStopTwice:
        loop.call_soon([&loop] {
          loop.stop();
          loop.call_soon([&loop] { loop.stop(); });
        });
        return;
      case Trouble::kCtrlC:
        loop.call_soon([] { std::raise(SIGINT); });
    }
  }

  void run(Seen& seen) {
    const CapturedLog log;  // A Ctrl-C may take the place of a Cancelled.
    std::exception_ptr error;
    CancelScope scope;
    scope.run([&] {
      try {
        open_loop([&](EventLoop& loop) {
          start(loop, seen);
          disturb(loop);
          if (end == End::kThrows) throw BodyFailed();
          if (end == End::kIsCancelled) scope.cancel();
          fibers::checkpoint();
        });
      } catch (const fibers::Cancelled&) {
        throw;
      } catch (...) {
        error = std::current_exception();
      }
    });
    expect_end(error, seen);
  }

  void expect_end(const std::exception_ptr& error, const Seen& seen) const {
    EXPECT_EQ(seen.begun, seen.ended);
    if (trouble == Trouble::kCtrlC) return;  // It may come before anything has begun.
    EXPECT_EQ(seen.begun, alive == Alive::kReader ? 0 : 1) << "what is submitted begins";
    EXPECT_EQ(holds<BodyFailed>(inside_two_groups(error)), end == End::kThrows);
    // What cancels the block from outside reaches generators where they wait.
    if (alive == Alive::kGenerator && end == End::kIsCancelled) return;
    EXPECT_EQ(seen.helped, seen.begun);
  }

  std::optional<loop::AsyncGenerator<int>> generator = {};
  std::optional<HereExecutor> executor = {};
  test::Pipe pipe = {};
};

// What a sanitizer finds does not take every order, and a run takes ten times as long there.
fibers::testing::ExploreOptions schedules_here() {
#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
  return {.strategy = fibers::testing::Strategy::kRandom, .schedules = 200};
#else
  return {};
#endif
}

class OpenLoopExplored : public ::testing::TestWithParam<std::tuple<int, int>> {
 protected:
  static void TearDownTestSuite() { std::cout << total << " schedules of open_loop in all\n"; }
  static inline std::uint64_t total = 0;
};

TEST_P(OpenLoopExplored, EndsInEverySchedule) {
  const auto [alive, trouble] = GetParam();
  for (std::size_t end = 0; end < kEnds.size(); ++end) {
    const auto run = [&] {
      Seen seen;
      Scenario scenario{static_cast<End>(end), static_cast<Alive>(alive),
                        static_cast<Trouble>(trouble)};
      scenario.run(seen);
    };
    const auto result = fibers::testing::explore_test(run, schedules_here());
    total += result.schedules;
    std::cout << result.schedules << " schedules: the body " << kEnds[end]
              << ", alive: " << kAlive[static_cast<std::size_t>(alive)]
              << ", on top: " << kTroubles[static_cast<std::size_t>(trouble)] << '\n';
  }
}

TEST(OpenLoopExploredTest, CtrlCAtAnyMomentOfTheStartEndsTheBlock) {
  const auto run = [] {
    const CapturedLog log;
    const auto error = error_of([] {
      fibers::open_nursery([](fibers::Nursery& nursery) {
        nursery.start_soon([] { std::raise(SIGINT); });
        fibers::checkpoint();
        open_loop([](EventLoop&) { fibers::sleep_forever(); });
      });
    });
    EXPECT_TRUE(holds<fibers::KeyboardInterrupt>(fibers::lone_error(error)));
  };
  const auto result = fibers::testing::explore_test(run, schedules_here());
  std::cout << result.schedules << " schedules: Ctrl-C while the block begins\n";
}

INSTANTIATE_TEST_SUITE_P(, OpenLoopExplored,
                         ::testing::Combine(::testing::Range(0, 7), ::testing::Range(0, 4)));

}  // namespace
}  // namespace weft::shim
