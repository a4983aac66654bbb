// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <csignal>
#include <memory>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/support/captured_log.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;

std::vector<int> iota(int count) {
  std::vector<int> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

// trio: test_run.py::test_TrioToken_identity
FIBER_TEST(TokenTest, EachRunHasOne) {
  WEFT_NOT_FAULT_SWEPT("what its other run throws ends the process");
  const Token mine = current_token();
  EXPECT_EQ(mine, current_token());
  std::optional<Token> other;
  std::thread([&other] { run([&other] { other = current_token(); }); }).join();
  EXPECT_FALSE(mine == *other);
}

// trio: test_run.py::test_TrioToken_run_sync_soon_basic
FIBER_TEST(TokenTest, ACallRunsSoonOutsideAnyTask) {
  bool ran = false;
  current_token().run_sync_soon([&ran] {
    ran = true;
    EXPECT_TRUE(in_trio_run());
    EXPECT_FALSE(in_trio_task());
    EXPECT_THROW(checkpoint(), UsageError);
  });
  EXPECT_FALSE(ran);
  checkpoint();
  EXPECT_TRUE(ran);
}

// trio: test_run.py::test_TrioToken_run_sync_soon_FIFO
// trio: test_run.py::test_TrioToken_run_sync_soon_massive_queue
FIBER_TEST(TokenTest, CallsRunInTheOrderOfSubmissionAlsoFarBeyondThePool) {
  WEFT_NOT_ALLOCATION_SWEPT("its calls outlive what they refer to");
  std::vector<int> order;
  const Token token = current_token();
  for (int i = 0; i < 2000; ++i) token.run_sync_soon([&order, i] { order.push_back(i); });
  checkpoint();
  EXPECT_EQ(order, iota(2000));
}

FIBER_TEST(TokenTest, CallablesMayBeLargeMoveOnlyAndThrowingToMove) {
  int sum = 0;
  const Token token = current_token();
  std::array<int, 1000> large{};
  large.back() = 1;
  token.run_sync_soon([large, &sum] { sum += large.back(); });
  token.run_sync_soon([p = std::make_unique<int>(10), &sum] { sum += *p; });
  const auto counted = std::make_shared<int>(100);
  token.run_sync_soon([counted, large, &sum] { sum += *counted + large.front(); });
  EXPECT_EQ(counted.use_count(), 2);
  checkpoint();
  EXPECT_EQ(sum, 111);
  EXPECT_EQ(counted.use_count(), 1);
}

// trio: test_run.py::test_TrioToken_run_sync_soon_idempotent
FIBER_TEST(TokenTest, OfEqualIdempotentCallsTheFirstIsMade) {
  std::vector<int> order;
  const Token token = current_token();
  const auto note = [&order, &token](long number) {
    token.run_sync_soon([&order, number] { order.push_back(static_cast<int>(number)); },
                        {.idempotent = true});
  };
  for (int round = 0; round < 3; ++round) {
    for (const long number : {1L, 2L, 3L}) note(number);
  }
  token.run_sync_soon([&order] { order.push_back(0); });
  token.run_sync_soon([&order] { order.push_back(0); });
  // The same bytes, another callable.
  token.run_sync_soon([&order, n = 1L] { order.push_back(10 * static_cast<int>(n)); },
                      {.idempotent = true});
  checkpoint();
  EXPECT_EQ(order, (std::vector{1, 2, 3, 0, 0, 10}));
  note(1);
  checkpoint();
  EXPECT_EQ(order.size(), 7U);
}

// trio: test_run.py::test_TrioToken_run_sync_soon_idempotent
FIBER_TEST(TokenTest, AnIdempotentCallIsNotMixedUpWithOneThatIsNot) {
  int calls = 0;
  const Token token = current_token();
  const auto call = [&calls] { ++calls; };
  for (int i = 0; i < 100; ++i) token.run_sync_soon(call, {.idempotent = true});
  for (int i = 0; i < 100; ++i) token.run_sync_soon(call);
  checkpoint();
  EXPECT_EQ(calls, 101);
}

// trio: test_run.py::test_TrioToken_run_sync_soon_idempotent_requeue
FIBER_TEST(TokenTest, AnIdempotentCallThatHasBegunMaySubmitItselfAgain) {
  WEFT_NOT_SWEPT("its calls, which run to the end of the run, use what the body owns");
  struct Again {
    const Token* token;
    int* calls;
    void operator()() const {
      if (++*calls == 5) return;
      for (int i = 0; i < 3; ++i) token->run_sync_soon(*this, {.idempotent = true});
    }
  };
  int calls = 0;
  const Token token = current_token();
  for (int i = 0; i < 3; ++i) token.run_sync_soon(Again{&token, &calls}, {.idempotent = true});
  for (int i = 0; i < 10; ++i) checkpoint();
  EXPECT_EQ(calls, 5);
}

FIBER_TEST(TokenTest, ARepeatIsDroppedAlsoWhenItComesWhileEarlierCallsRun) {
  std::vector<int> order;
  const Token token = current_token();
  const auto idempotent = [&order] { order.push_back(2); };
  token.run_sync_soon([&] {
    order.push_back(1);
    token.run_sync_soon(idempotent, {.idempotent = true});
    token.run_sync_soon([&order] { order.push_back(3); });
  });
  token.run_sync_soon(idempotent, {.idempotent = true});
  for (int i = 0; i < 3; ++i) checkpoint();
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

FIBER_TEST(TokenTest, AnIdempotentCallHasToBeComparable) {
  const Token token = current_token();
  const auto counted = std::make_shared<int>(0);
  EXPECT_THROW(token.run_sync_soon([counted] {}, {.idempotent = true}), UsageError);
  std::array<char, 100> large{};
  EXPECT_THROW(token.run_sync_soon([large] { static_cast<void>(large); }, {.idempotent = true}),
               UsageError);
}

// trio: test_run.py::test_TrioToken_run_sync_soon_too_late
// trio: test_threads.py::test_trio_token_weak_referenceable
TEST(TokenTest, AfterTheRunCallsAreRefusedAndDestroyed) {
  std::optional<Token> token;
  run([&] { token = current_token(); });
  const auto counted = std::make_shared<int>(0);
  const std::array<char, 200> large{};
  EXPECT_THROW(token->run_sync_soon([counted] {}), RunFinishedError);
  EXPECT_THROW(token->run_sync_soon([counted, large] { static_cast<void>(large); }),
               RunFinishedError);
  EXPECT_EQ(counted.use_count(), 1);
}

// Trio: docs of run_sync_soon: "accepted means it will run"
TEST(TokenTest, WhatWasAcceptedRunsAlsoAtTheVeryEnd) {
  int ran = 0;
  run([&ran] {
    const Token token = current_token();
    for (int i = 0; i < 300; ++i) token.run_sync_soon([&ran] { ++ran; });
    token.run_sync_soon([&ran, token] { token.run_sync_soon([&ran] { ++ran; }); });
  });
  EXPECT_EQ(ran, 301);
}

// trio: test_run.py::test_TrioToken_run_sync_soon_after_main_crash
TEST(TokenTest, CallsRunAlsoWhenMainFails) {
  bool ran = false;
  EXPECT_THROW(run([&ran] {
                 current_token().run_sync_soon([&ran] { ran = true; });
                 throw std::runtime_error("x");
               }),
               std::runtime_error);
  EXPECT_TRUE(ran);
}

// trio: test_run.py::test_TrioToken_run_sync_soon_starvation_resistance
TEST(TokenTest, ACallThatSubmitsItselfAgainStarvesNobodyAndEndsWithTheRun) {
  struct Naughty {
    Token token;
    int* runs;
    bool* refused;
    void operator()() const {
      ++*runs;
      try {
        token.run_sync_soon(*this);
      } catch (const RunFinishedError&) {
        *refused = true;
      }
    }
  };
  int runs = 0;
  bool refused = false;
  testing::run_fiber_test([&] {
    current_token().run_sync_soon(Naughty{current_token(), &runs, &refused});
    for (int i = 0; i < 20; ++i) checkpoint();
    EXPECT_GE(runs, 19);
  });
  EXPECT_TRUE(refused);
}

// trio: test_run.py::test_TrioToken_run_sync_soon_crashes
TEST(TokenTest, ACallThatThrowsEndsTheRunButNotTheCallsBehindIt) {
  const test::CapturedLog log;
  bool later_ran = false;
  bool main_cancelled = false;
  try {
    run([&] {
      const Token token = current_token();
      token.run_sync_soon([] { throw std::out_of_range("the cause"); });
      token.run_sync_soon([&] { later_ran = true; });
      try {
        sleep_forever();
      } catch (const Cancelled&) {
        main_cancelled = true;
        throw;
      }
    });
    ADD_FAILURE() << "the crash was lost";
  } catch (const InternalError& e) {
    EXPECT_THROW(std::rethrow_if_nested(e), std::out_of_range);
  }
  EXPECT_TRUE(later_ran);
  EXPECT_TRUE(main_cancelled);
  EXPECT_TRUE(log.lines.empty()) << log.lines.front();
}

// trio: test_run.py::test_TrioToken_run_sync_soon_late_crash
TEST(TokenTest, ACallThatThrowsAfterTheEndOfMainIsACrashToo) {
  EXPECT_THROW(run([] { current_token().run_sync_soon([] { throw std::out_of_range("late"); }); }),
               InternalError);
}

// trio: test_run.py::test_TrioToken_run_sync_soon_threaded_stress_test
TEST(TokenTest, ThreadsSubmitInTheirOwnOrderAndNothingIsLost) {
  constexpr int kThreads = 4;
  constexpr int kCalls = 2000;
  std::array<std::vector<int>, kThreads> order;
  run([&] {
    const Token token = current_token();
    std::atomic<int> running{kThreads};
    std::vector<std::thread> threads;
    Event done;
    for (auto& mine : order) {
      threads.emplace_back([token, &mine, &running, &done] {
        for (int i = 0; i < kCalls; ++i) token.run_sync_soon([&mine, i] { mine.push_back(i); });
        if (--running == 0) token.run_sync_soon([&done] { done.set(); });
      });
    }
    done.wait();
    for (auto& thread : threads) thread.join();
  });
  for (const auto& mine : order) EXPECT_EQ(mine, iota(kCalls));
}

// A run that sleeps in the kernel is woken each time: nothing else would end its wait.
TEST(TokenTest, ACallWakesARunThatSleeps) {
  constexpr int kRounds = 300;
  int rounds = 0;
  run([&] {
    const Token token = current_token();
    std::atomic<int> allowed{0};
    std::optional<Event> woken;
    std::thread thread([&, token] {
      for (int i = 1; i <= kRounds; ++i) {
        while (allowed.load() < i) std::this_thread::yield();
        token.run_sync_soon([&] { woken->set(); });
      }
    });
    for (int i = 1; i <= kRounds; ++i) {
      woken.emplace();
      allowed = i;
      if (move_on_after(seconds(30), [&] { woken->wait(); })) ++rounds;
    }
    thread.join();
  });
  EXPECT_EQ(rounds, kRounds);
}

std::atomic<const Token*> g_signalled{nullptr};
std::atomic<int> g_signals{0};

// Trio: docs of run_sync_soon: "reentrant, safe to call from signal handlers"
FIBER_TEST(TokenTest, ASignalHandlerMaySubmit) {
  const Token token = current_token();
  g_signalled = &token;
  g_signals = 0;
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) { g_signalled.load()->run_sync_soon([] { ++g_signals; }); };
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  for (int i = 0; i < 100; ++i) std::raise(SIGUSR1);
  EXPECT_EQ(g_signals, 0);
  checkpoint();
  EXPECT_EQ(g_signals, 100);
  ::sigaction(SIGUSR1, &before, nullptr);
}

FIBER_TEST(TokenTest, ACallMayWakeATaskAndStartOne) {
  Event event;
  int started = 0;
  open_nursery([&](Nursery& nursery) {
    current_token().run_sync_soon([&] {
      event.set();
      nursery.start_soon([&started] { ++started; });
    });
    event.wait();
  });
  EXPECT_EQ(started, 1);
}

}  // namespace
}  // namespace weft::fibers
