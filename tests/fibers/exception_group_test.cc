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

#include "tests/fibers/exception_shapes.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/format_exception.h"

namespace weft::fibers {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// exceptiongroup: test_exceptions.py::test_exception_group_types
static_assert(std::is_base_of_v<std::exception, ExceptionGroup> &&
              std::is_base_of_v<BaseExceptionGroup, ExceptionGroup> &&
              !std::is_base_of_v<std::exception, BaseExceptionGroup>);

// exceptiongroup: test_exceptions.py::test_bad_EG_construction__bad_excs_sequence
// exceptiongroup: test_exceptions.py::test_bad_EG_construction__nested_non_exceptions
// exceptiongroup: test_exceptions.py::test_EG_wraps_BaseException__raises_TypeError
TEST(ExceptionGroupTest, RefusesToBeEmptyOrToHoldNothing) {
  EXPECT_THROW(ExceptionGroup wrong("m", {}), UsageError);
  EXPECT_THROW(BaseExceptionGroup wrong("m", {}), UsageError);
  EXPECT_THROW(BaseExceptionGroup wrong("m", {nullptr}), UsageError);
  EXPECT_THROW(ExceptionGroup wrong("m", {value_error("v"), std::make_exception_ptr(1)}),
               UsageError);
}

// exceptiongroup: test_exceptions.py::test_EG_wraps_Exceptions__creates_EG
// exceptiongroup: test_exceptions.py::test_BEG_wraps_Exceptions__creates_EG
// exceptiongroup: test_exceptions.py::test_BEG_wraps_BaseException__creates_BEG
TEST(ExceptionGroupTest, TheNarrowerTypeThatFitsIsChosen) {
  EXPECT_TRUE(holds<ExceptionGroup>(make_exception_group("m", {value_error("a")})));
  const auto mixed = make_exception_group("m", {value_error("a"), std::make_exception_ptr(1)});
  EXPECT_TRUE(holds<BaseExceptionGroup>(mixed));
  EXPECT_FALSE(holds<std::exception>(mixed));
  EXPECT_THROW(make_exception_group("m", {}), UsageError);
  EXPECT_THROW(make_exception_group("m", {value_error("a"), nullptr}), UsageError);
}

// exceptiongroup: test_exceptions.py::test_basics_ExceptionGroup_fields
// exceptiongroup: test_exceptions.py::test_nested_group_chaining
TEST(ExceptionGroupTest, HoldsItsMessageAndTheExceptionsWithTheirCauses) {
  std::exception_ptr caused;
  try {
    try {
      throw std::runtime_error("out of memory");
    } catch (...) {
      std::throw_with_nested(std::invalid_argument("v"));
    }
  } catch (...) {
    caused = std::current_exception();
  }
  const ExceptionGroup group("simple", {caused, type_error("t")});
  EXPECT_EQ(group.message(), "simple");
  EXPECT_EQ(group.str(), "simple (2 sub-exceptions)");
  EXPECT_THAT(group.exceptions(), ElementsAre(caused, _));
  const auto* nested = exception_cast<std::nested_exception>(group.exceptions()[0]);
  ASSERT_NE(nested, nullptr);
  EXPECT_TRUE(holds<std::runtime_error>(nested->nested_ptr()));
}

// exceptiongroup: test_exceptions.py::test_fields_are_readonly
static_assert(
    std::is_same_v<decltype(std::declval<ExceptionGroup&>().message()), const std::string&> &&
    std::is_same_v<decltype(std::declval<ExceptionGroup&>().exceptions()),
                   const std::vector<std::exception_ptr>&>);

// exceptiongroup: test_exceptions.py::test_exceptions_mutate_original_sequence
TEST(ExceptionGroupTest, WhatItWasMadeOfMayChangeAfterwards) {
  std::vector<std::exception_ptr> errors{value_error("v")};
  const BaseExceptionGroup group("m", errors);
  errors.push_back(type_error("t"));
  EXPECT_EQ(group.exceptions().size(), 1U);
}

// exceptiongroup: test_exceptions.py::test_notes_is_list_of_strings_if_it_exists
TEST(ExceptionGroupTest, NotesAreKeptInOrder) {
  BaseExceptionGroup group("m", {value_error("v")});
  EXPECT_THAT(group.notes(), ElementsAre());
  group.add_note("first");
  group.add_note("second");
  EXPECT_THAT(group.notes(), ElementsAre("first", "second"));
}

// exceptiongroup: test_exceptions.py::test_derive_doesn_copy_notes
TEST(ExceptionGroupTest, DeriveKeepsTheMessageAndNotTheNotes) {
  BaseExceptionGroup group("message", {value_error("v"), type_error("t")});
  group.add_note("note");
  for (const auto& derived :
       {group.derive({type_error("x")}), group.derive({std::make_exception_ptr(1)})}) {
    const auto* g = exception_cast<BaseExceptionGroup>(derived);
    ASSERT_NE(g, nullptr);
    EXPECT_EQ(g->message(), "message");
    EXPECT_THAT(g->notes(), ElementsAre());
  }
}

// exceptiongroup: test_exceptions.py::test_repr
TEST(ExceptionGroupTest, HasAReprOfOneLine) {
  const auto inner = make_exception_group("in'ner", {std::make_exception_ptr(KeyboardInterrupt())});
  EXPECT_EQ(repr(make_exception_group("foo", {value_error("1"), inner, type_error("bar")})),
            "BaseExceptionGroup('foo', [std::invalid_argument('1'), "
            "BaseExceptionGroup('in\\'ner', [KeyboardInterrupt()]), std::domain_error('bar')])");
  EXPECT_EQ(repr(make_exception_group("foo", {value_error("1")})),
            "ExceptionGroup('foo', [std::invalid_argument('1')])");
}

TEST(ExceptionGroupTest, DescribeShowsTheWholeTree) {
  ExceptionGroup inner("inner", {type_error("t")});
  inner.add_note("a remark");
  const ExceptionGroup group("top", {value_error("v"), std::make_exception_ptr(inner)});
  EXPECT_EQ(group.describe(),
            "top (2 sub-exceptions)\n"
            "  - std::invalid_argument: v\n"
            "  - ExceptionGroup: inner (1 sub-exception)\n"
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
            "ExceptionGroup: m (1 sub-exception)");
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

}  // namespace
}  // namespace weft::fibers
