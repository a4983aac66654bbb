// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/greenlet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <any>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/fibers/greenlet_testing.h"
#include "tests/support/parked_backtraces.h"
#include "weft/fibers/backtrace.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/outcome.h"

// Named, so that their names can be looked for.
[[gnu::noinline]] void greenlet_inner() {
  weft::fibers::getcurrent().parent().switch_to();
  asm volatile("" ::: "memory");
}
[[gnu::noinline]] void greenlet_outer() {
  greenlet_inner();
  asm volatile("" ::: "memory");
}
[[gnu::noinline]] int greenlet_factorial(int n) {
  if (n == 0) return std::any_cast<int>(weft::fibers::getcurrent().parent().switch_to());
  int below = greenlet_factorial(n - 1);
  asm volatile("" : "+r"(below));  // Or clang makes a loop of it.
  return n * below;
}

namespace weft::fibers {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// greenlet: test_greenlet.py::test_simple
TEST(GreenletTest, RunsUntilItSwitchesAndGoesOnWhereItWas) {
  std::vector<int> order;
  Greenlet g([&] {
    order.push_back(1);
    to_parent();
    order.push_back(3);
  });
  order.push_back(0);
  g.switch_to();
  order.push_back(2);
  g.switch_to();
  order.push_back(4);
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_TRUE(g.dead());
}

// greenlet: test_greenlet.py::test_two_children
TEST(GreenletTest, TwoChildrenGoTheirOwnWays) {
  std::vector<int> list;
  const auto f = [&] {
    list.push_back(1);
    to_parent();
    list.insert(list.end(), 2, 1);
  };
  Greenlet g(f);
  Greenlet h(f);
  g.switch_to();
  EXPECT_EQ(list.size(), 1U);
  h.switch_to();
  EXPECT_EQ(list.size(), 2U);
  h.switch_to();
  EXPECT_EQ(list.size(), 4U);
  EXPECT_TRUE(h.dead());
  g.switch_to();
  EXPECT_EQ(list.size(), 6U);
  EXPECT_TRUE(g.dead());
}

// greenlet: test_greenlet.py::test_two_recursive_children
TEST(GreenletTest, AGreenletMayHaveChildrenOfItsOwn) {
  std::string list;
  Greenlet g([&] {
    list += 'a';
    Greenlet inner([&] {
      list += 'b';
      to_parent();
    });
    inner.switch_to();
    list += 'c';
  });
  g.switch_to();
  EXPECT_EQ(list, "abc");
  EXPECT_TRUE(g.dead());
}

TEST(GreenletTest, ValuesGoBothWays) {
  Greenlet g([](int first) {
    const std::string second = to_parent_as<std::string>(first + 1);
    return second + "!";
  });
  EXPECT_EQ(std::any_cast<int>(g.switch_to(41)), 42);
  EXPECT_EQ(std::any_cast<std::string>(g.switch_to(std::string("hello"))), "hello!");
}

// greenlet: test_greenlet.py::test_switch_kwargs
TEST(GreenletTest, SeveralValuesBecomeTheParameters) {
  Greenlet g([](int a, const std::string& b) { return std::to_string(a) + b; });
  EXPECT_EQ(std::any_cast<std::string>(g.switch_to(4, std::string("x"))), "4x");
}

// greenlet: test_greenlet.py::test_switch_kwargs_to_parent
TEST(GreenletTest, SeveralValuesArriveAsATuple) {
  Greenlet g([](int x) {
    to_parent(x, std::string("x"));
    return std::pair(x, x * x);
  });
  using Two = std::tuple<int, std::string>;
  EXPECT_EQ(std::any_cast<Two>(g.switch_to(3)), Two(3, "x"));
  EXPECT_EQ((std::any_cast<std::pair<int, int>>(g.switch_to())), std::pair(3, 9));
}

TEST(GreenletTest, AFunctionThatGetsOtherValuesThanItTakesFails) {
  Greenlet none([] {});
  EXPECT_THROW(none.switch_to(1), GreenletError);
  Greenlet number([](int) {});
  EXPECT_THROW(number.switch_to(std::string("1")), GreenletError);
  Greenlet any([](std::any value) { return value.has_value(); });
  EXPECT_EQ(std::any_cast<bool>(any.switch_to()), false);
}

// greenlet: test_greenlet.py::test_exception
TEST(GreenletTest, WhatItThrowsArrivesInItsParent) {
  std::vector<std::string> seen;
  Greenlet g1([&] { wait_and_throw(seen); });
  Greenlet g2([&] { wait_and_throw(seen); });
  g1.switch_to();
  g2.switch_to();
  g2.set_parent(g1);
  EXPECT_THAT(seen, IsEmpty());
  EXPECT_THROW(g2.switch_to(), SomeError);
  EXPECT_THAT(seen, ElementsAre("SomeError"));
  // Both are dead: the value comes back.
  EXPECT_FALSE(g2.switch_to().has_value());
  EXPECT_EQ(std::any_cast<int>(g2.switch_to(25)), 25);
  EXPECT_THAT(seen, ElementsAre("SomeError"));
}

// greenlet: test_greenlet.py::test_send_exception
TEST(GreenletTest, AChildMadeForItThrowsIntoItsParent) {
  std::vector<std::string> seen;
  Greenlet g1([&] { wait_and_throw(seen); });
  g1.switch_to();
  Greenlet crasher([] { throw std::out_of_range("key"); }, g1);
  EXPECT_THROW(crasher.switch_to(), std::out_of_range);
  EXPECT_THAT(seen, ElementsAre("std::out_of_range: key"));
}

// greenlet: test_greenlet.py::test_running_greenlet_has_no_run
// greenlet: test_greenlet.py::test_greenlet_run
// greenlet: test_greenlet.py::test_run_equals_None
TEST(GreenletTest, HasItsFunctionUntilItStarts) {
  EXPECT_FALSE(Greenlet().has_run());
  bool while_running = true;
  Greenlet g([&] { while_running = getcurrent().has_run(); });
  EXPECT_TRUE(g.has_run());
  g.switch_to();
  EXPECT_FALSE(while_running);
  EXPECT_FALSE(g.has_run());
  EXPECT_THROW(g.set_run([] {}), GreenletError);
}

TEST(GreenletTest, MayGetItsFunctionLater) {
  Greenlet g;
  g.set_run([] { return 1; });
  EXPECT_EQ(std::any_cast<int>(g.switch_to()), 1);
}

// greenlet: test_greenlet.py::test_switch_no_run_raises_AttributeError
// greenlet: test_greenlet.py::test_throw_no_run_raises_AttributeError
TEST(GreenletTest, WithoutAFunctionItCannotStart) {
  Greenlet g;
  EXPECT_THROW(g.switch_to(), GreenletError);
  EXPECT_THROW(g.throw_into(SomeError()), GreenletError);
  EXPECT_FALSE(g.started());
}

// A greenlet is what several Greenlets refer to; it cannot be copied itself.
// greenlet: test_greenlet.py::test_deepcopy
TEST(GreenletTest, ACopyIsTheSameGreenlet) {
  int runs = 0;
  Greenlet g([&] { ++runs; });
  Greenlet copy = g;  // NOLINT(performance-unnecessary-copy-initialization): it is the subject.
  EXPECT_EQ(copy, g);
  copy.switch_to();
  g.switch_to();
  EXPECT_EQ(runs, 1);
  EXPECT_NE(g, Greenlet());
}

// What a greenlet carries beside its stack is what its function captures.
// greenlet: test_greenlet.py::test_instance_dict
TEST(GreenletTest, WhatItsFunctionHoldsLivesAsLongAsItRuns) {
  auto value = std::make_shared<int>(0);
  Greenlet g([value] {
    *value = 42;
    to_parent();
  });
  g.switch_to();
  EXPECT_EQ(*value, 42);
  EXPECT_EQ(value.use_count(), 2);
  g.switch_to();
  EXPECT_EQ(value.use_count(), 1);
}

// greenlet: test_greenlet.py::test_parent_equals_None
// greenlet: test_greenlet.py::test_main_greenlet_parent_is_none
// greenlet: test_greenlet.py::test_main_greenlet_is_greenlet
TEST(GreenletTest, TheParentIsWhoMadeItAndMainHasNone) {
  const Greenlet main = getcurrent();
  EXPECT_EQ(main, getcurrent());
  EXPECT_EQ(main.parent(), nullptr);
  EXPECT_TRUE(main);
  Greenlet g([] {});
  EXPECT_EQ(g.parent(), main);
  EXPECT_THROW(main.parent().switch_to(), UsageError);
}

// greenlet: test_greenlet.py::test_trivial_cycle
// greenlet: test_greenlet.py::test_trivial_cycle_main
// greenlet: test_greenlet.py::test_deeper_cycle
TEST(GreenletTest, ParentsFormNoCycle) {
  Greenlet g1([] {});
  Greenlet g2([] {});
  Greenlet g3([] {});
  EXPECT_THROW(g1.set_parent(g1), GreenletError);
  g1.set_parent(g2);
  g2.set_parent(g3);
  EXPECT_THROW(g3.set_parent(g1), GreenletError);
  EXPECT_THROW(getcurrent().set_parent(getcurrent()), GreenletError);
  EXPECT_THROW(g1.set_parent(nullptr), UsageError);
}

// greenlet: test_greenlet.py::test_falling_off_end_switches_to_unstarted_parent_works
TEST(GreenletTest, AnUnstartedParentIsStartedWithTheValue) {
  Greenlet parent([](int x) { return std::pair(x, 24); });
  Greenlet child([] { return 42; }, parent);
  EXPECT_EQ((std::any_cast<std::pair<int, int>>(child.switch_to())), std::pair(42, 24));
}

// greenlet: test_greenlet.py::test_falling_off_end_switches_to_unstarted_parent_raises_error
TEST(GreenletTest, AnUnstartedParentThatTakesNoValueFails) {
  Greenlet parent([] { return 13; });
  Greenlet child([] { return 42; }, parent);
  EXPECT_THROW(child.switch_to(), GreenletError);
}

// greenlet: test_greenlet.py::test_parent_return_failure
TEST(GreenletTest, AParentThatCannotStartFailsInItsOwnParent) {
  Greenlet parent;
  Greenlet child([] {}, parent);
  EXPECT_THROW(child.switch_to(), GreenletError);
  EXPECT_TRUE(child.dead());
}

// greenlet: test_greenlet.py::test_switch_to_dead_greenlet_with_unstarted_perverse_parent
TEST(GreenletTest, AParentThatCannotStartFailsEachTime) {
  Greenlet parent;
  int runs = 0;
  Greenlet child([&] { ++runs; }, parent);
  EXPECT_THROW(child.switch_to(), GreenletError);
  EXPECT_THROW(child.switch_to(), GreenletError);
  EXPECT_EQ(runs, 1);
}

// greenlet: test_greenlet.py::test_switch_to_dead_greenlet_reparent
TEST(GreenletTest, ADeadOneMayGetAnotherParent) {
  std::vector<int> seen;
  Greenlet parent([&] { seen.push_back(24); });
  Greenlet child([&] { seen.push_back(42); });
  child.switch_to();
  child.set_parent(parent);
  EXPECT_FALSE(child.switch_to().has_value());
  EXPECT_THAT(seen, ElementsAre(42, 24));
}

TEST(GreenletTest, ASwitchToTheCurrentOneReturnsAtOnce) {
  EXPECT_EQ(std::any_cast<int>(getcurrent().switch_to(5)), 5);
  EXPECT_THROW(getcurrent().throw_into(SomeError()), SomeError);
}

// greenlet: test_throw.py::test_class
// greenlet: test_throw.py::test_val
TEST(GreenletTest, ThrowIntoThrowsWhereItWaits) {
  Greenlet g([] {
    try {
      to_parent(std::string("ok"));
    } catch (const std::runtime_error& e) {
      to_parent(std::string(e.what()));
      return;
    }
    to_parent(std::string("fail"));
  });
  EXPECT_EQ(std::any_cast<std::string>(g.switch_to()), "ok");
  EXPECT_EQ(std::any_cast<std::string>(g.throw_into(std::runtime_error("ciao"))), "ciao");
  EXPECT_THROW(g.throw_into(std::exception_ptr()), GreenletError);
}

// greenlet: test_throw.py::test_kill
TEST(GreenletTest, GreenletExitIsTheValueOfWhoDiesOfIt) {
  Greenlet g([] {
    to_parent(std::string("ok"));
    to_parent(std::string("fail"));
  });
  EXPECT_EQ(std::any_cast<std::string>(g.switch_to()), "ok");
  EXPECT_TRUE(is_exit(g.throw_into()));
  EXPECT_TRUE(g.dead());
  EXPECT_TRUE(is_exit(g.throw_into()));
  // Also of one that is only given up, and of one that wraps it.
  EXPECT_TRUE(is_exit(Greenlet([] {}).throw_into()));
  Greenlet wraps([] { throw BaseExceptionGroup("m", {std::make_exception_ptr(GreenletExit())}); });
  EXPECT_TRUE(is_exit(wraps.switch_to()));
}

// greenlet: test_throw.py::test_throw_goes_to_original_parent
TEST(GreenletTest, WhatIsThrownIntoAnUnstartedOneGoesToItsParent) {
  const Greenlet main = getcurrent();
  const auto f1 = [&]() -> std::string {
    try {
      main.switch_to(std::string("ready"));
    } catch (const std::out_of_range&) {
      return "caught";
    }
    return "normal";
  };
  {
    Greenlet g1(f1);
    Greenlet g2([&] { main.switch_to(); }, g1);
    EXPECT_THROW(g2.throw_into(std::out_of_range("")), std::out_of_range);
    EXPECT_TRUE(g2.dead());
    EXPECT_TRUE(g1.dead());
  }
  for (const bool starts : {false, true}) {
    Greenlet g1(f1);
    Greenlet g2([&] { main.switch_to(); }, g1);
    EXPECT_EQ(std::any_cast<std::string>(g1.switch_to()), "ready");
    if (starts) g2.switch_to();
    EXPECT_EQ(std::any_cast<std::string>(g2.throw_into(std::out_of_range(""))), "caught");
    EXPECT_TRUE(g2.dead());
    EXPECT_TRUE(g1.dead());
  }
}

// The function of one that never starts is destroyed before the error arrives.
// greenlet: test_greenlet.py::test_throw_exception_not_lost
TEST(GreenletTest, AnErrorThrownInIsNotLostToOthersOnItsWay) {
  struct Noisy {
    Noisy() = default;
    Noisy(Noisy&&) = default;
    ~Noisy() {
      try {
        throw std::runtime_error("inside");
      } catch (const std::runtime_error&) {
        static_cast<void>(0);
      }
    }
  };
  Greenlet g([noisy = Noisy()] { static_cast<void>(noisy); });
  EXPECT_THROW(g.throw_into(SomeError()), SomeError);
}

// greenlet: test_greenlet.py::test_failed_to_switch_into_running
TEST(GreenletTest, ASwitchThatFailsLeavesTheGreenletAsItWas) {
  std::vector<int> runs;
  Greenlet g([&] {
    for (int i = 1; i <= 3; ++i) {
      runs.push_back(i);
      if (i < 3) to_parent();
    }
  });
  g.switch_to();
  std::thread([&] { EXPECT_THROW(g.switch_to(), GreenletError); }).join();
  EXPECT_THAT(runs, ElementsAre(1));
  g.switch_to();
  g.switch_to();
  EXPECT_THAT(runs, ElementsAre(1, 2, 3));
}

// outcome: test_async.py::test_asend
TEST(GreenletTest, AnOutcomeIsDeliveredOnce) {
  Greenlet g([] {
    const int got = std::any_cast<int>(to_parent());
    try {
      to_parent(got);
    } catch (const SomeError&) {
      return std::string("caught");
    }
    return std::string("fail");
  });
  g.switch_to();
  Outcome<int> value = Value(1);
  EXPECT_EQ(std::any_cast<int>(g.send(value)), 1);
  EXPECT_THROW(g.send(value), AlreadyUsedError);
  Outcome<int> error = Error(std::make_exception_ptr(SomeError()));
  EXPECT_EQ(std::any_cast<std::string>(g.send(error)), "caught");
  EXPECT_THROW(g.send(error), AlreadyUsedError);
}

// greenlet: test_greenlet.py::test_initial
// greenlet: test_greenlet.py::test_main_while_running
// greenlet: test_greenlet.py::test_main_in_background
// greenlet: test_greenlet.py::test_dead
TEST(GreenletTest, ItsTextSaysHowItStands) {
  const Greenlet main = getcurrent();
  EXPECT_THAT(main.repr(), EndsWith(" current active started main>"));
  Greenlet g([&] { return main.repr(); });
  EXPECT_THAT(g.repr(), EndsWith(" pending>"));
  EXPECT_THAT(std::any_cast<std::string>(g.switch_to()),
              EndsWith(" suspended active started main>"));
  EXPECT_THAT(g.repr(), EndsWith(" dead>"));
  EXPECT_THAT(g.repr(), Not(HasSubstr("started")));
}

std::vector<std::string> lines_of(const Greenlet& g) {
  std::vector<std::string> lines;
  for (const void* frame : g.backtrace()) lines.push_back(describe_address(frame));
  return lines;
}

long place_of(const std::vector<std::string>& lines, const std::string& name) {
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].find(name) != std::string::npos) return static_cast<long>(i);
  }
  return -1;
}

// greenlet: test_greenlet.py::test_can_access_f_back_of_suspended_greenlet
TEST(GreenletTest, TheBacktraceOfASuspendedOneEndsAtItsFirstFrame) {
  WEFT_NEEDS_PARKED_BACKTRACES();
  Greenlet g([] { greenlet_outer(); });
  EXPECT_THAT(g.backtrace(), IsEmpty());
  g.switch_to();
  Greenlet([] {}).switch_to();  // Overwrites what the switch has left behind elsewhere.
  const auto lines = lines_of(g);
  const long inner = place_of(lines, "greenlet_inner");
  EXPECT_GE(inner, 0);
  EXPECT_EQ(place_of(lines, "greenlet_outer"), inner + 1);
  EXPECT_THAT(getcurrent().backtrace(), IsEmpty());
  g.switch_to();
  EXPECT_THAT(g.backtrace(), IsEmpty());
}

// greenlet: test_greenlet.py::test_get_stack_with_nested_c_calls
TEST(GreenletTest, TheBacktraceHasEachNestedCall) {
  WEFT_NEEDS_PARKED_BACKTRACES();
  Greenlet g([] { return greenlet_factorial(5); });
  g.switch_to();
  long frames = 0;
  for (const std::string& line : lines_of(g)) {
    if (line.find("greenlet_factorial") != std::string::npos) ++frames;
  }
  EXPECT_EQ(frames, 6);
  EXPECT_EQ(std::any_cast<int>(g.switch_to(10)), 1200);
}

}  // namespace
}  // namespace weft::fibers
