// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Callbacks for signals.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/errors.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

// What the process does with a signal at this moment.
void (*action_of(int signal))(int) {
  struct sigaction present {};
  ::sigaction(signal, nullptr, &present);
  return present.sa_handler;
}

// asyncio: claims_signals::the_callback_runs_in_the_loops_thread
// asyncio: claims_signals::a_signal_wakes_an_idle_poll
// asyncio: test_events.py::EventLoopTestsMixin::test_add_signal_handler
// asyncio: test_events.py::EventLoopTestsMixin::test_signal_handling_while_selecting
FIBER_TEST(LoopSignalTest, CallsBackInTheLoop) {
  std::vector<std::string> log;
  with_loop([&](EventLoop& loop) {
    loop.add_signal_handler(SIGUSR1, [&] {
      EXPECT_EQ(running_loop(), &loop);
      log.emplace_back("usr1");
    });
    loop.add_signal_handler(SIGUSR2, [&log] { log.emplace_back("usr2"); });
    ::raise(SIGUSR1);
    EXPECT_TRUE(log.empty());
    fibers::sleep(1s);
    EXPECT_THAT(log, ElementsAre("usr1"));
    ::raise(SIGUSR2);
    ::raise(SIGUSR1);
    fibers::sleep(1s);
    EXPECT_THAT(log, ElementsAre("usr1", "usr2", "usr1"));
  });
}

// asyncio: claims_signals::several_coalesce
FIBER_TEST(LoopSignalTest, SeveralBeforeItRunsCountAsOne) {
  int calls = 0;
  with_loop([&](EventLoop& loop) {
    loop.add_signal_handler(SIGUSR1, [&calls] { ++calls; });
    for (int i = 0; i < 5; ++i) ::raise(SIGUSR1);
    fibers::sleep(1s);
  });
  EXPECT_EQ(calls, 1);
}

FIBER_TEST(LoopSignalTest, OneThatComesWhileTheCallbackBlocksCallsItAgain) {
  std::vector<std::string> log;
  with_loop([&](EventLoop& loop) {
    loop.add_signal_handler(SIGUSR1, [&log] {
      log.emplace_back("begin");
      fibers::sleep(10s);
      log.emplace_back("end");
    });
    ::raise(SIGUSR1);
    fibers::sleep(1s);
    ::raise(SIGUSR1);
    fibers::sleep(30s);
  });
  EXPECT_THAT(log, ElementsAre("begin", "end", "begin", "end"));
}

FIBER_TEST(LoopSignalTest, RemovingRestoresWhatWasBefore) {
  with_loop([](EventLoop& loop) {
    const auto before = action_of(SIGUSR1);
    EXPECT_FALSE(loop.remove_signal_handler(SIGUSR1));
    const Handle handle = loop.add_signal_handler(SIGUSR1, [] { ADD_FAILURE(); });
    EXPECT_NE(action_of(SIGUSR1), before);
    ::raise(SIGUSR1);
    EXPECT_TRUE(loop.remove_signal_handler(SIGUSR1));
    EXPECT_TRUE(handle.cancelled());
    EXPECT_EQ(action_of(SIGUSR1), before);
    fibers::sleep(1s);
  });
}

FIBER_TEST(LoopSignalTest, CancellingTheHandleRemovesIt) {
  with_loop([](EventLoop& loop) {
    const auto before = action_of(SIGUSR1);
    Handle handle = loop.add_signal_handler(SIGUSR1, [] { ADD_FAILURE(); });
    handle.cancel();
    EXPECT_EQ(action_of(SIGUSR1), before);
    EXPECT_FALSE(loop.remove_signal_handler(SIGUSR1));
  });
}

FIBER_TEST(LoopSignalTest, ANewCallbackTakesThePlaceOfTheOld) {
  int calls = 0;
  with_loop([&](EventLoop& loop) {
    const auto before = action_of(SIGUSR1);
    const Handle old = loop.add_signal_handler(SIGUSR1, [] { ADD_FAILURE(); });
    loop.add_signal_handler(SIGUSR1, [&calls] { ++calls; });
    EXPECT_TRUE(old.cancelled());
    ::raise(SIGUSR1);
    fibers::sleep(1s);
    loop.remove_signal_handler(SIGUSR1);
    EXPECT_EQ(action_of(SIGUSR1), before);
  });
  EXPECT_EQ(calls, 1);
}

// asyncio: claims_signals::remove_during_handling
FIBER_TEST(LoopSignalTest, ACallbackMayRemoveItself) {
  int calls = 0;
  with_loop([&](EventLoop& loop) {
    loop.add_signal_handler(SIGUSR1, [&] {
      ++calls;
      EXPECT_TRUE(loop.remove_signal_handler(SIGUSR1));
    });
    ::raise(SIGUSR1);
    fibers::sleep(1s);
  });
  EXPECT_EQ(calls, 1);
}

// asyncio: claims_signals::close_removes_all_and_restores
FIBER_TEST(LoopSignalTest, CloseRemovesAll) {
  const auto before = action_of(SIGUSR1);
  with_idle_loop([](EventLoop& loop) {
    loop.add_signal_handler(SIGUSR1, [] { ADD_FAILURE(); });
    loop.add_signal_handler(SIGUSR2, [] { ADD_FAILURE(); });
    ::raise(SIGUSR1);
    loop.close();
    EXPECT_THROW(loop.add_signal_handler(SIGUSR1, [] {}), fibers::UsageError);
  });
  EXPECT_EQ(action_of(SIGUSR1), before);
}

FIBER_TEST(LoopSignalTest, WhatCannotBeCaughtIsRefused) {
  with_idle_loop([](EventLoop& loop) {
    for (const int signal : {SIGKILL, SIGSTOP, 0, -1, 1000}) {
      EXPECT_THAT(thrown<fibers::UsageError>([&] { loop.add_signal_handler(signal, [] {}); }),
                  HasSubstr("cannot be caught"));
    }
  });
}

FIBER_TEST(LoopSignalTest, CtrlCGoesToItsHandlerAndRaisesNothing) {
  int calls = 0;
  with_loop([&](EventLoop& loop) {
    loop.add_signal_handler(SIGINT, [&calls] { ++calls; });
    ::raise(SIGINT);
    fibers::sleep(1s);
  });
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace weft::loop
