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
#include <vector>

#include "tests/fibers/guest_testing.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/guest.h"
#include "weft/fibers/inspect.h"
#include "weft/fibers/instrument.h"
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

TEST_P(TickHereTest, AnErrorThatMainThrowsInItGoesToTheHostsLoop) {
  Event event;
  Hosted hosted(GetParam());
  hosted.start([&] {
    event.wait();
    throw std::out_of_range("main's");
  });
  hosted.settle();
  {
    TickHere here;
    event.set();
    ASSERT_TRUE(here.wanted());
    here.make();
  }
  EXPECT_THROW(hosted.finish(), std::out_of_range);
}

// What such a tick leaves to be done: it plans no wait anew unless it has to.
struct Quick {
  // The task is let go, and `then` is called in it, in a tick of the callback's.
  template <class F>
  Quick(Way way, F then) : hosted(way) {
    hosted.start([this, then] {
      event.wait();
      then();
      done = true;
    });
    hosted.settle();
    TickHere here;
    event.set();
    EXPECT_TRUE(here.wanted());
    here.make();
  }

  Event event;
  bool done = false;
  Hosted hosted;
};

TEST_P(TickHereTest, ADeadlineThatATaskSetsInItIsKept) {
  bool expired = false;
  Quick quick(GetParam(), [&] {
    expired = !move_on_after(std::chrono::milliseconds(1), [] { sleep_forever(); });
  });
  EXPECT_FALSE(quick.done);
  quick.hosted.finish();
  EXPECT_TRUE(expired);
}

TEST_P(TickHereTest, WhoWaitsInItUntilAllAreBlockedIsWoken) {
  Quick quick(GetParam(), [] { testing::wait_all_tasks_blocked(); });
  quick.hosted.finish();
  EXPECT_TRUE(quick.done);
}

TEST_P(TickHereTest, TasksThatGoOnForLongGoOnInLaterTicks) {
  int turns = 0;
  Quick quick(GetParam(), [&] {
    for (; turns < 5000; ++turns) checkpoint();
  });
  EXPECT_FALSE(quick.done) << "the host has had to wait for all of it";
  quick.hosted.finish();
  EXPECT_EQ(turns, 5000);
}

TEST_P(TickHereTest, ACallFromAThreadAfterItArrives) {
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

TEST_P(TickHereTest, ItIsCounted) {
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  Event first;
  Event second;
  Hosted hosted(GetParam());
  hosted.start([&] {
    first.wait();
    before = current_statistics().ticks;
    second.wait();
    after = current_statistics().ticks;
  });
  hosted.settle();
  for (Event* each : {&first, &second}) {
    TickHere here;
    each->set();
    here.make();
  }
  hosted.finish();
  EXPECT_EQ(after, before + 1);
}

TEST_P(TickHereTest, InstrumentsSeeItsWaits) {
  struct Counts final : Instrument {
    void before_io_wait(Duration /*timeout*/) override { ++waits; }
    int waits = 0;
  };
  const auto counts = std::make_shared<Counts>();
  Event end;
  Quick quick(GetParam(), [&] {
    add_instrument(counts);
    end.wait();
  });
  const int before = counts->waits;
  EXPECT_EQ(before, 1) << "of the tick in which it was added";
  {
    TickHere here;
    end.set();
    here.make();
  }
  quick.hosted.finish();
  EXPECT_TRUE(quick.done);
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
