// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/context_var.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

ContextVar<std::string> g_name("name");
ContextVar<int> g_number("number");

// trio: test_run.py::test_contextvar_support
FIBER_TEST(ContextVarTest, HoldsTheTasksOwnValue) {
  EXPECT_STREQ(g_name.name(), "name");
  EXPECT_EQ(g_name.get(), std::nullopt);
  EXPECT_EQ(g_name.get_or("none"), "none");
  g_name.set("a");
  g_number.set(1);
  EXPECT_EQ(g_name.get(), "a");
  g_name.set("b");
  EXPECT_EQ(g_name.get_or("none"), "b");
  EXPECT_EQ(g_number.get(), 1);
}

// trio: test_run.py::test_contextvar_multitask
// trio: test_contextvars.py::test_contextvars_default
// trio: test_contextvars.py::test_contextvars_set
FIBER_TEST(ContextVarTest, ATaskInheritsItsStartersValuesAndChangesOnlyItsOwn) {
  g_name.set("parent");
  g_number.set(1);
  open_nursery([](Nursery& nursery) {
    nursery.start_soon([] {
      EXPECT_EQ(g_name.get(), "parent");
      g_name.set("child");
      checkpoint();
      EXPECT_EQ(g_name.get(), "child");
      EXPECT_EQ(g_number.get(), 1);
      open_nursery(
          [](Nursery& inner) { inner.start_soon([] { EXPECT_EQ(g_name.get(), "child"); }); });
    });
    g_name.set("changed");  // After the start: the task has the value from before.
    checkpoint();
    EXPECT_EQ(g_name.get(), "changed");
    nursery.start_soon([] { EXPECT_EQ(g_name.get(), "changed"); });
  });
  EXPECT_EQ(g_name.get(), "changed");
}

FIBER_TEST(ContextVarTest, CanBeLookedAtWithoutACopy) {
  EXPECT_EQ(g_name.find(), nullptr);
  g_name.set("a");
  ASSERT_NE(g_name.find(), nullptr);
  EXPECT_EQ(*g_name.find(), "a");
  EXPECT_EQ(g_name.find(), g_name.find());
}

FIBER_TEST(ContextVarTest, EachRunBeginsWithNone) {
  EXPECT_EQ(g_name.get(), std::nullopt);
}

FIBER_TEST(ContextVarTest, ValuesGoWithTheLastTaskThatSeesThem) {
  ContextVar<std::shared_ptr<int>> var("pointer");
  const auto counted = std::make_shared<int>(0);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      var.set(counted);
      open_nursery([&](Nursery& inner) {
        for (int i = 0; i < 10; ++i) inner.start_soon([] { checkpoint(); });
        var.set(nullptr);
        EXPECT_EQ(counted.use_count(), 2);
      });
      EXPECT_EQ(counted.use_count(), 1);
    });
  });
  EXPECT_EQ(counted.use_count(), 1);
}

FIBER_TEST(ContextTest, RunSeesTheValuesOfTheCopyAndKeepsItsChanges) {
  g_name.set("copied");
  Context context = copy_context();
  g_name.set("later");
  g_number.set(1);
  const int answer = context.run([] {
    EXPECT_EQ(g_name.get(), "copied");
    EXPECT_EQ(g_number.get(), std::nullopt);
    g_number.set(2);
    checkpoint();
    return 42;
  });
  EXPECT_EQ(answer, 42);
  EXPECT_EQ(g_name.get(), "later");
  EXPECT_EQ(g_number.get(), 1) << "changes inside stay in the context";
  context.run([] { EXPECT_EQ(g_number.get(), 2); });
}

FIBER_TEST(ContextTest, IsLeftWhenTheFunctionThrows) {
  g_name.set("outside");
  Context context;
  EXPECT_THROW(context.run([] {
    g_name.set("inside");
    throw std::runtime_error("x");
  }),
               std::runtime_error);
  EXPECT_EQ(g_name.get(), "outside");
  context.run([] { EXPECT_EQ(g_name.get(), "inside"); });
}

FIBER_TEST(ContextTest, TasksStartedInsideInheritIt) {
  Context context;
  context.run([] { g_name.set("inside"); });
  open_nursery([&](Nursery& nursery) {
    context.run([&] { nursery.start_soon([] { EXPECT_EQ(g_name.get(), "inside"); }); });
    nursery.start_soon([] { EXPECT_EQ(g_name.get(), std::nullopt); });
  });
}

// trio: test_contextvars.py::test_contextvars_copy
FIBER_TEST(ContextTest, TasksStartedInACopySeeTheValuesOfThatMoment) {
  g_name.set("at first");
  Context context = copy_context();
  g_name.set("then");
  std::vector<std::string> seen;
  const auto look = [&seen] { seen.push_back(g_name.get_or("none")); };
  open_nursery([&](Nursery& nursery) {
    context.run([&] { nursery.start_soon(look); });
    nursery.start_soon(look);
  });
  EXPECT_THAT(seen, ::testing::UnorderedElementsAre("at first", "then"));
  EXPECT_EQ(g_name.get(), "then");
}

FIBER_TEST(ContextTest, CopiesGoTheirOwnWays) {
  Context one;
  one.run([] { g_number.set(1); });
  Context two = one;
  two.run([] { g_number.set(2); });
  one.run([] { EXPECT_EQ(g_number.get(), 1); });
  one = std::move(two);
  one.run([] { EXPECT_EQ(g_number.get(), 2); });
}

FIBER_TEST(ContextTest, CannotBeEnteredTwiceAtATime) {
  Context context;
  context.run([&] {
    EXPECT_THROW(context.run([] {}), UsageError);
    Context copy = copy_context();
    copy.run([] {});
  });
  context.run([] {});
}

// Each thread has values of its own, which the main task of its runs starts with.
TEST(ContextTest, AThreadHasOneAlsoOutsideRuns) {
  std::thread([] {
    EXPECT_EQ(g_number.get(), std::nullopt);
    g_number.set(1);
    Context context = copy_context();
    context.run([] { g_number.set(2); });
    EXPECT_EQ(g_number.get(), 1);
    run([] {
      EXPECT_EQ(g_number.get(), 1);
      g_number.set(3);
    });
    EXPECT_EQ(g_number.get(), 1);
  }).join();
  EXPECT_EQ(g_number.get(), std::nullopt);
}

FIBER_TEST(ContextTest, ACallOfTheSchedulerHasNone) {
  bool called = false;
  current_token().run_sync_soon([&] {
    called = true;
    EXPECT_THROW(copy_context(), UsageError);
  });
  while (!called) checkpoint();
}

FIBER_TEST(ContextVarTest, OneAtTheAddressOfAnotherHasNoValue) {
  using Text = ContextVar<std::string>;
  using Number = ContextVar<int>;
  alignas(Text) alignas(Number) std::array<std::byte, std::max(sizeof(Text), sizeof(Number))> place;
  auto* const text = new (place.data()) Text("text");
  text->set("a text, and no number");
  std::destroy_at(text);
  auto* const number = new (place.data()) Number("number");
  EXPECT_EQ(number->find(), nullptr);
  number->set(3);
  EXPECT_EQ(*number->find(), 3);
  std::destroy_at(number);
}

}  // namespace
}  // namespace weft::fibers
