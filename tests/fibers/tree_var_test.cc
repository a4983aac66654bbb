// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/tree_var.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <string>

#include "weft/fibers/context_var.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

TreeVar<std::string> g_colour("colour");
TreeVar<int> g_depth("depth", 0);

FIBER_TEST(TreeVarTest, HoldsTheTasksValueOrTheDefault) {
  EXPECT_EQ(g_depth.get(), 0);
  EXPECT_EQ(g_depth.get(9), 9);
  EXPECT_EQ(g_depth.find(), nullptr);
  g_depth.set(1);
  EXPECT_EQ(g_depth.get(), 1);
  EXPECT_EQ(*g_depth.find(), 1);
  try {
    g_colour.get();
    ADD_FAILURE() << "there is a value";
  } catch (const LookupError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("'colour'"));
  }
}

FIBER_TEST(TreeVarTest, ATaskHasTheValueOfItsNurseryAndNotOfItsStarter) {
  ContextVar<std::string> context("context");
  g_colour.set("red");
  context.set("red");
  open_nursery([&](Nursery& red) {
    red.start_soon([&] {
      g_colour.set("blue");
      context.set("blue");
      open_nursery([&](Nursery& blue) {
        red.start_soon([&] {
          EXPECT_EQ(g_colour.get(), "red");
          EXPECT_EQ(context.get(), "blue");
        });
        blue.start_soon([&] { EXPECT_EQ(g_colour.get(), "blue"); });
      });
    });
  });
}

FIBER_TEST(TreeVarTest, WhatIsSetLaterDoesNotReachANurseryThatIsOpen) {
  g_depth.set(1);
  open_nursery([](Nursery& first) {
    g_depth.set(2);
    open_nursery([&](Nursery& second) {
      g_depth.set(3);
      first.start_soon([] { EXPECT_EQ(g_depth.get(), 1); });
      second.start_soon([] { EXPECT_EQ(g_depth.get(), 2); });
      EXPECT_EQ(g_depth.get_in(first), 1);
      EXPECT_EQ(g_depth.get_in(second), 2);
      EXPECT_EQ(g_depth.get(), 3);
    });
  });
}

FIBER_TEST(TreeVarTest, AChangeIsTheTasksOwn) {
  g_depth.set(1);
  Event changed;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      g_depth.set(2);
      changed.set();
    });
    nursery.start_soon([&] {
      changed.wait();
      EXPECT_EQ(g_depth.get(), 1);
    });
  });
  EXPECT_EQ(g_depth.get(), 1);
}

FIBER_TEST(TreeVarTest, GoesDownThroughTasksThatDoNotUseIt) {
  g_depth.set(5);
  open_nursery([](Nursery& a) {
    a.start_soon([] {
      open_nursery([](Nursery& b) { b.start_soon([] { EXPECT_EQ(g_depth.get(), 5); }); });
    });
  });
}

FIBER_TEST(TreeVarTest, StartGivesTheValueOfTheNurseryFromTheBeginning) {
  g_depth.set(1);
  open_nursery([](Nursery& target) {
    target.start_soon([&] {
      g_depth.set(2);
      target.start([](TaskStatus<void>& status) {
        EXPECT_EQ(g_depth.get(), 1);
        status.started();
        EXPECT_EQ(g_depth.get(), 1);
      });
    });
  });
}

FIBER_TEST(TreeVarTest, BeingPutsTheValueBackWhateverHappens) {
  g_depth.set(1);
  EXPECT_EQ(g_depth.being(2, [] { return g_depth.get(); }), 2);
  EXPECT_EQ(g_depth.get(), 1);
  EXPECT_THROW(g_depth.being(3, [] { throw 1; }), int);
  EXPECT_EQ(g_depth.get(), 1);
  EXPECT_FALSE(move_on_after(seconds(1), [] { g_depth.being(4, [] { sleep_forever(); }); }));
  EXPECT_EQ(g_depth.get(), 1);
}

FIBER_TEST(TreeVarTest, BeingTakesAwayAValueThatWasNotThere) {
  g_colour.being("blue", [] { EXPECT_EQ(g_colour.get(), "blue"); });
  EXPECT_EQ(g_colour.find(), nullptr);
}

FIBER_TEST(TreeVarTest, ResetGoesBackOnceAndForTheSameTask) {
  auto token = g_depth.set(1);
  auto second = g_depth.set(2);
  TreeVar<int> other("other", 0);
  EXPECT_THROW(other.reset(second), UsageError);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(g_depth.reset(second), UsageError); });
  });
  g_depth.reset(second);
  EXPECT_EQ(g_depth.get(), 1);
  EXPECT_THROW(g_depth.reset(second), UsageError);
  g_depth.reset(token);
  EXPECT_EQ(g_depth.find(), nullptr);
}

FIBER_TEST(TreeVarTest, CanBeReadInAnotherTaskAndOutsideTasks) {
  open_nursery([](Nursery& nursery) {
    nursery.start_soon([] {
      g_depth.set(7);
      sleep_forever();
    });
    testing::wait_all_tasks_blocked();
    EXPECT_EQ(g_depth.get_in(*nursery.child_tasks().front()), 7);
    int seen = 0;
    current_token().run_sync_soon([&] { seen = g_depth.get_in(nursery); });
    g_depth.set(1);
    checkpoint();
    checkpoint();
    EXPECT_EQ(seen, 0);
    nursery.cancel_scope().cancel();
  });
}

FIBER_TEST(TreeVarTest, ValuesGoWithTheLastThatSeesThem) {
  TreeVar<std::shared_ptr<int>> var("pointer");
  const auto value = std::make_shared<int>(1);
  var.set(value);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      checkpoint();
      EXPECT_EQ(var.get(), value);
    });
    var.set(nullptr);
  });
  EXPECT_EQ(value.use_count(), 1);
}

FIBER_TEST(TreeVarTest, OneAtTheAddressOfAnotherHasNoValue) {
  using Text = TreeVar<std::string>;
  using Number = TreeVar<int>;
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

TEST(TreeVarTest, NeedsATask) {
  EXPECT_THROW(g_depth.get(), UsageError);
  EXPECT_THROW(g_depth.set(1), UsageError);
}

}  // namespace
}  // namespace weft::fibers
