// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/fault_sweep.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/fd_stream.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/run.h"
#include "weft/fibers/socket.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// What a sweep says of `body`; empty if it takes each fault well.
std::string verdict(const std::function<void()>& body, FaultSweepOptions options = {}) {
  try {
    fault_sweep(body, options);
    return "";
  } catch (const FaultSweepError& error) {
    return error.what();
  }
}

TEST(FaultSweepTest, EachCallFailsInEachWay) {
  const FaultSweepResult swept = fault_sweep([] { socket_stream_pair(); });
  EXPECT_GT(swept.calls, 5U);  // The run's own are among them.
  EXPECT_GT(swept.runs, 10U);
}

TEST(FaultSweepTest, NamesTheCallTheTaskAndTheToken) {
  const std::string text = verdict([] {
    try {
      socket_stream_pair();
    } catch (const std::system_error&) {
      throw std::logic_error("a pair was expected");
    }
  });
  EXPECT_THAT(text, AllOf(HasSubstr("call 0 of socketpair() gave EMFILE in task 'main'"),
                          HasSubstr("a pair was expected"), HasSubstr("the fault does not explain"),
                          HasSubstr("WEFT_FAULT=socketpair.0.EMFILE")));
}

TEST(FaultSweepTest, ATokenRunsOneFaultAlone) {
  int failed = 0;
  const auto body = [&] {
    try {
      socket_stream_pair();
    } catch (const std::system_error& error) {
      EXPECT_EQ(error.code().value(), ENFILE);
      ++failed;
    }
  };
  EXPECT_EQ(fault_sweep(body, {.replay = "socketpair.0.ENFILE"}).runs, 1U);
  EXPECT_EQ(failed, 1);
}

TEST(FaultSweepTest, RefusesWhatIsNoToken) {
  for (const char* token : {"read", "read.x.EIO", "read.3EIO"}) {
    EXPECT_THROW(fault_sweep([] {}, {.replay = token}), UsageError) << token;
  }
}

// Or else whoever mistypes one believes that it has been tried.
TEST(FaultSweepTest, RefusesATokenOfAnotherBody) {
  const auto complaint_about = [](const char* token) -> std::string {
    try {
      fault_sweep([] { open_pipe(); }, {.allocations = false, .replay = token});
    } catch (const UsageError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(complaint_about("pipe2.7.EMFILE"), HasSubstr("comes to no such place"));
  EXPECT_THAT(complaint_about("pipe2.0.EIO"), HasSubstr("comes to no such place"));
  EXPECT_THAT(complaint_about("new.0"), HasSubstr("links weft::fail_allocations, and with"));
}

TEST(FaultSweepTest, ADescriptorLeftBehindIsAFailure) {
  WEFT_LEAVES_OVER("a descriptor, on purpose");
  const std::string text = verdict([] {
    const int copy = ::open("/dev/null", O_RDONLY);
    auto [send, receive] = open_pipe();
    ::close(copy);
  });
  EXPECT_THAT(text, AllOf(HasSubstr("/dev/null, is left over"), HasSubstr("pipe2.0.EMFILE")));
}

TEST(FaultSweepTest, AWaitThatCannotEndIsAFailure) {
  const std::string text = verdict([] {
    try {
      open_pipe();
    } catch (const std::system_error&) {
      sleep_forever();
    }
  });
  EXPECT_THAT(text, AllOf(HasSubstr("DeadlockError"), HasSubstr("pipe2.0.EMFILE")));
}

TEST(FaultSweepTest, AnInterruptionExplainsNothing) {
  auto body = [] {
    auto [send, receive] = open_pipe();
    send.send_all("words");
    receive.receive_some();
  };
  EXPECT_EQ(verdict(body), "");
  // As if somebody had passed on what read() said.
  EXPECT_THAT(verdict([&] {
                static int runs = 0;
                body();
                if (++runs > 2) throw std::system_error(EINTR, std::generic_category(), "read");
              }),
              HasSubstr("Interrupted system call"));
}

TEST(FaultSweepTest, WhatIsAllowedAndWhatIsChecked) {
  const auto body = [] {
    try {
      open_pipe();
    } catch (const std::system_error&) {
      throw std::logic_error("mine");
    }
  };
  EXPECT_THAT(verdict(body), HasSubstr("mine"));
  EXPECT_EQ(verdict(body, {.may_throw = true}), "");
  EXPECT_EQ(verdict(body, {.allowed =
                               [](const std::exception_ptr& error) {
                                 return holds<std::logic_error>(error);
                               }}),
            "");
  int runs = 0;
  EXPECT_THAT(verdict([] {}, {.check =
                                  [&] {
                                    if (++runs == 4) throw std::runtime_error("the fourth");
                                  }}),
              HasSubstr("the fourth"));
}

TEST(FaultSweepTest, WhatTheBodyThrowsByItselfComesOut) {
  EXPECT_THROW(fault_sweep([] { throw std::logic_error("always"); }), std::logic_error);
}

TEST(FaultSweepDeathTest, ARunThatHangsEndsTheProcessWithItsToken) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto hangs = [] {
    fault_sweep(
        [] {
          try {
            open_pipe();
          } catch (const std::system_error&) {
            for (;;) std::this_thread::yield();
          }
        },
        {.time_limit = std::chrono::milliseconds(300), .replay = "pipe2.0.EMFILE"});
  };
  EXPECT_DEATH(hangs(), "does not end.*WEFT_FAULT=pipe2.0.EMFILE");
}

TEST(FaultSweepDeathTest, ARunThatEndsTheProcessSaysItsToken) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto ends = [] {
    fault_sweep([]() noexcept { open_pipe(); }, {.replay = "pipe2.0.ENFILE"});
  };
  EXPECT_DEATH(ends(), "WEFT_FAULT=pipe2.0.ENFILE");
}

}  // namespace
}  // namespace weft::fibers::testing
