// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A Ctrl-C comes out of run() whenever it arrives, also beside an error. The tests run on the main
// thread of the process, with SIGINT at its default.

#include <gtest/gtest.h>

#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/format_exception.h"
#include "weft/fibers/guest.h"
#include "weft/fibers/instrument.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/mock_clock.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;

template <class E>
bool contains(const std::exception_ptr& error) {
  return error != nullptr && split(error, is_any_of<E>()).first != nullptr;
}

[[noreturn]] void fail() {
  throw std::runtime_error("the error");
}

[[noreturn]] void interrupt_and_fail() {
  std::raise(SIGINT);
  fail();
}

void run_on_thread(const std::function<void()>& body) {
  to_thread::run_sync(body);
}

std::exception_ptr outcome_of(const std::function<void()>& body, const RunOptions& options = {}) {
  try {
    run(body, options);
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

std::exception_ptr outcome_as_guest(const std::function<void()>& body) {
  std::optional<Outcome<void>> outcome;
  const GuestRun guest = start_guest_run(
      body, {.done_callback = [&](Outcome<void> came) { outcome = std::move(came); }});
  while (!guest.done()) guest.tick();
  return outcome->error();
}

void expect_both(const std::exception_ptr& error) {
  ASSERT_NE(error, nullptr);
  EXPECT_TRUE(contains<KeyboardInterrupt>(error)) << format_exception(error);
  EXPECT_TRUE(contains<std::runtime_error>(error)) << format_exception(error);
  // A supervisor that goes on after every std::exception is stopped.
  EXPECT_FALSE(holds<std::exception>(error));
}

// trio: test_ki.py::test_ki_protection_works
TEST(InterruptNeverLostTest, ComesOutBesideTheErrorOfMain) {
  const std::exception_ptr error = outcome_of(interrupt_and_fail);
  expect_both(error);
  const auto* group = exception_cast<BaseExceptionGroup>(error);
  ASSERT_NE(group, nullptr);
  ASSERT_EQ(group->exceptions().size(), 2U);
  EXPECT_TRUE(holds<KeyboardInterrupt>(group->exceptions()[0]));
  EXPECT_TRUE(holds<std::runtime_error>(group->exceptions()[1]));
}

TEST(InterruptNeverLostTest, ComesOutBesideTheErrorOfAThread) {
  expect_both(outcome_of([] { run_on_thread(interrupt_and_fail); }));
}

TEST(InterruptNeverLostTest, ComesOutBesideTheErrorOfAGuest) {
  expect_both(outcome_as_guest(interrupt_and_fail));
}

TEST(InterruptNeverLostTest, ComesOutBesideTheErrorOfAChild) {
  expect_both(outcome_of(
      [] { open_nursery([](Nursery& nursery) { nursery.start_soon(interrupt_and_fail); }); }));
}

TEST(InterruptNeverLostTest, ComesOutBesideTheErrorThatClosesANursery) {
  expect_both(outcome_of([] {
    open_nursery([](Nursery& nursery) {
      nursery.start_soon([] {
        try {
          sleep_forever();
        } catch (const Cancelled&) {
          std::raise(SIGINT);
          throw;
        }
      });
      checkpoint();
      fail();
    });
  }));
}

TEST(InterruptNeverLostTest, ComesOutBesideACrashOfTheRun) {
  const std::exception_ptr error =
      outcome_of([] { current_token().run_sync_soon([] { interrupt_and_fail(); }); });
  EXPECT_TRUE(contains<KeyboardInterrupt>(error));
  EXPECT_TRUE(contains<InternalError>(error));
}

TEST(InterruptNeverLostTest, OneThatMainHasThrownIsNotJoinedByASecond) {
  const std::exception_ptr error = outcome_of([] {
    std::raise(SIGINT);
    try {
      checkpoint();
    } catch (const KeyboardInterrupt&) {
      std::raise(SIGINT);
      throw;
    }
  });
  EXPECT_TRUE(holds<KeyboardInterrupt>(error));
}

// Main's wait has refused it, and nothing can happen any more.
TEST(InterruptNeverLostTest, OutlivesADeadlock) {
  testing::MockClock clock(0.0, Duration::zero());
  const std::exception_ptr error = outcome_of(
      [] {
        Task& main = current_task();
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] {
            EXPECT_THROW(sleep_forever(), DeadlockError);
            reschedule(main);
          });
          std::raise(SIGINT);
          wait_task_rescheduled([](const RaiseCancel&) { return Abort::kFailed; });
        });
      },
      {.clock = &clock});
  EXPECT_TRUE(contains<KeyboardInterrupt>(error));
}

// Presses Ctrl-C at the n-th of the moments at which an instrument is told of something.
class RaiseAt : public Instrument {
 public:
  explicit RaiseAt(int moment) : left_(moment) {}
  bool raised() const { return raised_; }

  void before_run() override { tick(); }
  void after_run() override { tick(); }
  void task_spawned(Task&) override { tick(); }
  void task_scheduled(Task&) override { tick(); }
  void before_task_step(Task&) override { tick(); }
  void after_task_step(Task&) override { tick(); }
  void task_exited(Task&) override { tick(); }
  void before_io_wait(Duration) override { tick(); }
  void after_io_wait(Duration) override { tick(); }

 private:
  void tick() {
    if (raised_ || left_-- > 0) return;
    raised_ = true;
    std::raise(SIGINT);
  }

  int left_;
  bool raised_ = false;
};

// Runs `body` for each moment, in some schedules each, until it ends before the moment has come.
// `body` says in its argument when it is about to throw its error.
void at_every_moment(const std::function<void(bool&)>& body) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    for (int moment = 0;; ++moment) {
      testing::MockClock clock(0.0, Duration::zero());
      const auto instrument = std::make_shared<RaiseAt>(moment);
      bool threw = false;
      const std::exception_ptr error =
          outcome_of([&] { body(threw); },
                     {.clock = &clock, .schedule_seed = seed, .instruments = {instrument}});
      if (!instrument->raised()) {
        ASSERT_GT(moment, 10);
        ASSERT_FALSE(contains<KeyboardInterrupt>(error));
        break;
      }
      ASSERT_TRUE(contains<KeyboardInterrupt>(error)) << "seed " << seed << ", moment " << moment;
      ASSERT_EQ(contains<std::runtime_error>(error), threw)
          << "seed " << seed << ", moment " << moment;
    }
  }
}

TEST(InterruptNeverLostTest, AtAnyMomentOfAMainThatThrows) {
  at_every_moment([](bool& threw) {
    sleep(seconds(1));
    threw = true;
    fail();
  });
}

TEST(InterruptNeverLostTest, AtAnyMomentOfANurseryWithAChildThatThrows) {
  at_every_moment([](bool& threw) {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([] {
        CancelScope shield({.shield = true});
        shield.run([] { sleep(seconds(3)); });
      });
      nursery.start_soon([&] {
        sleep(seconds(1));
        threw = true;
        fail();
      });
      sleep(seconds(2));
    });
  });
}

TEST(InterruptNeverLostTest, AtAnyMomentOfACallOnAThreadThatThrows) {
  at_every_moment([](bool& threw) {
    run_on_thread([&] {
      threw = true;
      fail();
    });
  });
}

TEST(InterruptNeverLostTest, AtAnyMomentOfARunThatEndsWell) {
  at_every_moment([](bool&) {
    spawn_system_task([] { sleep_forever(); });
    current_token().run_sync_soon([] {});
    sleep(seconds(1));
  });
}

}  // namespace
}  // namespace weft::fibers
