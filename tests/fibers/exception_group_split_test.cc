// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Splitting groups by what is in them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <exception>
#include <ios>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/fibers/exception_shapes.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/format_exception.h"
#include "weft/fibers/run.h"

namespace weft::fibers {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using ValueError = std::invalid_argument;
using TypeError = std::domain_error;
using OtherError = std::ios_base::failure;

// v1, t, v2.
std::exception_ptr simple() {
  return make_exception_group("simple", {value_error("v1"), type_error("t"), value_error("v2")});
}
bool is_value_error(const std::exception_ptr& e) {
  return holds<ValueError>(e);
}

std::vector<std::exception_ptr> leaves(const std::exception_ptr& error) {
  if (error == nullptr) return {};
  const auto* group = exception_cast<BaseExceptionGroup>(error);
  if (group == nullptr) return {error};
  std::vector<std::exception_ptr> all;
  for (const auto& e : group->exceptions()) {
    for (const auto& leaf : leaves(e)) all.push_back(leaf);
  }
  return all;
}

// exceptiongroup: test_exceptions.py::test_leaf_generator
TEST(ExceptionGroupSplitTest, TheLeavesAreVisitedInOrder) {
  const auto v = value_error("v");
  const auto t = type_error("t");
  const auto nested = make_exception_group("root", {make_exception_group("nested", {t}), v});
  EXPECT_THAT(leaves(nested), ElementsAre(t, v));
}

// exceptiongroup: test_exceptions.py::test_nested_group_matches_template
TEST(ExceptionGroupSplitTest, GroupsMayBeNested) {
  const auto inner = make_exception_group("nested", {type_error("t")});
  EXPECT_EQ(shape(make_exception_group("root", {inner, value_error("v")})), "root[nested[t] v]");
}

// exceptiongroup: test_exceptions.py::test_basics_subgroup_by_type__passthrough
// exceptiongroup: test_exceptions.py::test_basics_split_by_type__passthrough
TEST(ExceptionGroupSplitTest, ByItsOwnTypeAGroupIsTakenWhole) {
  const auto group = simple();
  EXPECT_EQ(split(group, is_any_of<BaseExceptionGroup>()), std::pair(group, std::exception_ptr{}));
  EXPECT_EQ(split(group, is_any_of<ExceptionGroup>()), std::pair(group, std::exception_ptr{}));
  EXPECT_EQ(split(group, is_any_of<std::exception>()), std::pair(group, std::exception_ptr{}));
  try {
    std::rethrow_exception(group);
  } catch (const BaseExceptionGroup& g) {
    EXPECT_EQ(g.subgroup<ExceptionGroup>(), group);
    EXPECT_EQ(g.split<BaseExceptionGroup>().first, group);
  }
}

// exceptiongroup: test_exceptions.py::test_basics_subgroup_by_type__no_match
// exceptiongroup: test_exceptions.py::test_basics_split_by_type__no_match
TEST(ExceptionGroupSplitTest, ByATypeThatDoesNotOccurNothingIsTaken) {
  const auto group = simple();
  EXPECT_EQ(split(group, is_any_of<OtherError>()), std::pair(std::exception_ptr{}, group));
  EXPECT_EQ(exception_cast<BaseExceptionGroup>(group)->subgroup<OtherError>(), nullptr);
}

// exceptiongroup: test_exceptions.py::test_basics_subgroup_by_type__match
// exceptiongroup: test_exceptions.py::test_basics_split_by_type__match
TEST(ExceptionGroupSplitTest, ByOneTypeOrSeveral) {
  const auto group = simple();
  const auto& g = *exception_cast<BaseExceptionGroup>(group);
  EXPECT_EQ(shape(g.split<ValueError>().first), "simple[v1 v2]");
  EXPECT_EQ(shape(g.split<ValueError>().second), "simple[t]");
  EXPECT_EQ(shape(g.subgroup<TypeError>()), "simple[t]");
  EXPECT_EQ(shape((g.split<ValueError, TypeError>().first)), "simple[v1 t v2]");
  EXPECT_EQ((g.split<ValueError, TypeError>().second), nullptr);
  EXPECT_EQ(shape((g.split<OtherError, ValueError>().second)), "simple[t]");
  EXPECT_TRUE(holds<ExceptionGroup>(g.subgroup<ValueError>()));
}

// exceptiongroup: test_exceptions.py::test_basics_subgroup_by_predicate__passthrough
// exceptiongroup: test_exceptions.py::test_basics_split_by_predicate__passthrough
TEST(ExceptionGroupSplitTest, ByAPredicateThatTakesEverything) {
  const auto group = simple();
  const auto always = [](const std::exception_ptr&) { return true; };
  EXPECT_EQ(split(group, always), std::pair(group, std::exception_ptr{}));
  // Also where only leaves are taken: what nothing was taken from is the same object.
  const auto any_leaf = [](const std::exception_ptr& e) { return !holds<BaseExceptionGroup>(e); };
  EXPECT_EQ(split(group, any_leaf), std::pair(group, std::exception_ptr{}));
}

// exceptiongroup: test_exceptions.py::test_basics_subgroup_by_predicate__no_match
// exceptiongroup: test_exceptions.py::test_basics_split_by_predicate__no_match
TEST(ExceptionGroupSplitTest, ByAPredicateThatTakesNothing) {
  const auto never = [](const std::exception_ptr&) { return false; };
  const auto group = simple();
  EXPECT_EQ(split(group, never), std::pair(std::exception_ptr{}, group));
  const BaseExceptionGroup unthrown("top", {value_error("v1")});
  EXPECT_EQ(unthrown.subgroup(never), nullptr);
  EXPECT_EQ(shape(unthrown.split(never).second), "top[v1]");
}

// exceptiongroup: test_exceptions.py::test_basics_subgroup_by_predicate__match
// exceptiongroup: test_exceptions.py::test_basics_split_by_predicate__match
TEST(ExceptionGroupSplitTest, ByPredicateTheShapeOfBothHalvesIsKept) {
  const BaseExceptionGroup group(
      "top", {value_error("v1"), type_error("t1"),
              make_exception_group("inner", {type_error("t2"), value_error("v2")}),
              make_exception_group("only types", {type_error("t3")})});
  const auto [values, rest] = group.split(is_value_error);
  EXPECT_EQ(shape(values), "top[v1 inner[v2]]");
  EXPECT_EQ(shape(rest), "top[t1 inner[t2] only types[t3]]");
  EXPECT_EQ(shape(group.subgroup(is_value_error)), "top[v1 inner[v2]]");
}

template <class F>
concept AcceptedBySplit = requires(const BaseExceptionGroup& g, F f) {
  g.split(f);
};

// exceptiongroup: test_exceptions.py::test_basics_subgroup_split__bad_arg_type
static_assert(!AcceptedBySplit<const char*> && !AcceptedBySplit<std::runtime_error> &&
              !AcceptedBySplit<int>);

TEST(ExceptionGroupSplitTest, ALoneErrorGoesToOneSideAsItIs) {
  const auto error = value_error("v");
  EXPECT_EQ(split(error, is_value_error), std::pair(error, std::exception_ptr{}));
  EXPECT_EQ(split(error, is_any_of<TypeError>()), std::pair(std::exception_ptr{}, error));
  EXPECT_EQ(split(nullptr, is_value_error), std::pair(std::exception_ptr{}, std::exception_ptr{}));
}

// A tree of depth three, by its text: m3[m2[m1[6 t 7] m1[7 t 8] 8] 7].
class MyGroup : public ExceptionGroup {
  using ExceptionGroup::ExceptionGroup;
};
std::exception_ptr deep_tree() {
  const auto level1 = [](const char* a, const char* b) {
    return make_exception_group("m1", {value_error(a), type_error("t"), value_error(b)});
  };
  const auto level2 = std::make_exception_ptr(
      MyGroup("m2", {level1("6", "7"), level1("7", "8"), value_error("8")}));
  ExceptionGroup top("m3", {level2, value_error("7")});
  top.add_note("the note");
  return std::make_exception_ptr(top);
}

// Splits, and checks what holds of every split: each leaf is in one half, and notes are kept.
std::pair<std::string, std::string> checked_split(const std::exception_ptr& error,
                                                  const ExceptionPredicate& matches) {
  const auto [match, rest] = split(error, matches);
  const auto taken = leaves(match);
  const auto left = leaves(rest);
  EXPECT_EQ(leaves(error).size(), taken.size() + left.size());
  for (const auto& e : taken) EXPECT_TRUE(matches(e));
  for (const auto& e : left) EXPECT_FALSE(matches(e));
  const auto& whole = *exception_cast<BaseExceptionGroup>(error);
  for (const auto& part : {match, rest}) {
    if (part != nullptr) {
      EXPECT_EQ(exception_cast<BaseExceptionGroup>(part)->notes(), whole.notes());
    }
  }
  return {shape(match), shape(rest)};
}

// exceptiongroup: test_exceptions.py::test_split_by_type
TEST(ExceptionGroupSplitTest, ADeepTreeIsSplitByType) {
  const auto tree = deep_tree();
  const std::string whole = "m3[m2[m1[6 t 7] m1[7 t 8] 8] 7]";
  const std::string values = "m3[m2[m1[6 7] m1[7 8] 8] 7]";
  const std::string types = "m3[m2[m1[t] m1[t]]]";
  EXPECT_EQ(checked_split(tree, is_any_of<OtherError>()), std::pair(std::string("nothing"), whole));
  EXPECT_EQ(checked_split(tree, is_any_of<ValueError, TypeError>()),
            std::pair(whole, std::string("nothing")));
  EXPECT_EQ(checked_split(tree, is_any_of<ValueError>()), std::pair(values, types));
  EXPECT_EQ(checked_split(tree, is_any_of<TypeError, OtherError>()), std::pair(types, values));
  EXPECT_EQ(split(tree, is_any_of<ExceptionGroup>()).first, tree);
  const auto [mine, rest] = split(tree, is_any_of<MyGroup>());
  EXPECT_EQ(shape(mine), "m3[m2[m1[6 t 7] m1[7 t 8] 8]]");
  EXPECT_EQ(shape(rest), "m3[7]");
}

// exceptiongroup: test_exceptions.py::test_split_BaseExceptionGroup
TEST(ExceptionGroupSplitTest, TheHalvesHaveTheTypeThatFits) {
  const auto group =
      make_exception_group("beg", {value_error("v"), std::make_exception_ptr(KeyboardInterrupt())});
  const auto [values, rest] = split(group, is_value_error);
  EXPECT_TRUE(holds<ExceptionGroup>(values));
  EXPECT_FALSE(holds<ExceptionGroup>(rest));
  EXPECT_TRUE(holds<BaseExceptionGroup>(rest));
  const auto [interrupts, others] = split(group, is_any_of<KeyboardInterrupt>());
  EXPECT_FALSE(holds<ExceptionGroup>(interrupts));
  EXPECT_TRUE(holds<ExceptionGroup>(others));
  EXPECT_EQ(split(group, is_any_of<ValueError, KeyboardInterrupt>()).first, group);
  EXPECT_EQ(split(group, is_any_of<TypeError>()).second, group);
}

// exceptiongroup: test_exceptions.py::test_EG_subclass_wraps_non_base_exceptions
// exceptiongroup: test_exceptions.py::test_EG_subclass_does_not_wrap_base_exceptions
TEST(ExceptionGroupSplitTest, ASubclassHoldsWhatItsBaseMayHold) {
  EXPECT_TRUE(holds<MyGroup>(std::make_exception_ptr(MyGroup("eg", {value_error("v")}))));
  const std::vector<std::exception_ptr> interrupt{std::make_exception_ptr(KeyboardInterrupt())};
  EXPECT_THROW(std::make_unique<MyGroup>("eg", interrupt), UsageError);
}

// A group that is an error of some kind as well can only be an ExceptionGroup.
class GroupAndError : public ExceptionGroup {
 public:
  using ExceptionGroup::ExceptionGroup;
};

// exceptiongroup: test_exceptions.py::test_BEG_and_E_subclass_does_not_wrap_base_exceptions
TEST(ExceptionGroupSplitTest, AGroupThatIsAnErrorHoldsOnlyStdExceptions) {
  const std::vector<std::exception_ptr> mixed{value_error("v"), std::make_exception_ptr(1)};
  EXPECT_THROW(std::make_unique<GroupAndError>("eg", mixed), UsageError);
}

// exceptiongroup: test_exceptions.py::test_split_ExceptionGroup_subclass_no_derive_no_new_override
TEST(ExceptionGroupSplitTest, ASubclassWithoutDeriveSplitsIntoPlainGroups) {
  const auto nested = std::make_exception_ptr(MyGroup("nested", {type_error("2")}));
  const auto group = std::make_exception_ptr(MyGroup("eg", {value_error("1"), nested}));
  EXPECT_EQ(split(group, is_any_of<OtherError>()).second, group);
  EXPECT_EQ(split(group, is_any_of<ValueError, TypeError>()).first, group);
  const auto [values, types] = split(group, is_any_of<ValueError>());
  EXPECT_EQ(shape(values), "eg[1]");
  EXPECT_FALSE(holds<MyGroup>(values));
  EXPECT_TRUE(holds<ExceptionGroup>(values));
  EXPECT_EQ(shape(types), "eg[nested[2]]");
  EXPECT_FALSE(holds<MyGroup>(types));
}

// One that cannot be made from a message and exceptions alone.
class NumberedBase : public BaseExceptionGroup {
 public:
  NumberedBase(std::string message, std::vector<std::exception_ptr> exceptions, int number)
      : BaseExceptionGroup(std::move(message), std::move(exceptions)), number_(number) {}
  int number() const { return number_; }

 private:
  int number_;
};

// exceptiongroup: test_exceptions.py::test_split_BaseExceptionGroup_subclass_no_derive_new_override
TEST(ExceptionGroupSplitTest, ASubclassWithAnotherConstructorSplitsIntoPlainGroups) {
  const auto group = std::make_exception_ptr(
      NumberedBase("eg", {value_error("1"), std::make_exception_ptr(KeyboardInterrupt())}, 5));
  const auto [values, rest] = split(group, is_value_error);
  EXPECT_TRUE(holds<ExceptionGroup>(values));
  EXPECT_TRUE(holds<BaseExceptionGroup>(rest));
  EXPECT_FALSE(holds<NumberedBase>(rest));
  EXPECT_TRUE(holds<NumberedBase>(split(group, is_any_of<OtherError>()).second));
}

class Coded : public ExceptionGroup {
 public:
  Coded(std::string message, std::vector<std::exception_ptr> exceptions, int code)
      : ExceptionGroup(std::move(message), std::move(exceptions)), code_(code) {}
  std::exception_ptr derive(std::vector<std::exception_ptr> exceptions) const override {
    return std::make_exception_ptr(Coded(message(), std::move(exceptions), code_));
  }
  int code() const { return code_; }

 private:
  int code_;
};

// exceptiongroup: test_exceptions.py::test_split_ExceptionGroup_subclass_derive_and_new_overrides
TEST(ExceptionGroupSplitTest, ASubclassWithDeriveKeepsWhatItAdds) {
  const auto nested = std::make_exception_ptr(Coded("nested", {type_error("2")}, 101));
  Coded top("eg", {value_error("1"), nested, make_exception_group("p", {value_error("3")})}, 42);
  top.add_note("hello");
  const auto [values, types] = split(std::make_exception_ptr(top), is_value_error);
  for (const auto& half : {values, types}) {
    const auto* coded = exception_cast<Coded>(half);
    ASSERT_NE(coded, nullptr);
    EXPECT_EQ(coded->code(), 42);
    EXPECT_THAT(coded->notes(), ElementsAre("hello"));
  }
  EXPECT_EQ(shape(types), "eg[nested[2]]");
  EXPECT_EQ(exception_cast<Coded>(exception_cast<Coded>(types)->exceptions()[0])->code(), 101);
}

TEST(ExceptionGroupSplitTest, DeriveHasToReturnAGroup) {
  struct Bad : ExceptionGroup {
    using ExceptionGroup::ExceptionGroup;
    std::exception_ptr derive(std::vector<std::exception_ptr>) const override {
      return value_error("not a group");
    }
  };
  const auto bad = std::make_exception_ptr(Bad("m", {value_error("v"), type_error("t")}));
  EXPECT_THROW(split(bad, is_value_error), UsageError);
}

constexpr int kDeep = 100'000;

std::exception_ptr deep_nest(const std::exception_ptr& leaf) {
  std::exception_ptr error = leaf;
  for (int i = 0; i < kDeep; ++i) error = make_exception_group("level", {error});
  return error;
}

// On a task's stack: made, split, formatted and destroyed.
// exceptiongroup: test_exceptions.py::test_deep_split
// exceptiongroup: test_exceptions.py::test_deep_subgroup
TEST(ExceptionGroupSplitTest, NestsOfAHundredThousandNeedNoRecursion) {
  run([] {
    std::exception_ptr error =
        deep_nest(make_exception_group("bottom", {value_error("deep"), type_error("t")}));
    auto [values, types] = split(error, is_value_error);
    EXPECT_NE(values, error);
    EXPECT_NE(types, nullptr);
    types = nullptr;
    EXPECT_EQ(split(values, is_value_error).first, values);
    EXPECT_EQ(split(values, is_value_error).second, nullptr);
    const std::string text = exception_cast<BaseExceptionGroup>(values)->describe();
    EXPECT_THAT(text.substr(text.size() - 100), HasSubstr("deep"));
    const std::string formatted = format_exception(values, {.max_group_depth = 2 * kDeep});
    EXPECT_THAT(formatted.substr(formatted.size() - 300), HasSubstr("std::invalid_argument: deep"));
    EXPECT_LT(formatted.size(), std::size_t{kDeep} * 300);
    EXPECT_THAT(repr(values), HasSubstr("('deep')])])])"));
  });
}

}  // namespace
}  // namespace weft::fibers
