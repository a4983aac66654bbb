// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/cancel_sweep.h"

#include <absl/cleanup/cleanup.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/captured_log.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lock.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers::testing {
namespace {

using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

// What cancel_sweep() says of a body that takes a cancellation badly.
std::string complaint(const std::function<void()>& body, const CancelSweepOptions& options = {}) {
  try {
    cancel_sweep(body, options);
  } catch (const CancelSweepError& error) {
    return error.what();
  }
  return {};
}

TEST(CancelSweepTest, CancelsOnceAtEachCheckpointAndMoment) {
  std::multiset<int> got_to;
  int at = 0;
  const auto result = cancel_sweep(
      [&] {
        at = 0;
        checkpoint();
        at = 1;
        sleep(seconds(1));
        at = 2;
        open_nursery([](Nursery& nursery) { nursery.start_soon([] { sleep(seconds(1)); }); });
        at = 3;
      },
      {.check = [&] { got_to.insert(at); }});
  // The last two are the child's sleep and the wait of the nursery for it.
  EXPECT_EQ(result.checkpoints, 4U);
  EXPECT_EQ(result.runs, 12U);
  EXPECT_EQ(got_to.count(0), 3U);
  // A sleep that is over returns although the cancellation has come: the next wait throws.
  EXPECT_EQ(got_to.count(1), 2U);
  EXPECT_EQ(got_to.count(2), 5U);
}

TEST(CancelSweepTest, ABodyThatCleansUpPasses) {
  int held = 0;
  const auto result = cancel_sweep(
      [&] {
        auto [send, receive] = open_memory_channel<int>(0);
        Lock lock;
        open_nursery([&, &send = send, &receive = receive](Nursery& nursery) {
          nursery.start_soon([&] {
            for (int i = 0; i < 3; ++i) send.send(i);
            send.close();
          });
          for (int item : receive) {
            const Guard guard(lock);
            ++held;
            try {
              sleep(seconds(item));
            } catch (...) {
              --held;
              throw;
            }
            --held;
          }
        });
      },
      {.check = [&] {
        if (held != 0) throw std::logic_error("still held");
      }});
  EXPECT_GT(result.checkpoints, 10U);
}

TEST(CancelSweepTest, FindsWhatIsNotGivenBack) {
  int held = 0;
  const std::string found = complaint(
      [&] {
        held = 1;
        sleep(seconds(1));
        held = 0;
      },
      {.check = [&] {
        if (held != 0) throw std::logic_error("still held");
      }});
  EXPECT_THAT(found, AllOf(HasSubstr("cancelled at checkpoint 0, 'sleep' in task 'main'"),
                           HasSubstr("still held")));
}

TEST(CancelSweepTest, FindsADescriptorThatLeaks) {
  WEFT_LEAVES_OVER("what it finds");
  const std::string found = complaint([] {
    const int fd = ::dup(0);
    checkpoint();
    ::close(fd);
  });
  EXPECT_THAT(found, HasSubstr("is left over"));
}

// In a task beside: the first checkpoint is main's, for its nursery.
TEST(CancelSweepTest, NamesWhoeverSwallowsACancelled) {
  const test::CapturedLog log;
  const std::string found = complaint([] {
    open_nursery([](Nursery& nursery) {
      nursery.start_soon(
          [] {
            try {
              sleep(seconds(1));
            } catch (...) {
            }
          },
          {.name = "greedy"});
    });
  });
  EXPECT_THAT(found, ContainsRegex("task 'greedy' #[0-9]+, started at .*cancel_sweep_test.cc:[0-9]+"
                                   ", swallowed a Cancelled"));
}

TEST(CancelSweepDeathTest, ATaskThatCannotBeEndedIsNamedAndEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(cancel_sweep([] {
                 bool over = false;
                 open_nursery([&](Nursery& nursery) {
                   nursery.start_soon(
                       [&] {
                         while (!over) {
                           try {
                             sleep(seconds(1));
                           } catch (...) {
                           }
                         }
                       },
                       {.name = "stubborn"});
                   sleep(seconds(2));
                   over = true;
                 });
               }),
               "cancelled at checkpoint 0.*\n?task 'stubborn' #[0-9]+ never ends.*now 'sleep'");
}

// Whoever swallows a Cancelled and waits for somebody who is cancelled too.
TEST(CancelSweepTest, FindsWhoeverThenWaitsForEver) {
  const std::string found = complaint(
      [] {
        Event event;
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] {
            CancelScope shield({.shield = true});
            shield.run([&] { event.wait(); });
          });
          sleep(seconds(1));
          event.set();
        });
      },
      {.may_throw = true});
  EXPECT_THAT(found, AllOf(HasSubstr("cancelled at checkpoint 0"), HasSubstr("DeadlockError")));
}

// The item has been taken out of the buffer when the task that waited for it has not run yet.
TEST(CancelSweepTest, FindsWhatIsLostBetweenWakingAndRunning) {
  int produced = 0;
  int consumed = 0;
  const auto lossy = [&] {
    produced = consumed = 0;
    Task* waiting = nullptr;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        waiting = &current_task();
        wait_task_rescheduled([](const RaiseCancel&) { return Abort::kSucceeded; });
        checkpoint();  // Here it goes missing.
        ++consumed;
      });
      checkpoint();
      ++produced;
      reschedule(*waiting);
    });
  };
  const std::string found = complaint(lossy, {.check = [&] {
                                        if (produced != consumed)
                                          throw std::logic_error("an item is lost");
                                      }});
  EXPECT_THAT(found, HasSubstr("an item is lost"));
}

// Everybody waits in a nursery or for two seconds; only who sleeps one second minds.
void one_of_three_minds(int& minded) {
  open_nursery([&](Nursery& nursery) {
    for (int i : {2, 1, 2}) {
      nursery.start_soon(
          [&minded, i] {
            const absl::Cleanup notice = [&] { minded += i == 1 ? std::uncaught_exceptions() : 0; };
            sleep(seconds(i));
          },
          {.name = i == 1 ? "minder" : "other"});
    }
  });
}

TEST(CancelSweepTest, AFailureSaysWhereEverybodyWasAndIsReplayedByItsToken) {
  int minded = 0;
  int runs = 0;
  const auto body = [&] {
    ++runs;
    minded = 0;
    one_of_three_minds(minded);
  };
  CancelSweepOptions options{.check = [&] {
    if (minded != 0) throw std::logic_error("it minded");
  }};
  try {
    cancel_sweep(body, options);
    FAIL() << "nobody minded";
  } catch (const CancelSweepError& error) {
    EXPECT_THAT(
        error.what(),
        AllOf(HasSubstr("it minded"), HasSubstr("the tasks just before that:\n"),
              ContainsRegex("minder #[0-9]+  ready  started at cancel_sweep_test.cc:[0-9]+"),
              HasSubstr("WEFT_CANCEL=" + error.token())));
    options.replay = error.token();
  }
  runs = 0;
  EXPECT_THAT(complaint(body, options), HasSubstr("WEFT_CANCEL=" + options.replay));
  EXPECT_EQ(runs, 2) << "one to count, and one that is cancelled";
}

TEST(CancelSweepTest, TheEnvironmentAsksForOneCancellation) {
  std::vector<int> got_to;
  int at = 0;
  const auto body = [&] {
    for (at = 0; at < 5; ++at) checkpoint();
  };
  ::setenv("WEFT_CANCEL", "3.arrival", 1);
  const auto result = cancel_sweep(body, {.check = [&] { got_to.push_back(at); }});
  ::unsetenv("WEFT_CANCEL");
  EXPECT_EQ(got_to, (std::vector<int>{5, 3}));
  EXPECT_EQ(result.swept, 1U);
  EXPECT_EQ(result.runs, 1U);
}

TEST(CancelSweepTest, ATokenThatIsNoneOrOfAnotherBodyIsRefused) {
  const auto body = [] { checkpoint(); };
  for (const char* token :
       {"x", "3", "3.", ".woken", "3.asleep", "-1.woken", "3.woken.", "3woken"}) {
    EXPECT_THROW(cancel_sweep(body, {.replay = token}), UsageError) << token;
  }
  try {
    cancel_sweep(body, {.replay = "1.arrival"});
    FAIL() << "there is one checkpoint only";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("belongs to another body: this one comes to 1 checkpoints"));
  }
}

TEST(CancelSweepTest, WhatTheBodyThrowsIsAFailureUnlessItMay) {
  const auto body = [] {
    try {
      sleep(seconds(1));
    } catch (const Cancelled&) {
      throw std::runtime_error("instead");
    }
  };
  EXPECT_THAT(complaint(body), HasSubstr("instead"));
  EXPECT_EQ(complaint(body, {.may_throw = true}), "");
}

TEST(CancelSweepTest, ABodyThatFailsByItselfIsNotSwept) {
  EXPECT_THROW(cancel_sweep([] { throw std::out_of_range("by itself"); }), std::out_of_range);
}

TEST(CancelSweepTest, LeavesOutCheckpointsEvenly) {
  std::vector<int> got_to;
  int at = 0;
  const auto result = cancel_sweep(
      [&] {
        for (at = 0; at < 100; ++at) checkpoint();
      },
      {.most = 10, .check = [&] { got_to.push_back(at); }});
  EXPECT_EQ(result.checkpoints, 100U);
  EXPECT_EQ(result.swept, 10U);
  EXPECT_EQ(result.runs, 30U);
  EXPECT_EQ(got_to.at(1), 0);
  EXPECT_GE(got_to.back(), 90);
}

}  // namespace
}  // namespace weft::fibers::testing
