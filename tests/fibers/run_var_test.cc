// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/run_var.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

using testing::wait_all_tasks_blocked;

// trio: test_local.py::test_runvar_smoketest
TEST(RunVarTest, EachRunHasAValueOfItsOwn) {
  RunVar<std::string> plain("plain");
  RunVar<std::string> with_default("with default", "catfish");
  run([&] {
    EXPECT_THROW(plain.get(), LookupError);
    plain.set("swordfish");
    EXPECT_EQ(plain.get(), "swordfish");
    EXPECT_EQ(with_default.get(), "catfish");
    EXPECT_EQ(with_default.get("eel"), "eel");
    with_default.set("goldfish");
    EXPECT_EQ(with_default.get(), "goldfish");
    EXPECT_EQ(with_default.get("tuna"), "goldfish");
    std::thread([&] { run([&] { EXPECT_EQ(plain.get("none"), "none"); }); }).join();
  });
  run([&] {
    EXPECT_THROW(plain.get(), LookupError);
    EXPECT_EQ(with_default.get(), "catfish");
  });
}

FIBER_TEST(RunVarTest, SaysItsNameWhenItHasNoValue) {
  const RunVar<int> var("depth");
  EXPECT_EQ(var.name(), "depth");
  try {
    var.get();
    ADD_FAILURE() << "there is a value";
  } catch (const LookupError& e) {
    EXPECT_THAT(e.what(), ::testing::HasSubstr("'depth'"));
  }
}

// trio: test_local.py::test_runvar_resetting
FIBER_TEST(RunVarTest, ResetGoesBackToWhatWasBefore) {
  RunVar<std::string> var("var"), other("other", "bream");
  RunVarToken<std::string> first = var.set("moonfish");
  RunVarToken<std::string> second = var.set("sunfish");
  var.reset(second);
  EXPECT_EQ(var.get(), "moonfish");
  EXPECT_THROW(var.reset(second), UsageError);
  EXPECT_THROW(other.reset(first), UsageError);
  var.reset(first);
  EXPECT_THROW(var.get(), LookupError);
  EXPECT_THROW(var.reset(first), UsageError);
  RunVarToken<std::string> third = other.set("perch");
  other.reset(third);
  EXPECT_EQ(other.get(), "bream");
}

// trio: test_local.py::test_runvar_sync
FIBER_TEST(RunVarTest, AllTasksAndCallbacksOfTheRunShareIt) {
  RunVar<std::string> var("var");
  RunVarToken<std::string> token = var.set("cod");
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { var.set("plaice"); });
    wait_all_tasks_blocked();
    EXPECT_EQ(var.get(), "plaice");
    nursery.start_soon([&] {
      var.reset(token);
      EXPECT_THROW(var.get(), LookupError);
      var.set("haddock");
    });
    wait_all_tasks_blocked();
    EXPECT_EQ(var.get(), "haddock");
    current_token().run_sync_soon([&] { var.set(var.get() + "!"); });
    checkpoint();
    EXPECT_EQ(var.get(), "haddock!");
  });
}

// trio: test_local.py::test_accessing_runvar_outside_run_call_fails
TEST(RunVarTest, IsNothingOutsideARun) {
  RunVar<int> var("var", 1);
  std::optional<RunVarToken<int>> token;
  run([&] { token = var.set(2); });
  EXPECT_THROW(var.get(), UsageError);
  EXPECT_THROW(var.get(3), UsageError);
  EXPECT_THROW(var.set(4), UsageError);
  EXPECT_THROW(var.reset(*token), UsageError);
}

TEST(RunVarTest, ValuesLiveUntilTheRunHasEnded) {
  RunVar<std::shared_ptr<int>> var("var");
  auto value = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = value;
  run([&] {
    var.set(std::exchange(value, nullptr));
    EXPECT_FALSE(watch.expired());
  });
  EXPECT_TRUE(watch.expired());
}

FIBER_TEST(RunVarTest, ANewVariableAtTheSameAddressStartsEmpty) {
  std::optional<RunVar<int>> var(std::in_place, "first");
  var->set(1);
  var.emplace("second");
  EXPECT_THROW(var->get(), LookupError);
}

}  // namespace
}  // namespace weft::fibers
