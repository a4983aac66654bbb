// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Tasks that wait inside catch blocks, in destructors during unwinding and in both inside each
// other keep their own `throw;`, std::current_exception and std::uncaught_exceptions, whatever the
// order in which they run.
//
// A schedule here is one turn of the scheduler: every task is ready and takes one step, in an order
// that the seeded run shuffles anew each time. What a task does in its step, go on waiting where it
// is, go one level deeper by a throw, or leave, is drawn too. After each wait it checks what the
// language says about the exceptions around it against what it knows.

#include <gtest/gtest.h>

#include <cstdint>
#include <exception>
#include <string>

#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"

namespace weft::fibers {
namespace {

constexpr int kTasks = 6;
constexpr int kDeepest = 4;
constexpr std::uint64_t kSchedules = 1'000'000;

// An exception that says whose it is.
struct Mark {
  int task;
  std::uint64_t number;
  bool operator==(const Mark&) const = default;
};

struct Tally {
  std::uint64_t ticks = 0;
  std::uint64_t throws = 0;
  std::uint64_t checks = 0;
  std::uint64_t wrong = 0;
};

class Actor {
 public:
  Actor(int task, std::uint64_t seed, std::uint64_t end, Tally& tally)
      : task_(task),
        random_(seed * 1000 + static_cast<std::uint64_t>(task)),
        end_(end),
        tally_(tally) {}

  void act() {
    while (!over()) level(0, nullptr, 0);
  }

 private:
  bool over() const { return current_statistics().ticks >= end_; }

  // 0 .. bound - 1.
  std::uint64_t draw(std::uint64_t bound) {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return random_ % bound;
  }

  // Waits some steps, and looks around after each: `handled` is the exception whose catch block is
  // the innermost around this, and `uncaught` are in flight.
  void wait(const Mark* handled, int uncaught) {
    for (std::uint64_t steps = 1 + draw(8); steps > 0; --steps) {
      cancel_shielded_checkpoint();
      look(handled, uncaught);
    }
  }

  void look(const Mark* handled, int uncaught) {
    ++tally_.checks;
    if (std::uncaught_exceptions() != uncaught) ++tally_.wrong;
    const std::exception_ptr current = std::current_exception();
    if (handled == nullptr) {
      if (current != nullptr) ++tally_.wrong;
      return;
    }
    if (current == nullptr) {
      ++tally_.wrong;
      return;
    }
    if (draw(16) != 0) return;  // A throw costs a thousand checks.
    try {
      throw;
    } catch (const Mark& mark) {
      if (mark != *handled || &mark != handled) ++tally_.wrong;
    }
  }

  // One level of nesting, of a kind that is drawn.
  void level(int depth, const Mark* handled, int uncaught) {
    wait(handled, uncaught);
    if (depth == kDeepest || over()) return;
    switch (draw(3)) {
      case 0:
        return in_catch(depth, handled, uncaught);
      case 1:
        return in_destructor(depth, handled, uncaught);
      default:
        return in_both(depth, handled, uncaught);
    }
  }

  [[noreturn]] void raise(const Mark& mark) {
    ++tally_.throws;
    throw mark;
  }

  void in_catch(int depth, const Mark* handled, int uncaught) {
    const Mark mine{task_, ++number_};
    try {
      raise(mine);
    } catch (const Mark& mark) {
      if (mark != mine) ++tally_.wrong;
      level(depth + 1, &mark, uncaught);
    }
    wait(handled, uncaught);
  }

  // Calls `level` while it is being destroyed by an exception.
  struct Unwinding {
    ~Unwinding() { actor.level(depth + 1, handled, uncaught + 1); }
    Actor& actor;
    int depth;
    const Mark* handled;
    int uncaught;
  };

  void in_destructor(int depth, const Mark* handled, int uncaught) {
    const Mark mine{task_, ++number_};
    try {
      const Unwinding unwinding{*this, depth, handled, uncaught};
      raise(mine);
    } catch (const Mark& mark) {
      if (mark != mine) ++tally_.wrong;
    }
    look(handled, uncaught);
  }

  // Waits while a `throw;` unwinds its own handler: one more exception is in flight.
  struct Rethrown {
    ~Rethrown() {
      cancel_shielded_checkpoint();
      ++actor.tally_.checks;
      if (std::uncaught_exceptions() != uncaught + 1) ++actor.tally_.wrong;
    }
    Actor& actor;
    int uncaught;
  };

  void in_both(int depth, const Mark* handled, int uncaught) {
    const Mark mine{task_, ++number_};
    try {
      try {
        raise(mine);
      } catch (const Mark& mark) {
        const Rethrown rethrown{*this, uncaught};
        wait(&mark, uncaught);
        throw;
      }
    } catch (const Mark& mark) {
      if (mark != mine) ++tally_.wrong;
      const Mark inner{task_, ++number_};
      try {
        const Unwinding unwinding{*this, depth, &mark, uncaught};
        raise(inner);
      } catch (const Mark& second) {
        if (second != inner) ++tally_.wrong;
        wait(&second, uncaught);
      }
      wait(&mark, uncaught);
    }
    look(handled, uncaught);
  }

  int task_;
  std::uint64_t random_;
  std::uint64_t number_ = 0;
  std::uint64_t end_;
  Tally& tally_;
};

// Runs `schedules` turns of the scheduler.
Tally play(std::uint64_t seed, std::uint64_t schedules) {
  Tally tally;
  run(
      [&] {
        const std::uint64_t begin = current_statistics().ticks;
        open_nursery([&](Nursery& nursery) {
          for (int task = 0; task < kTasks; ++task) {
            nursery.start_soon([&tally, task, seed, end = begin + schedules] {
              Actor(task, seed, end, tally).act();
            });
          }
        });
        tally.ticks = current_statistics().ticks - begin;
      },
      {.schedule_seed = seed});
  return tally;
}

class ExceptionStateStress : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(ExceptionStateStress, EachTaskKeepsItsOwnExceptions) {
  const std::uint64_t schedules = kSchedules / 4;
  const Tally tally = play(GetParam(), schedules);
  EXPECT_EQ(tally.wrong, 0U);
  EXPECT_GE(tally.ticks, schedules);
  EXPECT_GE(tally.checks, schedules * kTasks);
  EXPECT_GE(tally.throws, schedules / 4);
  RecordProperty("throws", std::to_string(tally.throws));
}

INSTANTIATE_TEST_SUITE_P(Seeds, ExceptionStateStress, ::testing::Values(1, 2, 3, 4));

}  // namespace
}  // namespace weft::fibers
