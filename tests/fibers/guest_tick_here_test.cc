// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Ticks of a guest that a host's callback makes itself.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/fibers/guest_testing.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/guest.h"
#include "weft/fibers/inspect.h"
#include "weft/fibers/instrument.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

using ::testing::ElementsAre;
using testing::Hosted;
using testing::Way;

class TickHereTest : public ::testing::TestWithParam<Way> {};
INSTANTIATE_TEST_SUITE_P(, TickHereTest, ::testing::Values(Way::kPolled, Way::kPolledAndPosted),
                         testing::way_name);

// A guest whose task waits for an event twice, and says so.
struct Waiting {
  explicit Waiting(Way way) : hosted(way) {
    hosted.start([this] {
      first.wait();
      order.emplace_back("first");
      second.wait();
      order.emplace_back("second");
    });
    hosted.settle();
  }
  void finish() {
    first.set();
    second.set();
    hosted.finish();
  }

  Event first;
  Event second;
  std::vector<std::string> order;
  Hosted hosted;
};

TEST_P(TickHereTest, TheTaskGoesOnInTheCallback) {
  Waiting w(GetParam());
  const int ticks = w.hosted.ticks;
  {
    TickHere here;
    EXPECT_FALSE(here.wanted());
    w.first.set();
    w.order.emplace_back("callback");
    ASSERT_TRUE(here.wanted());
    here.make();
    EXPECT_FALSE(here.wanted());
  }
  EXPECT_THAT(w.order, ElementsAre("callback", "first"));
  EXPECT_FALSE(w.hosted.host.busy()) << "the host has been asked besides";
  EXPECT_EQ(w.hosted.ticks, ticks);
  w.finish();
  EXPECT_THAT(w.order, ElementsAre("callback", "first", "second"));
}

TEST_P(TickHereTest, ATickThatIsNotMadeIsAskedFor) {
  Waiting w(GetParam());
  {
    const TickHere here;
    w.first.set();
    EXPECT_FALSE(w.hosted.host.busy());
  }
  EXPECT_TRUE(w.order.empty());
  w.hosted.settle();
  EXPECT_THAT(w.order, ElementsAre("first"));
  w.finish();
}

TEST_P(TickHereTest, NoneIsWantedWhereNothingHasHappened) {
  Waiting w(GetParam());
  {
    TickHere here;
    EXPECT_FALSE(here.wanted());
    EXPECT_THROW(here.make(), UsageError);
  }
  EXPECT_FALSE(w.hosted.host.busy());
  w.finish();
}

TEST_P(TickHereTest, NoneIsWantedWhileOneIsOnItsWay) {
  Waiting w(GetParam());
  w.first.set();
  {
    const TickHere here;
    w.second.set();
    EXPECT_FALSE(here.wanted());
  }
  EXPECT_TRUE(w.order.empty());
  w.hosted.finish();
  EXPECT_THAT(w.order, ElementsAre("first", "second"));
}

TEST_P(TickHereTest, NoneIsWantedInATick) {
  Event event;
  std::optional<bool> wanted;
  Hosted hosted(GetParam());
  hosted.start([&] {
    const TickHere here;
    event.set();
    wanted = here.wanted();
    event.wait();
  });
  hosted.finish();
  EXPECT_EQ(wanted, false);
}

TEST_P(TickHereTest, TheOuterOfTwoMakesIt) {
  Waiting w(GetParam());
  TickHere outer;
  {
    const TickHere inner;
    w.first.set();
    EXPECT_FALSE(inner.wanted());
  }
  EXPECT_FALSE(w.hosted.host.busy());
  ASSERT_TRUE(outer.wanted());
  outer.make();
  EXPECT_THAT(w.order, ElementsAre("first"));
  w.finish();
}

TEST_P(TickHereTest, ADeadlineThatMovesWantsOne) {
  CancelScope scope;
  Hosted hosted(GetParam());
  hosted.start([&] { scope.run([] { sleep_forever(); }); });
  hosted.settle();
  {
    TickHere here;
    scope.set_deadline(current_time());
    ASSERT_TRUE(here.wanted());
    here.make();
  }
  hosted.finish();
  EXPECT_TRUE(scope.cancelled_caught());
}

// How a callback of the host's ends the wait of a task, and makes the tick.
enum class End : std::uint8_t { kTickHere, kResume };

using QuickParam = std::tuple<Way, End>;

static std::string quick_name(const ::testing::TestParamInfo<QuickParam>& of) {
  const bool posted = std::get<0>(of.param) == Way::kPolledAndPosted;
  const bool resumes = std::get<1>(of.param) == End::kResume;
  return std::string(posted ? "PolledAndPosted" : "Polled") + (resumes ? "Resume" : "TickHere");
}

class QuickTickTest : public ::testing::TestWithParam<QuickParam> {};
INSTANTIATE_TEST_SUITE_P(, QuickTickTest,
                         ::testing::Combine(::testing::Values(Way::kPolled, Way::kPolledAndPosted),
                                            ::testing::Values(End::kTickHere, End::kResume)),
                         quick_name);

// Where a task waits for a callback.
class Place {
 public:
  void wait() {
    task_ = &current_task();
    wait_task_rescheduled([](const RaiseCancel& /*raise*/) { return Abort::kFailed; });
  }
  Task& task() const { return *task_; }
  // The callback.
  void end(End how) {
    if (how == End::kResume) {
      EXPECT_TRUE(detail::resume_here(*task_));
      return;
    }
    TickHere here;
    reschedule(*task_);
    ASSERT_TRUE(here.wanted());
    here.make();
  }

 private:
  Task* task_ = nullptr;
};

// What such a tick leaves to be done: it plans no wait anew unless it has to.
struct Quick {
  // The task is let go, and `then` is called in it, in the tick of a callback's.
  template <class F>
  Quick(const QuickParam& how, F then) : hosted(std::get<0>(how)) {
    hosted.start([this, then] {
      place.wait();
      then();
      done = true;
    });
    hosted.settle();
    const int ticks = hosted.ticks;
    place.end(std::get<1>(how));
    EXPECT_EQ(hosted.ticks, ticks) << "the host has made one besides";
  }

  Place place;
  bool done = false;
  Hosted hosted;
};

TEST_P(QuickTickTest, TheTaskGoesOnInTheCallback) {
  Event end;
  bool went_on = false;
  Quick quick(GetParam(), [&] {
    went_on = true;
    end.wait();
  });
  EXPECT_TRUE(went_on);
  EXPECT_FALSE(quick.hosted.host.busy()) << "the host has been asked besides";
  end.set();
  quick.hosted.finish();
  EXPECT_TRUE(quick.done);
}

TEST_P(QuickTickTest, AnErrorThatMainThrowsInItGoesToTheHostsLoop) {
  Quick quick(GetParam(), [] { throw std::out_of_range("main's"); });
  EXPECT_THROW(quick.hosted.finish(), std::out_of_range);
}

TEST_P(QuickTickTest, TasksThatItMakesReadyRunInIt) {
  Event end;
  std::vector<std::string> order;
  Quick quick(GetParam(), [&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        order.emplace_back("child");
        end.wait();
      });
      order.emplace_back("body");
    });
  });
  EXPECT_THAT(order, ElementsAre("body", "child"));
  end.set();
  quick.hosted.finish();
  EXPECT_TRUE(quick.done);
}

TEST_P(QuickTickTest, ADeadlineThatATaskSetsInItIsKept) {
  bool expired = false;
  Quick quick(GetParam(), [&] {
    expired = !move_on_after(std::chrono::milliseconds(1), [] { sleep_forever(); });
  });
  EXPECT_FALSE(quick.done);
  quick.hosted.finish();
  EXPECT_TRUE(expired);
}

TEST_P(QuickTickTest, WhoWaitsInItUntilAllAreBlockedIsWoken) {
  Quick quick(GetParam(), [] { testing::wait_all_tasks_blocked(); });
  quick.hosted.finish();
  EXPECT_TRUE(quick.done);
}

TEST_P(QuickTickTest, TasksThatGoOnForLongGoOnInLaterTicks) {
  int turns = 0;
  Quick quick(GetParam(), [&] {
    for (; turns < 5000; ++turns) checkpoint();
  });
  EXPECT_FALSE(quick.done) << "the host has had to wait for all of it";
  quick.hosted.finish();
  EXPECT_EQ(turns, 5000);
}

TEST_P(QuickTickTest, ACallFromAThreadAfterItArrives) {
  std::optional<Token> token;
  Event called;
  Quick quick(GetParam(), [&] {
    token = current_token();
    called.wait();
  });
  EXPECT_FALSE(quick.hosted.host.busy());
  std::thread([&] { token->run_sync_soon([&] { called.set(); }); }).join();
  quick.hosted.finish();
  EXPECT_TRUE(quick.done);
}

TEST_P(QuickTickTest, ItIsCounted) {
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  Place second;
  Quick quick(GetParam(), [&] {
    before = current_statistics().ticks;
    second.wait();
    after = current_statistics().ticks;
  });
  second.end(std::get<1>(GetParam()));
  quick.hosted.finish();
  EXPECT_EQ(after, before + 1);
}

TEST_P(QuickTickTest, InstrumentsSeeItsWaits) {
  struct Counts final : Instrument {
    void before_io_wait(Duration /*timeout*/) override { ++waits; }
    int waits = 0;
  };
  const auto counts = std::make_shared<Counts>();
  Place end;
  Quick quick(GetParam(), [&] {
    add_instrument(counts);
    end.wait();
  });
  EXPECT_EQ(counts->waits, 1) << "of the tick in which it was added";
  EXPECT_FALSE(detail::resume_here(end.task())) << "the instrument would not be told";
  end.end(End::kTickHere);
  quick.hosted.finish();
  EXPECT_TRUE(quick.done);
}

TEST_P(TickHereTest, NobodyIsResumedWhileATickIsOnItsWay) {
  Place first;
  Place second;
  Hosted hosted(GetParam());
  hosted.start([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { first.wait(); });
      nursery.start_soon([&] { second.wait(); });
    });
  });
  hosted.settle();
  {
    const TickHere promised;
    EXPECT_FALSE(detail::resume_here(first.task()));
  }
  reschedule(first.task());
  EXPECT_FALSE(detail::resume_here(second.task())) << "it would run before the first";
  reschedule(second.task());
  hosted.finish();
}

TEST_P(TickHereTest, NobodyIsResumedInATick) {
  Place place;
  std::optional<bool> resumed;
  Hosted hosted(GetParam());
  hosted.start([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { place.wait(); });
      testing::wait_all_tasks_blocked();
      resumed = detail::resume_here(place.task());
      reschedule(place.task());
    });
  });
  hosted.finish();
  EXPECT_EQ(resumed, false);
}

TEST_P(TickHereTest, OnlyWhoWaitsAndWhomTheRunItselfStepsIsResumed) {
  Event stepped;
  Stepper stepper;
  stepper.task_ready = [](Stepper& /*self*/, Task& task) noexcept { set_stepper(task, nullptr); };
  Place place;
  Hosted hosted(GetParam());
  hosted.start([&] { place.wait(); });
  hosted.settle();
  set_stepper(place.task(), &stepper);
  EXPECT_FALSE(detail::resume_here(place.task()));
  reschedule(place.task());
  EXPECT_FALSE(detail::resume_here(place.task())) << "it does not wait any more";
  hosted.finish();
}

// Its helper thread waits, and has to be woken.
TEST(TickHereInThreadTest, IsAskedForAsEver) {
  Waiting w(Way::kThread);
  {
    const TickHere here;
    w.first.set();
    EXPECT_FALSE(here.wanted());
  }
  w.second.set();
  w.hosted.finish();
  EXPECT_THAT(w.order, ElementsAre("first", "second"));
}

TEST(TickHereInThreadTest, DoesNothingOutsideOfRunsAndInOrdinaryOnes) {
  TickHere outside;
  EXPECT_FALSE(outside.wanted());
  EXPECT_THROW(outside.make(), UsageError);
  run([] {
    Event event;
    const TickHere here;
    event.set();
    EXPECT_FALSE(here.wanted());
  });
}

}  // namespace
}  // namespace weft::fibers
