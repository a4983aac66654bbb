// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Tracers, and with them switches at the worst of times.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <any>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/fibers/greenlet_testing.h"
#include "weft/fibers/greenlet.h"

namespace weft::fibers {
namespace {

using ::testing::ElementsAre;

using Action = std::tuple<GreenletEvent, Greenlet, Greenlet>;

// Traces while it lives.
class Tracing {
 public:
  explicit Tracing(GreenletTracer tracer) : before_(settrace(std::move(tracer))) {}
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;
  ~Tracing() { settrace(std::move(before_)); }

 private:
  GreenletTracer before_;
};

// greenlet: test_tracing.py::test_a_greenlet_tracing
TEST(GreenletTraceTest, HearsOfEachSwitchAndThrow) {
  const Greenlet main = getcurrent();
  std::vector<Action> actions;
  Greenlet g1([] {});
  Greenlet g2([] { throw SomeError(); });
  {
    const Tracing tracing([&](GreenletEvent event, const Greenlet& origin, const Greenlet& target) {
      EXPECT_EQ(getcurrent(), target);
      actions.emplace_back(event, origin, target);
    });
    EXPECT_TRUE(gettrace());
    g1.switch_to();
    EXPECT_THROW(g2.switch_to(), SomeError);
  }
  EXPECT_FALSE(gettrace());
  g1.switch_to();
  EXPECT_THAT(actions, ElementsAre(Action(GreenletEvent::kSwitch, main, g1),
                                   Action(GreenletEvent::kSwitch, g1, main),
                                   Action(GreenletEvent::kSwitch, main, g2),
                                   Action(GreenletEvent::kThrow, g2, main)));
}

// greenlet: test_tracing.py::test_b_exception_disables_tracing
TEST(GreenletTraceTest, ATracerThatThrowsIsTheLast) {
  int calls = 0;
  Greenlet g([] { to_parent(); });
  g.switch_to();
  const Tracing tracing([&](auto&&...) {
    ++calls;
    throw SomeError();
  });
  EXPECT_THROW(g.switch_to(), SomeError);
  EXPECT_FALSE(gettrace());
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(g.dead()) << "thrown where it waited";
}

// greenlet: test_tracing.py::test_set_same_tracer_twice
TEST(GreenletTraceTest, TheSameTracerMayBeSetTwice) {
  int calls = 0;
  const GreenletTracer tracer = [&](auto&&...) { ++calls; };
  const Tracing outer(tracer);
  {
    const Tracing inner(tracer);
    Greenlet([] {}).switch_to();
  }
  EXPECT_EQ(calls, 2);
  EXPECT_TRUE(gettrace());
}

// Switches to `to` at the first event after it has been armed.
struct Ambush {
  void operator()(const Greenlet& to, std::any value = {}) {
    if (!armed) return;
    armed = false;
    if (value.has_value()) {
      to.switch_to(std::move(value));
    } else {
      to.switch_to();
    }
  }
  bool armed = false;
};

// greenlet: test_greenlet.py::test_reentrant_switch_two_greenlets
TEST(GreenletTraceTest, ATracerMaySwitchToTheOneThatIsBeingLeft) {
  std::vector<std::string> done;
  Ambush ambush;
  Greenlet g1;
  Greenlet g2;
  g1.set_run([&] {
    ambush.armed = true;
    to_parent();
    done.emplace_back("g1");
  });
  g2.set_run([&] {
    g1.switch_to();
    done.emplace_back("g2");
  });
  const Tracing tracing([&](auto&&...) { ambush(g2); });
  g1.switch_to();
  g2.switch_to();
  EXPECT_THAT(done, ElementsAre("g1", "g2"));
}

// The first switch has not begun to run g1 when its tracer goes elsewhere; the values it was to
// start with are kept for it.
// greenlet: test_greenlet.py::test_reentrant_switch_three_greenlets
TEST(GreenletTraceTest, ValuesThatDoNotFitAreNoticedHoweverLateItStarts) {
  Ambush ambush;
  Greenlet g1([] { FAIL(); });
  Greenlet g2([] { to_parent(); });
  ambush.armed = true;
  const Tracing tracing([&](auto&&...) { ambush(g2); });
  EXPECT_FALSE(g1.switch_to(1).has_value());
  EXPECT_THROW(g1.switch_to(2), GreenletError);
}

// greenlet: test_greenlet.py::test_reentrant_switch_three_greenlets2
TEST(GreenletTraceTest, ATracerMaySwitchBeforeTheTargetHasStarted) {
  std::vector<std::string> results;
  const auto text = [](const std::any& value) {
    const auto* string = std::any_cast<std::string>(&value);
    return string != nullptr ? *string : std::string("()");
  };
  Ambush ambush;
  Greenlet g1([&](const std::string& arg) {
    results.push_back("g1 arg " + arg);
    results.push_back("g1 from parent " + text(to_parent(std::string("from g1"))));
    return std::string("g1 done");
  });
  Greenlet g2([&](const std::string& arg) {
    results.push_back("g2 arg " + arg);
    results.push_back("g2 from parent " + text(to_parent(std::string("from g2"))));
    return std::string("g2 done");
  });
  ambush.armed = true;
  const Tracing tracing([&](auto&&...) { ambush(g2, std::string("from tracer")); });
  results.push_back("main 1 " + text(g1.switch_to(std::string("first"))));
  results.push_back("main 2 " + text(g1.switch_to(std::string("second"))));
  results.push_back("main 3 " + text(g1.switch_to(std::string("third"))));
  results.push_back("main 4 " + text(g2.switch_to()));
  EXPECT_THAT(results, ElementsAre("g2 arg from tracer", "main 1 from g2", "g1 arg first",
                                   "main 2 from g1", "g1 from parent third", "main 3 g1 done",
                                   "g2 from parent ()", "main 4 g2 done"));
}

// greenlet: test_greenlet.py::test_recursive_startup
TEST(GreenletTraceTest, OneThatIsStartingMaySwitchToItself) {
  Ambush ambush;
  Greenlet g([](int value) { to_parent(value); });
  ambush.armed = true;
  const Tracing tracing([&](auto&&...) { ambush(g, 43); });
  EXPECT_EQ(std::any_cast<int>(g.switch_to(42)), 42);
}

// greenlet: test_greenlet.py::test_reentrant_switch_GreenletAlreadyStartedInPython
TEST(GreenletTraceTest, AParentThatWasStartedMeanwhileIsNotStartedAgain) {
  const Greenlet main = getcurrent();
  std::vector<std::string> order;
  Greenlet a([&](std::any) { order.emplace_back("a"); });
  Greenlet b(
      [&] {
        order.emplace_back("b");
        main.switch_to();
        order.emplace_back("b again");
      },
      a);
  Greenlet c(
      [&] {
        b.switch_to();
        order.emplace_back("c");
      },
      b);
  c.switch_to();
  EXPECT_THAT(order, ElementsAre("b"));
  c.switch_to();
  EXPECT_THAT(order, ElementsAre("b", "c", "b again", "a"));
  EXPECT_TRUE(a.dead());
  EXPECT_TRUE(b.dead());
  EXPECT_TRUE(c.dead());
}

// greenlet: test_greenlet.py::test_reentrant_switch_run_callable_has_del
TEST(GreenletTraceTest, TheDestructorOfItsFunctionMaySwitch) {
  struct Switches {
    explicit Switches(Greenlet target) : to(std::move(target)) {}
    Switches(Switches&& other) noexcept : to(std::exchange(other.to, nullptr)) {}
    ~Switches() {
      if (to != nullptr) to.switch_to(std::string("from the destructor"));
    }
    Greenlet to;
  };
  bool ran = false;
  Greenlet g([&ran, at_end = Switches(getcurrent())] {
    static_cast<void>(at_end);
    ran = true;
    return 5;
  });
  EXPECT_EQ(std::any_cast<std::string>(g.switch_to()), "from the destructor");
  EXPECT_TRUE(ran);
  EXPECT_FALSE(g.dead());
  EXPECT_EQ(std::any_cast<int>(g.switch_to()), 5);
  EXPECT_TRUE(g.dead());
}

}  // namespace
}  // namespace weft::fibers
