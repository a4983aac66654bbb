// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/exception_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <exception>
#include <stdexcept>
#include <string>

#include <type_traits>
#include <utility>
#include <vector>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"

namespace weft::fibers {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::exception_ptr value_error(const char* text) {
  return std::make_exception_ptr(std::invalid_argument(text));
}
std::exception_ptr type_error(const char* text) {
  return std::make_exception_ptr(std::domain_error(text));
}
bool is_value_error(const std::exception_ptr& e) {
  return holds<std::invalid_argument>(e);
}

// A group as text: its message, and what is in it in brackets.
std::string shape(const std::exception_ptr& error) {
  if (error == nullptr) return "nothing";
  try {
    std::rethrow_exception(error);
  } catch (const BaseExceptionGroup& group) {
    std::string text = group.message() + "[";
    for (const auto& e : group.exceptions()) text += (text.back() == '[' ? "" : " ") + shape(e);
    return text + "]";
  } catch (const std::exception& e) {
    return e.what();
  } catch (int i) {
    return std::to_string(i);
  }
}

static_assert(std::is_base_of_v<std::exception, ExceptionGroup>);
static_assert(!std::is_base_of_v<std::exception, BaseExceptionGroup>);

// CPython: test_exception_group.py, TestExceptionGroupTypeHierarchy, BadConstructorArgs
TEST(ExceptionGroupTest, RefusesToBeEmptyOrToHoldNothing) {
  EXPECT_THROW(ExceptionGroup wrong("m", {}), UsageError);
  EXPECT_THROW(BaseExceptionGroup wrong("m", {}), UsageError);
  EXPECT_THROW(BaseExceptionGroup wrong("m", {nullptr}), UsageError);
  EXPECT_THROW(ExceptionGroup wrong("m", {std::make_exception_ptr(1)}), UsageError);
}

// CPython: test_exception_group.py, InstanceCreation
TEST(ExceptionGroupTest, TheNarrowerTypeThatFitsIsChosen) {
  EXPECT_TRUE(holds<ExceptionGroup>(make_exception_group("m", {value_error("a")})));
  const auto mixed = make_exception_group("m", {value_error("a"), std::make_exception_ptr(1)});
  EXPECT_TRUE(holds<BaseExceptionGroup>(mixed));
  EXPECT_FALSE(holds<std::exception>(mixed));
  EXPECT_THROW(make_exception_group("m", {}), UsageError);
  EXPECT_THROW(make_exception_group("m", {value_error("a"), nullptr}), UsageError);
}

// CPython: test_exception_group.py, ExceptionGroupSplitTests
TEST(ExceptionGroupTest, SplitKeepsTheShapeOfBothHalves) {
  const BaseExceptionGroup group(
      "top", {value_error("v1"), type_error("t1"),
              make_exception_group("inner", {type_error("t2"), value_error("v2")}),
              make_exception_group("only types", {type_error("t3")})});
  const auto [values, rest] = group.split(is_value_error);
  EXPECT_EQ(shape(values), "top[v1 inner[v2]]");
  EXPECT_EQ(shape(rest), "top[t1 inner[t2] only types[t3]]");
  EXPECT_EQ(shape(group.subgroup(is_value_error)), "top[v1 inner[v2]]");
}

TEST(ExceptionGroupTest, SplitGivesNothingForAnEmptyHalf) {
  const BaseExceptionGroup group("top", {value_error("v1")});
  const auto all = group.split(is_value_error);
  EXPECT_EQ(shape(all.first), "top[v1]");
  EXPECT_EQ(all.second, nullptr);
  const auto none = group.split([](const auto&) { return false; });
  EXPECT_EQ(none.first, nullptr);
  EXPECT_EQ(shape(none.second), "top[v1]");
  EXPECT_EQ(group.subgroup([](const auto&) { return false; }), nullptr);
}

TEST(ExceptionGroupTest, ThePredicateMayTakeAnInnerGroupWhole) {
  const BaseExceptionGroup group(
      "top", {make_exception_group("inner", {value_error("v"), type_error("t")}), type_error("u")});
  const auto [taken, rest] =
      group.split([](const std::exception_ptr& e) { return holds<ExceptionGroup>(e); });
  EXPECT_EQ(shape(taken), "top[inner[v t]]");
  EXPECT_EQ(shape(rest), "top[u]");
}

TEST(ExceptionGroupTest, TheHalvesHaveTheTypeThatFits) {
  const BaseExceptionGroup group("m", {value_error("v"), std::make_exception_ptr(1)});
  const auto [values, rest] = group.split(is_value_error);
  EXPECT_TRUE(holds<ExceptionGroup>(values));
  EXPECT_FALSE(holds<ExceptionGroup>(rest));
}

TEST(ExceptionGroupTest, TheLeavesKeepTheirIdentity) {
  const auto leaf = value_error("v");
  const BaseExceptionGroup group("m", {make_exception_group("inner", {leaf})});
  const auto half = group.split(is_value_error).first;
  try {
    std::rethrow_exception(half);
  } catch (const BaseExceptionGroup& outer) {
    try {
      std::rethrow_exception(outer.exceptions().at(0));
    } catch (const BaseExceptionGroup& inner) {
      EXPECT_EQ(inner.exceptions().at(0), leaf);
    }
  }
}

// CPython: test_exception_group.py, NestedExceptionGroupSplitTest: notes and messages are kept.
TEST(ExceptionGroupTest, DerivedGroupsKeepMessageAndNotes) {
  BaseExceptionGroup group("message", {value_error("v"), type_error("t")});
  group.add_note("first");
  group.add_note("second");
  EXPECT_THAT(group.notes(), ElementsAre("first", "second"));
  for (const auto& derived : {group.derive({type_error("x")}), group.split(is_value_error).first,
                              group.derive({std::make_exception_ptr(1)})}) {
    try {
      std::rethrow_exception(derived);
    } catch (const BaseExceptionGroup& g) {
      EXPECT_EQ(g.message(), "message");
      EXPECT_THAT(g.notes(), ElementsAre("first", "second"));
    }
  }
}

TEST(ExceptionGroupTest, DescribeShowsTheWholeTree) {
  ExceptionGroup inner("inner", {type_error("t")});
  inner.add_note("a remark");
  const ExceptionGroup group("top", {value_error("v"), std::make_exception_ptr(inner)});
  EXPECT_EQ(group.describe(),
            "top (2 exceptions)\n"
            "  - std::invalid_argument: v\n"
            "  - ExceptionGroup: inner (1 exception)\n"
            "    a remark\n"
            "    - std::domain_error: t");
  EXPECT_EQ(group.describe(), group.what());
}

TEST(ExceptionGroupTest, WhatStaysGoodWhenAskedAgain) {
  ExceptionGroup group("top", {value_error("v")});
  const char* first = group.what();
  EXPECT_EQ(group.what(), first);
  group.add_note("later");
  EXPECT_THAT(group.what(), HasSubstr("later"));
}

TEST(ExceptionGroupTest, DescribesAnything) {
  struct Unknown {};
  EXPECT_EQ(describe_exception(nullptr), "no exception");
  EXPECT_EQ(describe_exception(value_error("v")), "std::invalid_argument: v");
  EXPECT_EQ(describe_exception(std::make_exception_ptr(1)), "int");
  EXPECT_EQ(describe_exception(std::make_exception_ptr(KeyboardInterrupt())), "KeyboardInterrupt");
  EXPECT_EQ(describe_exception(make_exception_group("m", {value_error("v")})),
            "ExceptionGroup: m (1 exception)");
}

TEST(ExceptionGroupTest, HoldsLooksAtTheExceptionItselfAndAtItsBases) {
  EXPECT_TRUE(holds<std::invalid_argument>(value_error("v")));
  EXPECT_TRUE(holds<std::exception>(value_error("v")));
  EXPECT_FALSE(holds<std::domain_error>(value_error("v")));
  EXPECT_FALSE(holds<std::invalid_argument>(make_exception_group("m", {value_error("v")})));
}

// An inner group that somebody holds by itself is not taken apart with the outer one.
TEST(ExceptionGroupTest, AnInnerGroupOutlivesTheOuterOne) {
  std::exception_ptr inner;
  {
    const BaseExceptionGroup group("top", {make_exception_group("inner", {value_error("v")})});
    inner = group.exceptions().front();
  }
  EXPECT_EQ(shape(inner), "inner[v]");
}

TEST(ExceptionGroupTest, CopiesShareWhatIsInside) {
  std::exception_ptr copy;
  {
    const BaseExceptionGroup group("m", {value_error("v")});
    copy = std::make_exception_ptr(group);
  }
  EXPECT_EQ(shape(copy), "m[v]");
}

// Made, split, described and destroyed.
// CPython: test_exception_group.py, DeepRecursionInSplitAndSubgroup
TEST(ExceptionGroupTest, NestsOfAHundredThousandNeedNoRecursion) {
  constexpr int kDepth = 100'000;
  std::exception_ptr error = value_error("deep");
  for (int i = 0; i < kDepth; ++i) error = make_exception_group("level", {error});
  try {
    std::rethrow_exception(std::exchange(error, nullptr));
  } catch (const BaseExceptionGroup& group) {
    const auto [values, rest] = group.split(is_value_error);
    EXPECT_NE(values, nullptr);
    EXPECT_EQ(rest, nullptr);
    const std::string text = group.describe();
    EXPECT_THAT(text.substr(text.size() - 100), HasSubstr("deep"));
    EXPECT_LT(text.size(), std::size_t{kDepth} * 200);
  }
}

// Python: except*
TEST(ExceptionGroupTest, CatchGivesEachHandlerItsPart) {
  std::string values;
  std::string types;
  catch_(
      [] {
        throw ExceptionGroup("top", {value_error("v1"), type_error("t1"), value_error("v2")});
      },
      on<std::invalid_argument>([&](const std::exception_ptr& e) { values = shape(e); }),
      on<std::domain_error>([&](const std::exception_ptr& e) { types = shape(e); }));
  EXPECT_EQ(values, "top[v1 v2]");
  EXPECT_EQ(types, "top[t1]");
}

TEST(ExceptionGroupTest, CatchTriesHandlersInOrderAndEachLeafIsHandledOnce) {
  std::vector<std::string> order;
  catch_(
      [] {
        throw ExceptionGroup("top", {value_error("v"), type_error("t")});
      },
      on<std::invalid_argument>([&](const auto& e) { order.push_back("value " + shape(e)); }),
      on<std::exception>([&](const auto& e) { order.push_back("any " + shape(e)); }),
      on<std::domain_error>([&](const auto&) { order.emplace_back("never"); }));
  EXPECT_THAT(order, ElementsAre("value top[v]", "any top[t]"));
}

TEST(ExceptionGroupTest, CatchRunsNoHandlerWithoutAnError) {
  bool ran = false;
  catch_([&ran] { ran = true; }, on<std::exception>([](const auto&) { FAIL(); }));
  EXPECT_TRUE(ran);
}

TEST(ExceptionGroupTest, CatchWrapsALoneErrorForItsHandler) {
  std::string seen;
  catch_([] { throw std::invalid_argument("alone"); },
         on<std::invalid_argument>([&](const std::exception_ptr& e) { seen = shape(e); }));
  EXPECT_EQ(seen, "[alone]");
}

TEST(ExceptionGroupTest, CatchLetsALoneErrorPassAsItIs) {
  EXPECT_THROW(catch_([] { throw std::domain_error("alone"); },
                      on<std::invalid_argument>([](const auto&) { FAIL(); })),
               std::domain_error);
}

// The shape of what `catch_` with this body and these handlers throws.
template <class... Args>
std::string caught(Args&&... args) {
  try {
    catch_(std::forward<Args>(args)...);
  } catch (...) {
    return shape(std::current_exception());
  }
  return "nothing";
}

TEST(ExceptionGroupTest, WhatNoHandlerTakesLeavesCatchAsAGroup) {
  EXPECT_EQ(caught(
                [] {
                  throw ExceptionGroup("top", {value_error("v"), type_error("t")});
                },
                on<std::invalid_argument>([](const auto&) {})),
            "top[t]");
}

TEST(ExceptionGroupTest, WhatHandlersThrowLeavesCatchInAGroupTogetherWithTheRest) {
  const auto body = [] { throw ExceptionGroup("top", {value_error("v"), type_error("t")}); };
  EXPECT_EQ(caught(body, on<std::invalid_argument>([](const auto&) { throw 7; })),
            "errors from handlers of catch_[7 top[t]]");
  EXPECT_EQ(caught([] { throw std::invalid_argument("v"); },
                   on<std::invalid_argument>([](const auto&) { throw 7; })),
            "errors from handlers of catch_[7]");
}

TEST(ExceptionGroupTest, AHandlerMayPassItsPartOn) {
  EXPECT_EQ(caught([] { throw ExceptionGroup("top", {value_error("v")}); },
                   on<std::invalid_argument>([](const auto& e) { std::rethrow_exception(e); })),
            "top[v]");
}

}  // namespace
}  // namespace weft::fibers
