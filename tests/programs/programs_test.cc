// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How whole programs end: their status, the signal that ends them, and what they have written.
// Those with a name are in program.cc.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <map>
#include <string>
#include <vector>

#include "weft/fibers/process.h"
#include "weft/fibers/run.h"
#include "weft/fibers/run_process.h"

namespace weft::fibers {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct Ended {
  int status;  // Minus the number of the signal.
  std::string out;
  std::string err;
};

Ended ended(std::vector<std::string> command, bool shell = false) {
  const CompletedProcess process = run([&] {
    return run_process(
        command, {.capture_stdout = true, .capture_stderr = true, .check = false, .shell = shell});
  });
  return {process.returncode, *process.stdout, *process.stderr};
}

Ended program(const std::string& name, const std::string& argument = "") {
  std::vector<std::string> command{WEFT_TEST_PROGRAM, name};
  if (!argument.empty()) command.push_back(argument);
  return ended(command);
}

TEST(MainTest, TheStatusIsWhatTheBodyReturns) {
  for (const char* name : {"returns", "weft_returns"}) {
    const Ended end = program(name);
    EXPECT_EQ(end.status, 0) << name;
    EXPECT_EQ(end.err, "") << name;
  }
  for (const char* name : {"status", "weft_status"}) EXPECT_EQ(program(name).status, 7) << name;
}

TEST(MainTest, AnErrorIsPrintedAndTheStatusIsOne) {
  const Ended end = program("error");
  EXPECT_EQ(end.status, 1);
  EXPECT_EQ(end.err, "std::runtime_error: no route\n");
  EXPECT_EQ(program("no_exception").status, 1);
  EXPECT_NE(program("no_exception").err, "");
}

TEST(MainTest, AGroupIsPrintedAsATree) {
  const Ended end = program("group");
  EXPECT_EQ(end.status, 1);
  EXPECT_THAT(end.err, AllOf(HasSubstr("ExceptionGroup: exceptions from a nursery (2 sub-"),
                             HasSubstr("  | std::runtime_error: no route"),
                             HasSubstr("  | std::out_of_range: too far")));
}

TEST(MainTest, UnderTheLoopALoneErrorIsPrintedAsItself) {
  for (const char* name : {"weft_error", "weft_callback"}) {
    const Ended end = program(name);
    EXPECT_EQ(end.status, 1) << name;
    EXPECT_THAT(end.err, ::testing::EndsWith("std::runtime_error: no route\n")) << name;
    EXPECT_THAT(end.err, Not(HasSubstr("ExceptionGroup"))) << name;
  }
  EXPECT_THAT(program("weft_strict").err, HasSubstr("ExceptionGroup"));
}

TEST(MainTest, CtrlCEndsTheProgramBySIGINTWithItsOutputWritten) {
  for (const char* name : {"interrupt", "weft_interrupt", "weft_interrupt_stopped"}) {
    const Ended end = program(name);
    EXPECT_EQ(end.status, -SIGINT) << name;
    EXPECT_EQ(end.err, "") << name;
    EXPECT_THAT(end.out, AllOf(HasSubstr("printf"), HasSubstr("cout"))) << name;
  }
}

// asyncio.run: the main task hears of it first, then everything unwinds; the second one is harder.
TEST(MainTest, ASecondCtrlCDoesNotWaitForWhatCleansUp) {
  const Ended end = program("weft_interrupt_twice");
  EXPECT_EQ(end.status, -SIGINT);
  EXPECT_EQ(end.out, "body\ntask\ntask again\n");
  EXPECT_EQ(end.err, "");
}

TEST(MainTest, ASecondCtrlCInterruptsABodyThatCleansUp) {
  const Ended end = program("weft_interrupt_body_twice");
  EXPECT_EQ(end.status, -SIGINT);
  EXPECT_EQ(end.out, "cancelled\ninterrupted\n");
  EXPECT_EQ(end.err, "");
}

TEST(MainTest, WhatIsShieldedIsDoneInSpiteOfTheFirstCtrlC) {
  const Ended end = program("weft_interrupt_shield");
  EXPECT_EQ(end.status, -SIGINT);
  EXPECT_EQ(end.out, "cleaned\n");
  EXPECT_EQ(end.err, "");
}

TEST(MainTest, CtrlCInACallbackCancelsTheBodyBeforeTheCallback) {
  const Ended end = program("weft_interrupt_callback");
  EXPECT_EQ(end.status, -SIGINT);
  EXPECT_EQ(end.out, "callback\nbody\ncallback again\n");
  EXPECT_EQ(end.err, "");
}

TEST(MainTest, AShellSees130) {
  const Ended end = ended({std::string(WEFT_TEST_PROGRAM) + " interrupt; echo $?"}, true);
  EXPECT_THAT(end.out, ::testing::EndsWith("130\n"));
}

TEST(MainTest, CtrlCFromOutsideEndsAProgramThatWaits) {
  for (const char* name : {"waits", "weft_waits"}) {
    run([&] {
      const auto process = open_process({WEFT_TEST_PROGRAM, name}, {.stdout = kPipe});
      EXPECT_EQ(process->stdout->receive_some(), "ready\n") << name;
      process->send_signal(SIGINT);
      EXPECT_EQ(process->wait(), -SIGINT) << name;
    });
  }
}

TEST(MainTest, BesideAnInterruptTheOtherErrorsArePrinted) {
  for (const char* name :
       {"interrupt_beside", "interrupt_late", "weft_interrupt_beside", "weft_interrupt_late"}) {
    const Ended end = program(name);
    EXPECT_EQ(end.status, -SIGINT) << name;
    EXPECT_THAT(end.err, AllOf(HasSubstr("std::runtime_error: no route"),
                               Not(HasSubstr("KeyboardInterrupt"))))
        << name;
  }
}

TEST(MainTest, AnInterruptThatTheProgramHandlesIsNoEnd) {
  for (const char* name :
       {"interrupt_handled", "weft_interrupt_return", "weft_interrupt_suspended"}) {
    const Ended end = program(name);
    EXPECT_EQ(end.status, 3) << name;
    EXPECT_EQ(end.err, "") << name;
  }
}

TEST(MainTest, ABlockedSIGINTEndsTheProgramAllTheSame) {
  EXPECT_EQ(program("interrupt_blocked").status, -SIGINT);
}

// The child's end is that of the pipe, which it and the program write to.
TEST(ParentDeathTest, AChildThatIsTiedEndsWithAProgramThatIsKilled) {
  for (const int signal : {SIGKILL, SIGTERM}) {
    run([&] {
      const auto process = open_process({WEFT_TEST_PROGRAM, "tied_child"}, {.stdout = kPipe});
      EXPECT_GT(std::stoi(process->stdout->receive_some()), 0);
      process->send_signal(signal);
      EXPECT_EQ(process->wait(), -signal);
      EXPECT_EQ(process->stdout->receive_some(), "");
    });
  }
}

TEST(ParentDeathTest, OtherChildrenGoOn) {
  run([&] {
    const auto process = open_process({WEFT_TEST_PROGRAM, "child"}, {.stdout = kPipe});
    const int child = std::stoi(process->stdout->receive_some());
    process->kill();
    EXPECT_EQ(process->wait(), -SIGKILL);
    EXPECT_EQ(::kill(child, SIGKILL), 0);
    EXPECT_EQ(process->stdout->receive_some(), "");
  });
}

TEST(MainTest, TakesTheOptionsOfTheRun) {
  EXPECT_EQ(program("options").status, -SIGINT);
}

TEST(MainTest, SIGPIPEIsIgnoredButNotByChildren) {
  EXPECT_EQ(program("pipe").status, 0);
}

// Destructors of static and thread_local objects that were made before weft was used run after
// whatever weft keeps for the thread has been destroyed.
class EndsTest : public ::testing::TestWithParam<const char*> {};

TEST_P(EndsTest, WeftWorksInDestructorsThatRunLast) {
  const std::map<std::string, std::string> expected{
      {"run", "run: 30\n"},           {"loop", "loop: abc\n"}, {"streams", "streams: x\n"},
      {"thread", "thread: 7\n"},      {"child", "child: 1\n"}, {"guest", "guest: done\n"},
      {"greenlet", "greenlet: ran\n"}};
  for (const auto& [use, line] : expected) {
    const Ended end = program(GetParam(), use);
    const bool twice = std::string(GetParam()) != "only_program_end";
    // Greenlets of a thread are unwound once, at its end.
    const std::string last = use == "greenlet" && twice ? "greenlet: refused\n" : line;
    EXPECT_EQ(end.status, 0) << use << '\n' << end.err;
    EXPECT_EQ(end.out, (twice ? line : "") + last) << use << '\n' << end.err;
  }
}

INSTANTIATE_TEST_SUITE_P(When, EndsTest,
                         ::testing::Values("program_end", "thread_end", "other_thread_end",
                                           "only_program_end"));

}  // namespace
}  // namespace weft::fibers
