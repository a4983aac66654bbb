// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Greenlets and runs: whole runs suspended inside greenlets, and greenlets that tasks switch to.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <any>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fibers/core/context.h"  // WEFT_TSAN
#include "tests/fibers/greenlet_testing.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/greenlet.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/task.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/mock_clock.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A run in a greenlet, which does what it is asked to when it is switched to, and stands still in
// between; its other tasks live on from one request to the next.
class SuspendedRun {
 public:
  using Request = std::function<std::any(Nursery&)>;

  SuspendedRun() : greenlet_([this] { run([this] { serve(); }, {.clock = &clock_}); }) {
    greenlet_.switch_to();
  }
  SuspendedRun(const SuspendedRun&) = delete;
  SuspendedRun& operator=(const SuspendedRun&) = delete;
  ~SuspendedRun() { close(); }

  // From the host, or from wherever.
  std::any ask(Request request) {
    greenlet_.set_parent(getcurrent());
    return greenlet_.switch_to(std::move(request));
  }
  void close() {
    if (!greenlet_) return;
    greenlet_.set_parent(getcurrent());
    greenlet_.switch_to();
  }
  const Greenlet& greenlet() const { return greenlet_; }

 private:
  void serve() {
    open_nursery([](Nursery& nursery) {
      for (std::any answer;;) {
        const std::any asked = to_parent(std::move(answer));
        const auto* request = std::any_cast<Request>(&asked);
        if (request == nullptr) break;
        answer = (*request)(nursery);
      }
      nursery.cancel_scope().cancel();
    });
  }

  testing::MockClock clock_{0.0, Duration::zero()};
  Greenlet greenlet_;
};

std::string where() {
  return in_trio_task() ? std::string(current_task().name()) : std::string("outside");
}

TEST(GreenletRunTest, ARunMayBeLeftAndGoneOnWith) {
  SuspendedRun run;
  EXPECT_FALSE(in_trio_run());
  EXPECT_EQ(std::any_cast<std::string>(run.ask([](Nursery&) { return where(); })), "main");
  EXPECT_FALSE(in_trio_run());
  run.close();
  EXPECT_TRUE(run.greenlet().dead());
}

TEST(GreenletRunTest, TwoSuspendedRunsAndAThirdAlternateOnOneThread) {
  SuspendedRun one;
  SuspendedRun two;
  std::vector<std::string> log;
  const auto ticker = [&log](const char* name) {
    return [&log, name](Nursery& nursery) {
      nursery.start_soon([&log, name] {
        for (int i = 1;; ++i) {
          sleep(seconds(1));
          log.push_back(name + std::to_string(i));
        }
      });
      return std::any();
    };
  };
  const auto pass = [](int s) {
    return [s](Nursery&) {
      sleep(seconds(s));
      return std::any(current_time());
    };
  };
  one.ask(ticker("a"));
  two.ask(ticker("b"));
  one.ask([](Nursery&) {
    sleep(std::chrono::milliseconds(500));
    return std::any();
  });
  const auto t1 = std::any_cast<Instant>(one.ask(pass(2)));
  log.emplace_back("host");
  two.ask(pass(0));
  const auto t2 = std::any_cast<Instant>(one.ask(pass(1)));
  EXPECT_EQ(t2 - t1, seconds(1)) << "its clock stood still";
  testing::MockClock clock(0.0, Duration::zero());
  run(
      [&] {
        sleep(seconds(5));
        log.emplace_back("third");
      },
      {.clock = &clock});
  two.ask([](Nursery&) {
    sleep(std::chrono::milliseconds(1500));
    return std::any();
  });
  EXPECT_THAT(log, ElementsAre("a1", "a2", "host", "a3", "third", "b1"));
  two.close();
  EXPECT_EQ(std::any_cast<std::string>(one.ask([](Nursery&) { return where(); })), "main");
}

TEST(GreenletRunTest, AnErrorComesOutOfTheRunIntoTheHost) {
  SuspendedRun run;
  EXPECT_THROW(run.ask([](Nursery&) -> std::any { throw std::runtime_error("x"); }),
               ExceptionGroup);
  EXPECT_TRUE(run.greenlet().dead());
}

TEST(GreenletRunTest, ARunThatIsDroppedIsUnwound) {
  bool unwound = false;
  bool cancelled = false;
  Greenlet g([&] {
    run([&] {
      open_nursery([&](Nursery& nursery) {
        nursery.start_soon([&] {
          try {
            sleep_forever();
          } catch (const Cancelled&) {
            cancelled = true;
            throw;
          }
        });
        checkpoint();
        struct AtEnd {
          ~AtEnd() { unwound = true; }
          bool& unwound;
        } at_end{unwound};
        to_parent();
      });
    });
  });
  g.switch_to();
  g = nullptr;
  EXPECT_TRUE(unwound);
  EXPECT_TRUE(cancelled);
  EXPECT_FALSE(in_trio_run());
}

TEST(GreenletRunTest, ARunInsideASuspendedOnesTaskIsRefusedAndBesideItAllowed) {
  SuspendedRun suspended;
  EXPECT_TRUE(std::any_cast<bool>(suspended.ask([](Nursery&) -> std::any {
    try {
      run([] {});
    } catch (const UsageError&) {
      return true;
    }
    return false;
  })));
  EXPECT_EQ(run([] { return 1; }), 1);
}

// A greenlet that a task has switched to is outside the run: it cannot wait there, and says so.
FIBER_TEST(GreenletInTaskTest, CannotWait) {
  std::string said;
  Greenlet g([&] {
    EXPECT_FALSE(in_trio_run());
    try {
      sleep(seconds(1));
    } catch (const UsageError& e) {
      said = e.what();
    }
  });
  g.switch_to();
  EXPECT_THAT(said, HasSubstr("a greenlet is outside the run that has switched to it"));
}

// It goes on in whichever task switches to it, and goes back to that one.
FIBER_TEST(GreenletInTaskTest, TasksMayShareAGreenlet) {
  std::vector<std::string> log;
  Greenlet numbers([] {
    for (int i = 0;; ++i) to_parent(i);
  });
  open_nursery([&](Nursery& nursery) {
    for (const char* name : {"a", "b"}) {
      nursery.start_soon([&log, &numbers, name] {
        for (int i = 0; i < 2; ++i) {
          log.push_back(name + std::to_string(std::any_cast<int>(numbers.switch_to())));
          sleep(seconds(name[0] == 'a' ? 2 : 3));
        }
      });
    }
  });
  EXPECT_EQ(log.size(), 4U);
  EXPECT_THAT(std::vector<std::string>(log.begin() + 2, log.end()), ElementsAre("a2", "b3"));
}

FIBER_TEST(GreenletInTaskTest, WhileATaskIsInAGreenletItsWholeRunStandsStill) {
  bool other_ran = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { other_ran = true; });
    Greenlet g([&] {
      to_parent();
      EXPECT_FALSE(other_ran);
    });
    g.switch_to();
    g.switch_to();
    EXPECT_FALSE(other_ran);
  });
  EXPECT_TRUE(other_ran);
}

FIBER_TEST(GreenletInTaskTest, MayHaveARunOfItsOwn) {
  const Greenlet here = getcurrent();
  std::vector<std::string> log;
  Greenlet g([&] {
    run([&] {
      log.emplace_back("in");
      here.switch_to();
      checkpoint();
      log.emplace_back("in again");
    });
  });
  g.switch_to();
  log.emplace_back("out");
  checkpoint();
  g.switch_to();
  EXPECT_THAT(log, ElementsAre("in", "out", "in again"));
  EXPECT_TRUE(g.dead());
}

FIBER_TEST(GreenletInTaskTest, AnErrorArrivesInTheTask) {
  Greenlet g([] { throw SomeError(); });
  EXPECT_THROW(g.switch_to(), SomeError);
  checkpoint();
}

ContextVar<int> g_number("number");

FIBER_TEST(GreenletInTaskTest, HasContextVariablesOfItsOwn) {
  g_number.set(1);
  Greenlet g([] {
    EXPECT_EQ(g_number.get(), std::nullopt);
    g_number.set(2);
    to_parent();
    EXPECT_EQ(g_number.get(), 2);
  });
  g.switch_to();
  EXPECT_EQ(g_number.get(), 1);
  g.switch_to();
}

FIBER_TEST(GreenletInTaskTest, MayBeDroppedByATask) {
  bool unwound = false;
  Greenlet g([&] {
    struct AtEnd {
      ~AtEnd() { unwound = true; }
      bool& unwound;
    } at_end{unwound};
    to_parent();
  });
  g.switch_to();
  g = nullptr;
  EXPECT_TRUE(unwound);
  checkpoint();
}

// Ctrl-C asks the run that is not suspended; with none, it does what it does without weft.
TEST(GreenletRunTest, CtrlCAsksTheRunThatRuns) {
#ifdef WEFT_TSAN
  GTEST_SKIP() << "TSan holds back a signal that a handler sends again";
#endif
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGINT, SIG_DFL);
    std::string interrupted;
    const auto interruptible = [&](const char* name) {
      return [&interrupted, name](Nursery&) {
        try {
          ::raise(SIGINT);
          for (int i = 0; i < 1000; ++i) sleep(seconds(1));  // TSan delivers signals late.
        } catch (const KeyboardInterrupt&) {
          interrupted += name;
        }
        return std::any();
      };
    };
    SuspendedRun one;
    SuspendedRun two;
    one.ask(interruptible("1"));
    two.ask(interruptible("2"));
    one.ask(interruptible("1"));
    if (interrupted != "121") ::_exit(1);
    ::raise(SIGINT);
    ::pause();
    ::_exit(2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT)
      << "exit status " << WEXITSTATUS(status);
}

}  // namespace
}  // namespace weft::fibers
