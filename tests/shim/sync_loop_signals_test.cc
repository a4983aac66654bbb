// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What each switch between loops outside of runs exchanges: whose Ctrl-C is, and which exceptions
// are on their way. The tests run on the main thread of the process, with SIGINT at its default.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <optional>
#include <stdexcept>

#include "tests/shim/shim_test_support.h"
#include "weft/fibers/detail/sanitizers.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/run.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/errors.h"
#include "weft/loop/runner.h"
#include "weft/loop/sync_loop.h"
#include "weft/shim/shim.h"

namespace weft::shim {
namespace {

using fibers::KeyboardInterrupt;
using loop::Coro;
using loop::SyncLoop;

void interrupt_and_wait() {
  std::raise(SIGINT);
  fibers::sleep_forever();
}

bool is_at_default(int signal) {
  struct sigaction present {};
  ::sigaction(signal, nullptr, &present);
  return present.sa_handler == SIG_DFL;
}

TEST(SyncLoopSignalsTest, CtrlCIsThatOfTheLoopThatRuns) {
  {
    SyncLoop one;
    SyncLoop two;
    for (int round = 0; round < 2; ++round) {
      EXPECT_THROW(one.run_until_complete(interrupt_and_wait), KeyboardInterrupt);
      EXPECT_EQ(two.run_until_complete([] { return 2; }), 2);
      EXPECT_THROW(two.run_until_complete(interrupt_and_wait), KeyboardInterrupt);
      EXPECT_EQ(one.run_until_complete([] { return 1; }), 1);
    }
  }
  EXPECT_TRUE(is_at_default(SIGINT));
}

TEST(SyncLoopSignalsTest, CtrlCIsThatOfARunBetweenThem) {
  SyncLoop sync;
  EXPECT_EQ(sync.run_until_complete([] { return 1; }), 1);
  EXPECT_THROW(fibers::run(interrupt_and_wait), KeyboardInterrupt);
  EXPECT_THROW(weft::run(interrupt_and_wait), KeyboardInterrupt);
  EXPECT_EQ(sync.run_until_complete([] { return 2; }), 2) << "it knows nothing of that";
  EXPECT_THROW(sync.run_until_complete(interrupt_and_wait), KeyboardInterrupt);
}

TEST(SyncLoopSignalsTest, TheLoopMadeFirstMayCloseFirst) {
  std::optional<SyncLoop> one(std::in_place);
  SyncLoop two;
  one.reset();
  EXPECT_THROW(two.run_until_complete(interrupt_and_wait), KeyboardInterrupt);
}

// The handler has it meanwhile; afterwards it is as if there had been none.
TEST(SyncLoopSignalsTest, ALoopMadeBesideAHandlerGetsCtrlCWhenThatIsRemoved) {
  {
    SyncLoop one;
    int calls = 0;
    one->add_signal_handler(SIGINT, [&] { ++calls; });
    SyncLoop two;
    two.run_until_complete([] { std::raise(SIGINT); });
    one.run_until_complete([] {
      for (int turn = 0; turn < 3; ++turn) fibers::checkpoint();
    });
    EXPECT_EQ(calls, 1);
    one->remove_signal_handler(SIGINT);
    EXPECT_THROW(two.run_until_complete(interrupt_and_wait), KeyboardInterrupt);
    EXPECT_THROW(one.run_until_complete(interrupt_and_wait), KeyboardInterrupt);
    EXPECT_EQ(calls, 1);
  }
  EXPECT_TRUE(is_at_default(SIGINT));
}

TEST(SyncLoopSignalsTest, TheLoopWithTheHandlerMayCloseFirst) {
  {
    std::optional<SyncLoop> one(std::in_place);
    (*one)->add_signal_handler(SIGINT, [] {});
    SyncLoop two;
    one.reset();
    EXPECT_THROW(two.run_until_complete(interrupt_and_wait), KeyboardInterrupt);
  }
  EXPECT_TRUE(is_at_default(SIGINT));
}

TEST(SyncLoopSignalsTest, ARunBesideAHandlerGetsCtrlCWhenThatIsRemoved) {
  SyncLoop sync;
  sync->add_signal_handler(SIGINT, [] {});
  EXPECT_THROW(fibers::run([&] {
                 sync->remove_signal_handler(SIGINT);
                 interrupt_and_wait();
               }),
               KeyboardInterrupt);
  EXPECT_THROW(sync.run_until_complete(interrupt_and_wait), KeyboardInterrupt);
}

// What the handler found was the default: nobody wanted Ctrl-C then.
TEST(SyncLoopSignalsTest, ARunThatHasBegunBesideAHandlerGetsCtrlCAlsoFromALoopThatDidNotWantIt) {
  SyncLoop sync({.handle_interrupt = false});
  sync->add_signal_handler(SIGINT, [] {});
  EXPECT_THROW(fibers::run([&] {
                 sync->remove_signal_handler(SIGINT);
                 interrupt_and_wait();
               }),
               KeyboardInterrupt);
  EXPECT_TRUE(is_at_default(SIGINT));
}

// 1 if it was cancelled.
Coro<int> waits_for_ctrl_c() {
  int cancelled = 0;
  std::raise(SIGINT);
  try {
    co_await loop::sleep(std::chrono::seconds(1));
  } catch (const loop::CancelledError&) {
    cancelled = 1;
  }
  co_return cancelled;
}

TEST(SyncLoopSignalsTest, ARunnerMadeBesideAHandlerTakesCtrlCWhenThatIsRemoved) {
  SyncLoop other;
  other->add_signal_handler(SIGINT, [] {});
  loop::Runner runner;
  const auto waits_for_nothing = []() -> Coro<int> {
    std::raise(SIGINT);
    co_await loop::sleep(std::chrono::seconds(0));
    co_return 2;
  };
  EXPECT_EQ(runner.run(waits_for_nothing()), 2) << "the handler has it";
  other->remove_signal_handler(SIGINT);
  EXPECT_EQ(runner.run(waits_for_ctrl_c()), 1);
}

TEST(SyncLoopSignalsTest, CtrlCEndsTheProgramWhileAllLoopsAreSuspended) {
#ifdef WEFT_TSAN
  GTEST_SKIP() << "TSan holds back a signal that a handler sends again";
#endif
  const pid_t child = ::fork();
  if (child == 0) {
    SyncLoop one;
    SyncLoop two;
    one.run_until_complete([] {});
    two.run_until_complete([] {});
    std::raise(SIGINT);
    ::_exit(2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) << status;
}

// As in asyncio, a handler stays while its loop does not run; the loop calls it when it does.
TEST(SyncLoopSignalsTest, ASignalForASuspendedLoopWaitsForIt) {
  SyncLoop one;
  SyncLoop two;
  int calls = 0;
  one->add_signal_handler(SIGUSR1, [&] { ++calls; });
  two.run_until_complete([] { std::raise(SIGUSR1); });
  fibers::run([] { fibers::checkpoint(); });
  EXPECT_EQ(calls, 0);
  one.run_until_complete([] {
    for (int turn = 0; turn < 3; ++turn) fibers::checkpoint();
  });
  EXPECT_EQ(calls, 1);
}

// The caller unwinds; the loop it runs in a destructor does not.
TEST(SyncLoopExceptionsTest, WhatUnwindsTheCallerDoesNotUnwindTheLoop) {
  SyncLoop one;
  SyncLoop two;
  int inside = -1;
  int outside = -1;
  struct RunsThem {
    SyncLoop& one;
    SyncLoop& two;
    int& inside;
    int& outside;
    ~RunsThem() {
      one.run_until_complete([this] { inside = std::uncaught_exceptions(); });
      two.run_until_complete([this] { inside += std::uncaught_exceptions(); });
      outside = std::uncaught_exceptions();
    }
  };
  try {
    const RunsThem runs_them{one, two, inside, outside};
    throw std::runtime_error("caller");
  } catch (const std::runtime_error&) {
    EXPECT_EQ(std::uncaught_exceptions(), 0);
  }
  EXPECT_EQ(inside, 0);
  EXPECT_EQ(outside, 1);
}

}  // namespace
}  // namespace weft::shim
