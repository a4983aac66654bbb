// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Context variables and C++ exceptions: each greenlet has its own.

#include <gtest/gtest.h>

#include <any>
#include <exception>
#include <functional>
#include <latch>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/fibers/greenlet_testing.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/greenlet.h"

namespace weft::fibers {
namespace {

ContextVar<int> g_id("id");

enum class How { kNot, kSet, kShare, kRun };

// Starts four greenlets that each set a variable and look at it again later; returns how often each
// value was seen.
std::map<int, int> count_ids(How how) {
  std::map<int, int> counts;
  Context own = copy_context();
  own.run([&] {
    g_id.set(0);
    const Greenlet main = getcurrent();
    const auto body = [&](int id) {
      const auto expected = how == How::kNot     ? std::nullopt
                            : how == How::kShare ? std::optional<int>(id - 1)
                                                 : std::optional<int>(0);
      EXPECT_EQ(g_id.get(), expected);
      g_id.set(id);
      for (int i = 0; i < 2; ++i) {
        ++counts[*g_id.get()];
        main.switch_to();
      }
    };
    std::vector<Greenlet> greenlets;
    const GreenletContext shared(copy_context());
    for (int id = 1; id < 5; ++id) {
      GreenletOptions options;
      if (how == How::kSet) options.context = GreenletContext(copy_context());
      if (how == How::kShare) options.context = shared;
      if (how == How::kRun) {
        greenlets.emplace_back(
            [&, id, context = copy_context()]() mutable { context.run([&] { body(id); }); });
      } else {
        greenlets.emplace_back([&, id] { body(id); }, std::move(options));
      }
    }
    for (int i = 0; i < 2; ++i) {
      ++counts[*g_id.get()];
      for (const Greenlet& g : greenlets) g.switch_to();
    }
    for (const Greenlet& g : greenlets) g.switch_to();
    for (const Greenlet& g : greenlets) EXPECT_TRUE(g.dead());
    EXPECT_EQ(g_id.get(), 0);
  });
  return counts;
}

const std::map<int, int> kTwiceEach{{0, 2}, {1, 2}, {2, 2}, {3, 2}, {4, 2}};

// greenlet: test_contextvars.py::test_context_not_propagated
TEST(GreenletContextTest, AGreenletStartsWithNone) {
  EXPECT_EQ(count_ids(How::kNot), kTwiceEach);
}

// greenlet: test_contextvars.py::test_context_propagated_by_setting_attribute
TEST(GreenletContextTest, OrWithTheOneItIsGiven) {
  EXPECT_EQ(count_ids(How::kSet), kTwiceEach);
}

// greenlet: test_contextvars.py::test_context_propagated_by_context_run
TEST(GreenletContextTest, OrRunsInOne) {
  EXPECT_EQ(count_ids(How::kRun), kTwiceEach);
}

// greenlet: test_contextvars.py::test_context_shared
TEST(GreenletContextTest, SeveralMayShareOne) {
  EXPECT_EQ(count_ids(How::kShare), (std::map<int, int>{{0, 2}, {1, 1}, {2, 1}, {3, 1}, {4, 5}}));
}

// greenlet: test_contextvars.py::test_not_broken_if_using_attribute_instead_of_context_run
TEST(GreenletContextTest, ContextsMayBeLeftInAnyOrder) {
  const Greenlet main = getcurrent();
  Greenlet one([&] { main.switch_to(); }, {.context = GreenletContext(copy_context())});
  Greenlet two([&] { main.switch_to(); }, {.context = GreenletContext(copy_context())});
  one.switch_to();
  two.switch_to();
  one.switch_to();
  two.switch_to();
  EXPECT_TRUE(one.dead() && two.dead());
}

std::optional<int> id_in(const GreenletContext& context) {
  return context.copy().run([] { return g_id.get(); });
}

// greenlet: test_contextvars.py::test_context_assignment_while_running
TEST(GreenletContextTest, ItsContextMayBeExchangedWhileItRunsAndWhileItIsSuspended) {
  Greenlet g;
  g.set_run([&] {
    EXPECT_EQ(g_id.get(), std::nullopt);
    EXPECT_FALSE(g.context());
    g_id.set(1);
    EXPECT_EQ(id_in(g.context()), 1);
    const GreenletContext first = g.context();
    g.set_context({});
    EXPECT_EQ(g_id.get(), std::nullopt);
    EXPECT_FALSE(g.context());
    g_id.set(2);
    const GreenletContext second = g.context();
    EXPECT_NE(first, second);
    to_parent(std::pair(first, second));
    EXPECT_EQ(g_id.get(), 1);
    g.set_context(second);
    EXPECT_EQ(g_id.get(), 2);
    to_parent();
    EXPECT_EQ(g_id.get(), std::nullopt);
    EXPECT_FALSE(g.context());
  });
  EXPECT_FALSE(g.context());
  const auto [first, second] =
      std::any_cast<std::pair<GreenletContext, GreenletContext>>(g.switch_to());
  EXPECT_EQ(g.context(), second);
  EXPECT_EQ(id_in(first), 1);
  EXPECT_EQ(id_in(second), 2);
  g.set_context(first);
  g.switch_to();
  EXPECT_EQ(g.context(), second);
  g.set_context({});
  g.switch_to();
  EXPECT_TRUE(g.dead());
}

// greenlet: test_contextvars.py::test_context_assignment_different_thread
TEST(GreenletContextTest, OfAGreenletThatRunsOnAnotherThreadItCannotBeHad) {
  std::latch running(1);
  std::latch asked(1);
  std::latch suspended(1);
  std::latch changed(1);
  Greenlet g = nullptr;
  std::optional<int> at_end = 0;
  std::thread thread([&] {
    g = Greenlet([&] {
      g_id.set(1);
      running.count_down();
      asked.wait();
      g_id.set(2);
      to_parent();
      at_end = g_id.get();
    });
    g.switch_to();
    suspended.count_down();
    changed.wait();
    g.switch_to();
  });
  running.wait();
  EXPECT_THROW(g.context(), GreenletError);
  EXPECT_THROW(g.set_context({}), GreenletError);
  asked.count_down();
  suspended.wait();
  EXPECT_EQ(id_in(g.context()), 2);
  g.set_context({});
  changed.count_down();
  thread.join();
  EXPECT_EQ(at_end, std::nullopt);
  EXPECT_FALSE(g.context());
  g.set_context(GreenletContext(Context()));
  EXPECT_TRUE(g.context());
}

// greenlet: test_greenlet.py::test_exc_state
TEST(GreenletExceptionTest, ANewGreenletHandlesNone) {
  std::exception_ptr inside = std::make_exception_ptr(1);
  try {
    throw std::invalid_argument("fun");
  } catch (const std::invalid_argument&) {
    const std::exception_ptr before = std::current_exception();
    Greenlet([&] { inside = std::current_exception(); }).switch_to();
    EXPECT_EQ(std::current_exception(), before);
  }
  EXPECT_EQ(inside, nullptr);
}

// Recurses, and at the bottom sleeps in a catch block.
int throw_at(int depth, int id) {
  if (depth > 0) return throw_at(depth - 1, id);
  try {
    throw id;
  } catch (int first) {
    to_parent();
    try {
      throw;
    } catch (int again) {
      return first == again ? again : -1;
    }
  }
}

// greenlet: test_cpp.py::test_exception_switch
TEST(GreenletExceptionTest, FourAsleepInCatchBlocksRethrowTheirOwn) {
  std::vector<Greenlet> greenlets;
  for (int i = 0; i < 4; ++i) {
    greenlets.emplace_back([](int id) { return throw_at(id, id); });
    greenlets.back().switch_to(i);
  }
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(std::any_cast<int>(greenlets[static_cast<std::size_t>(i)].switch_to()), i);
  }
}

// greenlet: test_cpp.py::test_leak_test_exception_switch_and_do_in_g2
TEST(GreenletExceptionTest, AThousandTimesAnErrorLeavesAGreenletAndNothingElse) {
  auto held = std::make_shared<int>();
  for (int i = 0; i < 1000; ++i) {
    Greenlet g([held] { throw std::runtime_error("boom"); });
    EXPECT_THROW(g.switch_to(), std::runtime_error);
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(GreenletExceptionTest, ADestructorMaySwitchWhileItsGreenletUnwinds) {
  const int before = std::uncaught_exceptions();
  std::vector<int> uncaught;
  struct AtEnd {
    ~AtEnd() {
      to_parent();
      uncaught.push_back(std::uncaught_exceptions());
    }
    std::vector<int>& uncaught;
  };
  Greenlet g([&] {
    AtEnd at_end{uncaught};
    throw SomeError();
  });
  g.switch_to();
  EXPECT_EQ(std::uncaught_exceptions(), before);
  EXPECT_THROW(g.switch_to(), SomeError);
  EXPECT_EQ(uncaught, std::vector<int>{1});
}

}  // namespace
}  // namespace weft::fibers
