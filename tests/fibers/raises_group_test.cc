// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/raises_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"

namespace weft::fibers::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Short names, also in texts.
struct Value : std::exception {
  explicit Value(std::string text = "") : text_(std::move(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }
  std::string text_;
};
struct Type : Value {
  using Value::Value;
};
struct Other : std::exception {};

template <class E = Value>
std::exception_ptr make(const char* text = "") {
  return std::make_exception_ptr(E(text));
}
std::exception_ptr other() {
  return std::make_exception_ptr(Other());
}
std::exception_ptr grouped(std::vector<std::exception_ptr> errors, const char* message = "") {
  return make_exception_group(message, std::move(errors));
}
std::exception_ptr interrupt() {
  return std::make_exception_ptr(KeyboardInterrupt());
}

// The text without the namespace of this test.
std::string plain(std::string text) {
  const std::string names = "testing::(anonymous namespace)::";
  for (std::size_t at; (at = text.find(names)) != std::string::npos;) text.erase(at, names.size());
  return text;
}
std::string wrong(const RaisesGroup& expected, const std::exception_ptr& error) {
  return plain(expected.mismatch(error).value_or("matches"));
}

// trio: test_testing_raisesgroup.py::test_raises_group
TEST(RaisesGroupTest, MatchesWhatIsInAGroupInAnyOrder) {
  EXPECT_TRUE(RaisesGroup(type<Value>()).matches(grouped({make()})));
  EXPECT_EQ(wrong(RaisesGroup(type<Value>()), grouped({other()})),
            "'Other' is not of type 'Value'");
  EXPECT_TRUE(RaisesGroup(type<Value>(), type<Other>()).matches(grouped({make(), other()})));
  EXPECT_TRUE(RaisesGroup(type<Other>(), type<Value>()).matches(grouped({make(), other()})));
  EXPECT_TRUE(
      RaisesGroup(group({type<Value>()})).matches(grouped({grouped({make()}, "bar")}, "foo")));
  EXPECT_TRUE(RaisesGroup(type<Other>(), group({type<Value>()}), group({type<Other>()}))
                  .matches(grouped({other(), grouped({make()}), grouped({other()})})));
  EXPECT_THROW(RaisesGroup(std::vector<ExpectedPtr>()), UsageError);
}

// trio: test_testing_raisesgroup.py::test_incorrect_number_exceptions
TEST(RaisesGroupTest, SaysWhatIsMissingAndWhatIsTooMuch) {
  EXPECT_EQ(wrong(RaisesGroup(type<Value>()), grouped({other(), make()})),
            "1 matched exception. Unexpected exception(s): [Other('std::exception')]");
  EXPECT_EQ(wrong(RaisesGroup(type<Value>(), type<Other>()), grouped({make()})),
            "1 matched exception. Too few exceptions raised, found no match for: ['Other']");
  EXPECT_EQ(wrong(RaisesGroup(type<Value>(), type<Value>()), grouped({make()})),
            "\n1 matched exception."
            "\nToo few exceptions raised!"
            "\nThe following expected exceptions did not find a match:"
            "\n  'Value'"
            "\n    It matches Value('') which was paired with 'Value'");
  EXPECT_EQ(wrong(RaisesGroup(type<Value>()), grouped({make(), make()})),
            "\n1 matched exception."
            "\nUnexpected exception(s)!"
            "\nThe following raised exceptions did not find a match:"
            "\n  Value(''):"
            "\n    It matches 'Value' which was paired with Value('')");
}

// trio: test_testing_raisesgroup.py::test_flatten_subgroups
TEST(RaisesGroupTest, SubgroupsMayBeFlattened) {
  const RaisesGroupOptions flat{.flatten_subgroups = true};
  EXPECT_TRUE(RaisesGroup({type<Value>()}, flat).matches(grouped({grouped({make()})})));
  EXPECT_TRUE(RaisesGroup({type<Value>(), type<Other>()}, flat)
                  .matches(grouped({grouped({make()}), other()})));
  const RaisesGroup at_least_two({group({type<Value>()}, flat)});
  EXPECT_TRUE(at_least_two.matches(grouped({grouped({make()})})));
  EXPECT_TRUE(at_least_two.matches(grouped({grouped({grouped({make()})})})));
  EXPECT_THROW(RaisesGroup({group({type<Value>()})}, flat), UsageError);
  EXPECT_EQ(wrong(RaisesGroup({type<Value>()}, flat), make()),
            "'Value' is not an exception group, but would match with allow_unwrapped");
  // And it is said where it would help.
  const auto nested = grouped({grouped({make()})});
  EXPECT_EQ(wrong(RaisesGroup(type<Value>()), nested),
            "Unexpected nested 'ExceptionGroup', expected 'Value'\n"
            "  Did you mean to use flatten_subgroups?");
  EXPECT_EQ(wrong(RaisesGroup(type<Other>()), nested),
            "Unexpected nested 'ExceptionGroup', expected 'Other'");
  EXPECT_EQ(wrong(RaisesGroup(type<Value>(), type<Other>()), grouped({grouped({make(), other()})})),
            "\nThe following expected exceptions did not find a match:"
            "\n  'Value'"
            "\n  'Other'"
            "\nThe following raised exceptions did not find a match:"
            "\n  ExceptionGroup('', [Value(''), Other('std::exception')]):"
            "\n    Unexpected nested 'ExceptionGroup', expected 'Value'"
            "\n    Unexpected nested 'ExceptionGroup', expected 'Other'"
            "\nDid you mean to use flatten_subgroups?");
  EXPECT_EQ(wrong(RaisesGroup(type<ExceptionGroup>()), grouped({grouped({interrupt()})})),
            "'BaseExceptionGroup' is not of type 'ExceptionGroup'");
}

// trio: test_testing_raisesgroup.py::test_catch_unwrapped_exceptions
TEST(RaisesGroupTest, ALoneExceptionMayDo) {
  const RaisesGroupOptions unwrapped{.allow_unwrapped = true};
  EXPECT_TRUE(RaisesGroup({type<Value>()}, unwrapped).matches(make()));
  EXPECT_TRUE(RaisesGroup({type<Value>()}, unwrapped).matches(grouped({make()})));
  EXPECT_THROW(RaisesGroup({type<Other>(), type<Value>()}, unwrapped), UsageError);
  EXPECT_THROW(RaisesGroup({group({type<Value>()})}, unwrapped), UsageError);
  const RaisesGroup one_or_two({group({type<Value>()}, unwrapped)});
  EXPECT_TRUE(one_or_two.matches(grouped({make()})));
  EXPECT_TRUE(one_or_two.matches(grouped({grouped({make()})})));
  EXPECT_EQ(wrong(RaisesGroup(type<Value>()), make()),
            "'Value' is not an exception group, but would match with allow_unwrapped");
  EXPECT_EQ(wrong(RaisesGroup(group({type<Value>()})), make()),
            "'Value' is not an exception group");
  EXPECT_EQ(wrong(RaisesGroup({type<Value>()}, unwrapped), other()),
            "'Other' is not of type 'Value'");
  EXPECT_EQ(wrong(RaisesGroup({matcher<Value>()}, unwrapped), other()),
            "Matcher(Value): 'Other' is not of type 'Value'");
  EXPECT_TRUE(RaisesGroup({type<Value>()}, {.flatten_subgroups = true, .allow_unwrapped = true})
                  .matches(grouped({grouped({make()})})));
}

// trio: test_testing_raisesgroup.py::test_match
TEST(RaisesGroupTest, MessageAndNotesMayBeMatched) {
  BaseExceptionGroup noted("bar", {make()});
  noted.add_note("my note");
  const auto error = std::make_exception_ptr(noted);
  for (const char* pattern : {"bar", "my note", "^bar\nmy note$"}) {
    EXPECT_TRUE(RaisesGroup({type<Value>()}, {.match = pattern}).matches(error)) << pattern;
  }
  EXPECT_EQ(wrong(RaisesGroup({type<Value>()}, {.match = "foo"}), grouped({make()}, "bar")),
            "Regex pattern 'foo' did not match 'bar' of 'ExceptionGroup'");
  EXPECT_THAT(wrong(RaisesGroup({type<Value>()}, {.match = "foo"}), grouped({make("foo")}, "bar")),
              HasSubstr("but matched the expected 'Value'. You might want a Matcher"));
}

// trio: test_testing_raisesgroup.py::test_check
TEST(RaisesGroupTest, TheGroupMayBeChecked) {
  const auto error = grouped({make()});
  const RaisesGroup expected({type<Value>()}, {.check = [](const BaseExceptionGroup& g) {
                               return g.message() == "right";
                             }});
  EXPECT_TRUE(expected.matches(grouped({make()}, "right")));
  EXPECT_EQ(wrong(expected, error), "check did not return true");
}

// trio: test_testing_raisesgroup.py::test_unwrapped_match_check
TEST(RaisesGroupTest, WhatIsAboutTheGroupDoesNotGoWithALoneException) {
  EXPECT_THROW(RaisesGroup({type<Value>()}, {.allow_unwrapped = true, .match = "foo"}), UsageError);
  EXPECT_THROW(
      RaisesGroup({type<Value>()}, {.allow_unwrapped = true,
                                    .check = [](const BaseExceptionGroup&) { return true; }}),
      UsageError);
  const RaisesGroup expected({matcher<Value>({.match = "^foo$"})}, {.allow_unwrapped = true});
  EXPECT_TRUE(expected.matches(make("foo")));
  EXPECT_TRUE(expected.matches(grouped({make("foo")})));
}

// trio: test_testing_raisesgroup.py::test_RaisesGroup_matches
TEST(RaisesGroupTest, MatchesIsAPlainQuestionToo) {
  EXPECT_FALSE(RaisesGroup(type<Value>()).matches(nullptr));
  EXPECT_FALSE(RaisesGroup(type<Value>()).matches(make()));
  EXPECT_TRUE(RaisesGroup(type<Value>()).matches(grouped({make()})));
}

TEST(RaisesGroupTest, IsAMatcherOfGoogleTest) {
  EXPECT_THAT(grouped({make()}), RaisesGroup(type<Value>()));
  EXPECT_THAT(grouped({other()}), Not(RaisesGroup(type<Value>())));
  ::testing::StringMatchResultListener listener;
  EXPECT_FALSE(
      ::testing::ExplainMatchResult(RaisesGroup(type<Value>()), grouped({other()}), &listener));
  EXPECT_THAT(plain(listener.str()), HasSubstr("'Other' is not of type 'Value'"));
}

// trio: test_testing_raisesgroup.py::test_message
TEST(RaisesGroupTest, SaysWhatShouldHaveCome) {
  const auto nothing = [](const RaisesGroup& expected) {
    const std::string text = wrong(expected, thrown_by([] {}));
    const std::string begin = "did not raise any exception, expected ";
    EXPECT_THAT(text, StartsWith(begin));
    return text.substr(begin.size());
  };
  EXPECT_EQ(nothing(RaisesGroup(type<Value>())), "ExceptionGroup(Value)");
  EXPECT_EQ(nothing(RaisesGroup(type<Value>(), type<Value>())), "ExceptionGroup(Value, Value)");
  EXPECT_EQ(nothing(RaisesGroup(group({type<Value>()}))), "ExceptionGroup(ExceptionGroup(Value))");
  EXPECT_EQ(nothing(RaisesGroup(matcher<Value>({.match = "my_str"}))),
            "ExceptionGroup(Matcher(Value, match='my_str'))");
  EXPECT_EQ(nothing(RaisesGroup(type<KeyboardInterrupt>())),
            "BaseExceptionGroup(KeyboardInterrupt)");
  EXPECT_EQ(nothing(RaisesGroup(matcher<KeyboardInterrupt>())),
            "BaseExceptionGroup(Matcher(KeyboardInterrupt))");
  EXPECT_EQ(nothing(RaisesGroup(group({type<KeyboardInterrupt>()}), group({type<Value>()}))),
            "BaseExceptionGroup(BaseExceptionGroup(KeyboardInterrupt), ExceptionGroup(Value))");
}

TEST(RaisesGroupTest, ThrownByGivesWhatAFunctionThrows) {
  const auto caught = thrown_by([] { throw ExceptionGroup("m", {make("hello")}); });
  EXPECT_THAT(caught, RaisesGroup(type<Value>()));
  EXPECT_EQ(thrown_by([] {}), nullptr);
}

// trio: test_testing_raisesgroup.py::test_assert_message
TEST(RaisesGroupTest, EachPairThatFailsHasItsReason) {
  EXPECT_EQ(wrong(RaisesGroup(group({type<Value>()}), group({type<Value>()}, {.match = "a"})),
                  grouped({grouped({other()}), other()})),
            "\nThe following expected exceptions did not find a match:"
            "\n  RaisesGroup(Value)"
            "\n  RaisesGroup(Value, match='a')"
            "\nThe following raised exceptions did not find a match:"
            "\n  ExceptionGroup('', [Other('std::exception')]):"
            "\n    RaisesGroup(Value): 'Other' is not of type 'Value'"
            "\n    RaisesGroup(Value, match='a'): Regex pattern 'a' did not match '' of "
            "'ExceptionGroup'"
            "\n  Other('std::exception'):"
            "\n    RaisesGroup(Value): 'Other' is not an exception group"
            "\n    RaisesGroup(Value, match='a'): 'Other' is not an exception group");
  EXPECT_EQ(wrong(RaisesGroup({type<Value>()}, {.match = "h(ell)o"}), grouped({make()}, "h(ell)o")),
            "Regex pattern 'h(ell)o' did not match 'h(ell)o' of 'ExceptionGroup'\n"
            "  Did you mean to escape the regex?");
  EXPECT_EQ(wrong(RaisesGroup(matcher({.match = "h(ell)o"})), grouped({make("h(ell)o")})),
            "Matcher(match='h(ell)o'): Regex pattern 'h(ell)o' did not match 'h(ell)o'\n"
            "  Did you mean to escape the regex?");
}

// trio: test_testing_raisesgroup.py::test_suggestion_on_nested_and_brief_error
TEST(RaisesGroupTest, AHintStandsUnderWhatItBelongsTo) {
  EXPECT_EQ(wrong(RaisesGroup(group({type<Value>()}), type<Value>()),
                  grouped({grouped({grouped({make()})})})),
            "\nThe following expected exceptions did not find a match:"
            "\n  RaisesGroup(Value)"
            "\n  'Value'"
            "\nThe following raised exceptions did not find a match:"
            "\n  ExceptionGroup('', [ExceptionGroup('', [Value('')])]):"
            "\n    RaisesGroup(Value): Unexpected nested 'ExceptionGroup', expected 'Value'"
            "\n      Did you mean to use flatten_subgroups?"
            "\n    Unexpected nested 'ExceptionGroup', expected 'Value'");
}

// trio: test_testing_raisesgroup.py::test_assert_message_nested
TEST(RaisesGroupTest, TheReasonsOfAnInnerGroupAreIndented) {
  EXPECT_EQ(wrong(RaisesGroup(group({type<Type>(), type<Type>()}), type<Type>()),
                  grouped({grouped({make("a"), make("b")}), make("c")})),
            "\nThe following expected exceptions did not find a match:"
            "\n  RaisesGroup(Type, Type)"
            "\n  'Type'"
            "\nThe following raised exceptions did not find a match:"
            "\n  ExceptionGroup('', [Value('a'), Value('b')]):"
            "\n    RaisesGroup(Type, Type): "
            "\n    The following expected exceptions did not find a match:"
            "\n      'Type'"
            "\n      'Type'"
            "\n    The following raised exceptions did not find a match:"
            "\n      Value('a'):"
            "\n        'Value' is not of type 'Type'"
            "\n        'Value' is not of type 'Type'"
            "\n      Value('b'):"
            "\n        'Value' is not of type 'Type'"
            "\n        'Value' is not of type 'Type'"
            "\n    Unexpected nested 'ExceptionGroup', expected 'Type'"
            "\n  Value('c'):"
            "\n    RaisesGroup(Type, Type): 'Value' is not an exception group"
            "\n    'Value' is not of type 'Type'");
}

// Where Trio pairs greedily and has to excuse itself, the pairs are found.
// trio: test_testing_raisesgroup.py::test_misordering_example
TEST(RaisesGroupTest, NoOrderOfTheExpectationsIsWorseThanAnother) {
  EXPECT_TRUE(RaisesGroup(type<Value>(), type<Value>(), matcher<Value>({.match = "foo"}))
                  .matches(grouped({make("foo"), make("bar"), make("foo")})));
  EXPECT_TRUE(RaisesGroup(type<Value>(), matcher<Value>({.match = "foo"}), type<Value>())
                  .matches(grouped({make("foo"), make("bar"), make("bar")})));
}

// trio: test_testing_raisesgroup.py::test_brief_error_on_one_fail
TEST(RaisesGroupTest, OnePairThatFailsIsSaidBrieflyUnlessItWouldFitElsewhere) {
  EXPECT_EQ(wrong(RaisesGroup(type<Value>(), type<Other>()),
                  grouped({make(), std::make_exception_ptr(std::runtime_error(""))})),
            "1 matched exception. 'std::runtime_error' is not of type 'Other'");
  EXPECT_EQ(wrong(RaisesGroup(type<Value>(), type<Other>()), grouped({make(), make<Type>()})),
            "\n1 matched exception."
            "\nThe following expected exceptions did not find a match:"
            "\n  'Other'"
            "\nThe following raised exceptions did not find a match:"
            "\n  Type(''):"
            "\n    It matches 'Value' which was paired with Value('')"
            "\n    'Type' is not of type 'Other'");
}

// trio: test_testing_raisesgroup.py::test_identity_oopsies
TEST(RaisesGroupTest, TheSameExceptionMayBeInAGroupSeveralTimes) {
  const auto e = make("foo");
  EXPECT_TRUE(RaisesGroup(type<Value>(), type<Value>()).matches(grouped({e, e})));
  EXPECT_EQ(wrong(RaisesGroup(type<Value>(), type<Value>(), type<Other>()),
                  grouped({e, e, std::make_exception_ptr(std::runtime_error(""))})),
            "2 matched exceptions. 'std::runtime_error' is not of type 'Other'");
  const auto bar = matcher({.match = "bar"});
  const std::string text = wrong(RaisesGroup(bar, bar), grouped({e, e}));
  EXPECT_THAT(text, StartsWith("\nThe following expected exceptions did not find a match:"
                               "\n  Matcher(match='bar')\n  Matcher(match='bar')\n"));
}

// trio: test_testing_raisesgroup.py::test_matcher
TEST(MatcherTest, LooksAtTheType) {
  EXPECT_THROW(Matcher({}), UsageError);
  EXPECT_TRUE(RaisesGroup(matcher<Value>()).matches(grouped({make()})));
  EXPECT_EQ(wrong(RaisesGroup(matcher<Other>()), grouped({make()})),
            "Matcher(Other): 'Value' is not of type 'Other'");
}

// trio: test_testing_raisesgroup.py::test_matcher_match
TEST(MatcherTest, LooksAtTheText) {
  EXPECT_TRUE(RaisesGroup(matcher<Value>({.match = "foo"})).matches(grouped({make("foo")})));
  EXPECT_TRUE(RaisesGroup(matcher({.match = "foo"})).matches(grouped({make("foo")})));
  EXPECT_TRUE(RaisesGroup(matcher({.match = "^bar$"})).matches(grouped({make("bar")})));
  EXPECT_EQ(wrong(RaisesGroup(matcher<Value>({.match = "^bar$"})), grouped({make("barr")})),
            "Matcher(Value, match='^bar$'): Regex pattern '^bar$' did not match 'barr'");
}

// trio: test_testing_raisesgroup.py::test_Matcher_check
TEST(MatcherTest, AsksTheCheck) {
  const auto is_five = [](const std::exception_ptr& e) {
    const auto* error = exception_cast<std::system_error>(e);
    return error != nullptr && error->code().value() == 5;
  };
  const auto error = [](int number) {
    return std::make_exception_ptr(std::system_error(number, std::generic_category()));
  };
  EXPECT_TRUE(RaisesGroup(matcher({.check = is_five})).matches(grouped({error(5)})));
  EXPECT_EQ(wrong(RaisesGroup(matcher<std::system_error>({.check = is_five})), grouped({error(6)})),
            "Matcher(std::system_error, check): check did not return true");
}

// trio: test_testing_raisesgroup.py::test_matcher_tostring
TEST(MatcherTest, HasAText) {
  EXPECT_EQ(plain(matcher<Value>()->str()), "Matcher(Value)");
  EXPECT_EQ(matcher({.match = "[a-z]"})->str(), "Matcher(match='[a-z]')");
  EXPECT_EQ(plain(matcher<Value>({.match = "re", .check = [](auto&&) { return true; }})->str()),
            "Matcher(Value, match='re', check)");
}

// trio: test_testing_raisesgroup.py::test_raisesgroup_tostring
TEST(RaisesGroupTest, HasAText) {
  EXPECT_EQ(plain(RaisesGroup(type<Value>()).str()), "RaisesGroup(Value)");
  EXPECT_EQ(plain(RaisesGroup(group({type<Value>()})).str()), "RaisesGroup(RaisesGroup(Value))");
  EXPECT_EQ(plain(RaisesGroup(matcher<Value>()).str()), "RaisesGroup(Matcher(Value))");
  EXPECT_EQ(plain(RaisesGroup({type<Value>()}, {.allow_unwrapped = true}).str()),
            "RaisesGroup(Value, allow_unwrapped)");
  EXPECT_EQ(plain(RaisesGroup({type<Value>(), type<Other>()}, {.match = "a"}).str()),
            "RaisesGroup(Value, Other, match='a')");
}

}  // namespace
}  // namespace weft::fibers::testing
