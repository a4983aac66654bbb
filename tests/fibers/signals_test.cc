// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/signals.h"

#include <gtest/gtest.h>
#include <sys/types.h>
#include <unistd.h>

#include <csignal>
#include <thread>
#include <vector>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;
using testing::assert_checkpoints;
using testing::wait_all_tasks_blocked;

using Handler = void (*)(int);

Handler handler_of(int signal) {
  struct sigaction action {};
  ::sigaction(signal, nullptr, &action);
  return action.sa_handler;
}

std::vector<int> handled;
void note(int signal) {
  handled.push_back(signal);
}

// Puts a handler in place that notes what comes, and takes it away again.
class NotingHandler {
 public:
  explicit NotingHandler(int signal, Handler handler = &note)
      : signal_(signal), before_(std::signal(signal, handler)) {
    handled.clear();
    handled.reserve(8);  // A handler must not allocate.
  }
  NotingHandler(const NotingHandler&) = delete;
  NotingHandler& operator=(const NotingHandler&) = delete;
  ~NotingHandler() { std::signal(signal_, before_); }

 private:
  int signal_;
  Handler before_;
};

// trio: test_signals.py::test_open_signal_receiver
FIBER_TEST(SignalReceiverTest, ReceivesEachSignalOnce) {
  WEFT_NOT_SWEPT("a signal that nobody takes is raised again, and ends the process");
  const Handler before = handler_of(SIGUSR1);
  open_signal_receiver({SIGUSR1, SIGUSR2}, [&](SignalReceiver& signals) {
    EXPECT_NE(handler_of(SIGUSR1), before);
    // However often it came.
    std::raise(SIGUSR1);
    std::raise(SIGUSR1);
    assert_checkpoints([&] { EXPECT_EQ(signals.receive(), SIGUSR1); });
    EXPECT_EQ(signals.pending(), 0U);
    // In the order in which they came.
    std::raise(SIGUSR2);
    std::raise(SIGUSR1);
    std::raise(SIGUSR2);
    EXPECT_EQ(signals.pending(), 2U);
    EXPECT_EQ(signals.receive(), SIGUSR2);
    EXPECT_EQ(signals.receive(), SIGUSR1);
    EXPECT_FALSE(move_on_after(seconds(1), [&] { signals.receive(); }));
  });
  EXPECT_EQ(handler_of(SIGUSR1), before);
}

FIBER_TEST(SignalReceiverTest, WakesWhoWaits) {
  WEFT_NOT_SWEPT("a signal that nobody takes is raised again, and ends the process");
  open_signal_receiver({SIGUSR1}, [](SignalReceiver& signals) {
    std::vector<int> received;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        for (const int signal : signals) {
          received.push_back(signal);
          if (received.size() == 3) return;
        }
      });
      for (int i = 0; i < 3; ++i) {
        wait_all_tasks_blocked();
        std::raise(SIGUSR1);
      }
    });
    EXPECT_EQ(received, (std::vector<int>{SIGUSR1, SIGUSR1, SIGUSR1}));
  });
}

// To the process, and not to a thread of it: which thread runs the handler is the system's choice.
FIBER_TEST(SignalReceiverTest, ReceivesWhatAnotherThreadHandles) {
  WEFT_NOT_SWEPT("a signal that nobody takes is raised again, and ends the process");
  open_signal_receiver({SIGUSR1}, [](SignalReceiver& signals) {
    to_thread::run_sync([] { ::pthread_kill(::pthread_self(), SIGUSR1); });
    EXPECT_EQ(signals.receive(), SIGUSR1);
    ::kill(::getpid(), SIGUSR1);
    EXPECT_EQ(signals.receive(), SIGUSR1);
  });
}

TEST(SignalReceiverRunTest, WakesARunThatSleepsInTheSystem) {
  run([] {
    open_signal_receiver({SIGUSR1}, [](SignalReceiver& signals) {
      const pid_t process = ::getpid();
      open_nursery([&](Nursery& nursery) {
        nursery.start_soon([&] { EXPECT_EQ(signals.receive(), SIGUSR1); });
        wait_all_tasks_blocked();
        std::thread([process] { ::kill(process, SIGUSR1); }).join();
      });
    });
  });
}

// trio: test_signals.py::test_open_signal_receiver_empty_fail
FIBER_TEST(SignalReceiverTest, NeedsASignal) {
  EXPECT_THROW(open_signal_receiver({}, [](SignalReceiver&) {}), UsageError);
}

// trio: test_signals.py::test_open_signal_receiver_restore_handler_after_one_bad_signal
FIBER_TEST(SignalReceiverTest, RefusedSignalLeavesTheOthersAlone) {
  const Handler before = handler_of(SIGUSR1);
  for (const int bad : {SIGKILL, SIGSTOP, 0, -1, 1000}) {
    try {
      open_signal_receiver({SIGUSR1, bad}, [](SignalReceiver&) { FAIL() << "got in"; });
      FAIL() << "not refused: " << bad;
    } catch (const UsageError& error) {
      EXPECT_NE(std::string(error.what()).find("signal " + std::to_string(bad)), std::string::npos);
    }
    EXPECT_EQ(handler_of(SIGUSR1), before);
  }
}

// trio: test_signals.py::test_open_signal_receiver_restore_handler_after_duplicate_signal
FIBER_TEST(SignalReceiverTest, SameSignalTwiceCountsOnce) {
  WEFT_NOT_SWEPT("a signal that nobody takes is raised again, and ends the process");
  const Handler before = handler_of(SIGUSR1);
  open_signal_receiver({SIGUSR1, SIGUSR1}, [](SignalReceiver& signals) {
    std::raise(SIGUSR1);
    EXPECT_EQ(signals.pending(), 1U);
    EXPECT_EQ(signals.receive(), SIGUSR1);
  });
  EXPECT_EQ(handler_of(SIGUSR1), before);
}

// trio: test_signals.py::test_catch_signals_wrong_thread
TEST(SignalReceiverRunTest, WorksOnTheMainThreadOnly) {
  std::thread([] {
    run([] {
      EXPECT_THROW(open_signal_receiver({SIGUSR1}, [](SignalReceiver&) { FAIL() << "got in"; }),
                   UsageError);
    });
  }).join();
}

// trio: test_signals.py::test_open_signal_receiver_conflict
FIBER_TEST(SignalReceiverTest, IsForOneTaskAtATime) {
  WEFT_NOT_SWEPT("a signal that nobody takes is raised again, and ends the process");
  open_signal_receiver({SIGUSR1}, [](SignalReceiver& signals) {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { signals.receive(); });
      wait_all_tasks_blocked();
      EXPECT_THROW(signals.receive(), BusyResourceError);
      nursery.cancel_scope().cancel();
    });
    std::raise(SIGUSR1);
    EXPECT_EQ(signals.receive(), SIGUSR1);
  });
}

// trio: test_signals.py::test_open_signal_receiver_no_starvation
FIBER_TEST(SignalReceiverTest, SignalsThatAlwaysWaitAlternate) {
  WEFT_NOT_SWEPT("a signal that nobody takes is raised again, and ends the process");
  open_signal_receiver({SIGUSR1, SIGUSR2}, [](SignalReceiver& signals) {
    std::raise(SIGUSR1);
    std::raise(SIGUSR2);
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(signals.receive(), SIGUSR1);
      std::raise(SIGUSR1);
      EXPECT_EQ(signals.receive(), SIGUSR2);
      std::raise(SIGUSR2);
    }
    EXPECT_EQ(signals.receive(), SIGUSR1);
    EXPECT_EQ(signals.receive(), SIGUSR2);
  });
}

FIBER_TEST(SignalReceiverTest, CancelledReceiveLosesNothing) {
  WEFT_NOT_SWEPT("a signal that nobody takes is raised again, and ends the process");
  open_signal_receiver({SIGUSR1}, [](SignalReceiver& signals) {
    std::raise(SIGUSR1);
    CancelScope scope;
    scope.cancel();
    EXPECT_FALSE(scope.run([&] { signals.receive(); }));
    EXPECT_EQ(signals.receive(), SIGUSR1);
  });
}

// trio: test_signals.py::test_catch_signals_race_condition_on_exit
FIBER_TEST(SignalReceiverTest, UndeliveredSignalsAreRaisedAgain) {
  const NotingHandler one(SIGUSR1);
  const NotingHandler two(SIGUSR2);
  open_signal_receiver({SIGUSR1, SIGUSR2}, [](SignalReceiver& signals) {
    std::raise(SIGUSR2);
    std::raise(SIGUSR1);
    std::raise(SIGUSR1);
    EXPECT_TRUE(handled.empty());
    EXPECT_EQ(signals.pending(), 2U);
  });
  EXPECT_EQ(handled, (std::vector<int>{SIGUSR2, SIGUSR1}));
  // Also when the body fails.
  EXPECT_THROW(open_signal_receiver({SIGUSR1},
                                    [](SignalReceiver&) {
                                      std::raise(SIGUSR1);
                                      throw std::domain_error("body");
                                    }),
               std::domain_error);
  EXPECT_EQ(handled, (std::vector<int>{SIGUSR2, SIGUSR1, SIGUSR1}));
}

// trio: test_signals.py::test_catch_signals_race_condition_on_exit
FIBER_TEST(SignalReceiverTest, UndeliveredSignalThatWasIgnoredIsIgnored) {
  const NotingHandler ignored(SIGUSR1, SIG_IGN);
  open_signal_receiver({SIGUSR1}, [](SignalReceiver&) { std::raise(SIGUSR1); });
  EXPECT_EQ(handler_of(SIGUSR1), SIG_IGN);
}

FIBER_TEST(SignalReceiverTest, InterruptGoesToTheReceiverMeanwhile) {
  open_signal_receiver({SIGINT}, [](SignalReceiver& signals) {
    std::raise(SIGINT);
    EXPECT_EQ(signals.receive(), SIGINT);
    std::raise(SIGINT);
  });
  EXPECT_THROW(checkpoint(), KeyboardInterrupt);
}

FIBER_TEST(SignalReceiverTest, InnermostReceiverGetsTheSignal) {
  WEFT_NOT_SWEPT("a signal that nobody takes is raised again, and ends the process");
  open_signal_receiver({SIGUSR1}, [](SignalReceiver& outer) {
    open_signal_receiver({SIGUSR1}, [&](SignalReceiver& inner) {
      std::raise(SIGUSR1);
      EXPECT_EQ(outer.pending(), 0U);
      EXPECT_EQ(inner.receive(), SIGUSR1);
      std::raise(SIGUSR1);
    });
    EXPECT_EQ(outer.receive(), SIGUSR1);  // What the inner one left.
  });
}

// Two tasks that end in the order in which they began.
FIBER_TEST(SignalReceiverTest, ReceiversMayEndInAnyOrder) {
  WEFT_NOT_SWEPT("a signal that nobody takes is raised again, and ends the process");
  const Handler before = handler_of(SIGUSR1);
  Event first_may_end;
  Event first_has_ended;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      open_signal_receiver({SIGUSR1}, [&](SignalReceiver&) { first_may_end.wait(); });
      first_has_ended.set();
    });
    wait_all_tasks_blocked();
    open_signal_receiver({SIGUSR1}, [&](SignalReceiver& second) {
      first_may_end.set();
      first_has_ended.wait();
      std::raise(SIGUSR1);
      EXPECT_EQ(second.receive(), SIGUSR1);
    });
  });
  EXPECT_EQ(handler_of(SIGUSR1), before);
}

FIBER_TEST(SignalReceiverTest, BodysResultComesOut) {
  EXPECT_EQ(open_signal_receiver({SIGUSR1}, [](SignalReceiver&) { return 7; }), 7);
}

}  // namespace
}  // namespace weft::fibers
