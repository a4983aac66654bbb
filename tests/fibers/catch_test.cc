// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/catch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/fibers/exception_shapes.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using ::testing::ElementsAre;

using ValueError = std::invalid_argument;
using TypeError = std::domain_error;
using RangeError = std::range_error;

std::exception_ptr range_error(const char* text) {
  return std::make_exception_ptr(RangeError(text));
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

auto keep(std::vector<std::string>& texts) {
  return [&texts](const std::exception_ptr& e) { texts.push_back(shape(e)); };
}

// exceptiongroup: test_catch.py::test_catch_ungrouped
TEST(CatchTest, ALoneErrorIsWrappedForItsHandler) {
  std::vector<std::string> values;
  std::vector<std::string> ranges;
  for (const auto& error : {value_error("v"), type_error("t"), range_error("r")}) {
    catch_([&] { std::rethrow_exception(error); }, on<ValueError, TypeError>(keep(values)),
           on<RangeError>(keep(ranges)));
  }
  EXPECT_THAT(values, ElementsAre("[v]", "[t]"));
  EXPECT_THAT(ranges, ElementsAre("[r]"));
}

// exceptiongroup: test_catch.py::test_catch_group
TEST(CatchTest, EachHandlerGetsItsPart) {
  std::vector<std::string> values;
  std::vector<std::string> ranges;
  catch_(
      [] {
        throw ExceptionGroup(
            "booboo", {value_error("v1"), value_error("v2"), type_error("t"), range_error("r")});
      },
      on<ValueError, TypeError>(keep(values)), on<RangeError>(keep(ranges)));
  EXPECT_THAT(values, ElementsAre("booboo[v1 v2 t]"));
  EXPECT_THAT(ranges, ElementsAre("booboo[r]"));
}

// exceptiongroup: test_catch.py::test_catch_nested_group
TEST(CatchTest, AHandlersPartHasTheShapeOfTheWhole) {
  std::vector<std::string> values;
  std::vector<std::string> ranges;
  catch_(
      [] {
        throw ExceptionGroup("booboo",
                             {value_error("v"),
                              make_exception_group("nested", {type_error("t"), range_error("r")})});
      },
      on<ValueError, TypeError>(keep(values)), on<RangeError>(keep(ranges)));
  EXPECT_THAT(values, ElementsAre("booboo[v nested[t]]"));
  EXPECT_THAT(ranges, ElementsAre("booboo[nested[r]]"));
}

TEST(CatchTest, HandlersAreTriedInOrderAndEachLeafIsHandledOnce) {
  std::vector<std::string> order;
  catch_(
      [] {
        throw ExceptionGroup("top", {value_error("v"), type_error("t")});
      },
      on<ValueError>([&](const auto& e) { order.push_back("value " + shape(e)); }),
      on<std::exception>([&](const auto& e) { order.push_back("any " + shape(e)); }),
      on<TypeError>([&](const auto&) { order.emplace_back("never"); }));
  EXPECT_THAT(order, ElementsAre("value top[v]", "any top[t]"));
}

TEST(CatchTest, RunsNoHandlerWithoutAnError) {
  bool ran = false;
  catch_([&ran] { ran = true; }, on<std::exception>([] { FAIL(); }));
  EXPECT_TRUE(ran);
}

// exceptiongroup: test_catch.py::test_catch_no_match
TEST(CatchTest, AGroupThatNoHandlerMatchesLeavesAsItIs) {
  const auto group = make_exception_group("booboo", {range_error("r")});
  try {
    catch_([&] { std::rethrow_exception(group); }, on<ValueError, TypeError>([] { FAIL(); }));
    FAIL();
  } catch (const ExceptionGroup&) {
    EXPECT_EQ(std::current_exception(), group);
  }
}

// exceptiongroup: test_catch.py::test_catch_single_no_match
TEST(CatchTest, ALoneErrorThatNoHandlerMatchesLeavesAsItIs) {
  EXPECT_THROW(catch_([] { throw RangeError("r"); }, on<ValueError, TypeError>([] { FAIL(); })),
               RangeError);
}

// exceptiongroup: test_catch.py::test_catch_full_match
TEST(CatchTest, NothingLeavesWhenEverythingWasHandled) {
  EXPECT_EQ(caught([] { throw ExceptionGroup("booboo", {value_error("v")}); },
                   on<ValueError, TypeError>([] {})),
            "nothing");
}

TEST(CatchTest, WhatNoHandlerTakesLeavesAsAGroup) {
  EXPECT_EQ(caught(
                [] {
                  throw ExceptionGroup("top", {value_error("v"), type_error("t")});
                },
                on<ValueError>([] {})),
            "top[t]");
}

// exceptiongroup: test_catch.py::test_catch_handler_raises
TEST(CatchTest, WhatAHandlerThrowsLeavesAlone) {
  EXPECT_EQ(caught([] { throw ExceptionGroup("booboo", {value_error("v")}); },
                   on<ValueError>([] { throw RangeError("new"); })),
            "new");
  // And may take what it was given along, as its cause.
  try {
    catch_([] { throw ExceptionGroup("booboo", {value_error("v")}); },
           on<ValueError>([] { std::throw_with_nested(RangeError("new")); }));
  } catch (const std::nested_exception& e) {
    EXPECT_EQ(shape(e.nested_ptr()), "booboo[v]");
  }
}

TEST(CatchTest, SeveralErrorsOfHandlersLeaveInAGroupTogetherWithTheRest) {
  const auto body = [] {
    throw ExceptionGroup("top", {value_error("v"), type_error("t"), range_error("r")});
  };
  EXPECT_EQ(caught(body, on<ValueError>([] { throw 7; }), on<TypeError>([] { throw 8; })),
            "errors from handlers of catch_[7 8 top[r]]");
}

// exceptiongroup: test_catch.py::test_bare_raise_in_handler
TEST(CatchTest, AHandlerMayPassItsPartOn) {
  const auto middle = [] {
    throw ExceptionGroup("bad", {value_error("v1"), range_error("r"), value_error("v2")});
  };
  EXPECT_EQ(caught(middle, on<ValueError>([] { throw; }), on<RangeError>([] {})), "bad[v1 v2]");
  EXPECT_EQ(
      caught(middle, on<ValueError>([](const std::exception_ptr& e) { std::rethrow_exception(e); }),
             on<RangeError>([] {})),
      "bad[v1 v2]");
}

// What handlers passed on and what none took are one group again, in the old order.
TEST(CatchTest, PartsPassedOnGoBackToTheirPlaces) {
  const auto body = [] {
    throw ExceptionGroup("top", {value_error("v"), type_error("t"), range_error("r"),
                                 make_exception_group("in", {type_error("u"), value_error("w")})});
  };
  EXPECT_EQ(caught(body, on<ValueError>([] { throw; }), on<RangeError>([] {})), "top[v t in[u w]]");
  EXPECT_EQ(caught(body, on<ValueError>([] { throw; }), on<RangeError>([] { throw 7; })),
            "errors from handlers of catch_[7 top[v t in[u w]]]");
}

// exceptiongroup: test_catch.py::test_bare_reraise_from_naked_exception
TEST(CatchTest, ALoneErrorThatIsPassedOnStaysWrapped) {
  EXPECT_EQ(caught([] { throw ValueError("foo"); }, on<std::exception>([] { throw; })), "[foo]");
}

// exceptiongroup: test_catch.py::test_catch_subclass
TEST(CatchTest, AHandlerForABaseTakesItsDerivatives) {
  std::vector<std::string> logic;
  catch_([] { throw ValueError("foo"); }, on<std::logic_error>(keep(logic)));
  EXPECT_THAT(logic, ElementsAre("[foo]"));
}

// exceptiongroup: test_catch.py::test_bad_handler
TEST(CatchTest, AHandlerTakesAGroupAPointerOrNothing) {
  std::vector<std::string> texts;
  const auto body = [] { throw ExceptionGroup("top", {value_error("v")}); };
  catch_(body, on<ValueError>([&](const ExceptionGroup& group) { texts.push_back(group.str()); }));
  catch_(body,
         on<ValueError>([&](const BaseExceptionGroup& group) { texts.push_back(group.str()); }));
  catch_(body,
         on<ValueError>([&](const std::exception_ptr& group) { texts.push_back(shape(group)); }));
  catch_(body, on<ValueError>([&] { texts.emplace_back("nothing"); }));
  EXPECT_THAT(texts,
              ElementsAre("top (1 sub-exception)", "top (1 sub-exception)", "top[v]", "nothing"));
}

// A handler for groups does not compile (see the static_assert in on<>). What is left of the matter
// is that a group inside a group is never handed out as if it were an error.
// exceptiongroup: test_catch.py::test_catch_exceptiongroup
TEST(CatchTest, AHandlerIsNotForGroupsThemselves) {
  std::vector<std::string> texts;
  catch_([] { throw ExceptionGroup("top", {make_exception_group("in", {value_error("v")})}); },
         on<ValueError>(keep(texts)));
  EXPECT_THAT(texts, ElementsAre("top[in[v]]"));
}

TEST(CatchTest, WhatIsNoStdExceptionComesInABaseExceptionGroup) {
  bool interrupted = false;
  EXPECT_EQ(caught(
                [] {
                  throw BaseExceptionGroup(
                      "m", {std::make_exception_ptr(KeyboardInterrupt()), value_error("v")});
                },
                on<KeyboardInterrupt>([&](const BaseExceptionGroup&) { interrupted = true; })),
            "m[v]");
  EXPECT_TRUE(interrupted);
}

// The handler of a task may wait; others handle errors of their own meanwhile.
FIBER_TEST(CatchTest, AHandlerMayWait) {
  std::string text;
  catch_([] { throw ValueError("v"); }, on<ValueError>([&] {
           sleep(std::chrono::seconds(1));
           text = shape(std::current_exception());
         }));
  EXPECT_EQ(text, "[v]");
}

// exceptiongroup: test_suppress.py::test_suppress_exception
TEST(SuppressTest, DropsItsPartAndThrowsTheRest) {
  try {
    suppress<KeyboardInterrupt>([] {
      throw BaseExceptionGroup("",
                               {std::make_exception_ptr(KeyboardInterrupt()), range_error("boo")});
    });
    FAIL();
  } catch (const ExceptionGroup& group) {
    EXPECT_EQ(shape(std::current_exception()), "[boo]");
  }
}

TEST(SuppressTest, DropsALoneErrorOrAWholeGroup) {
  suppress<ValueError>([] { throw ValueError("v"); });
  suppress<ValueError, TypeError>([] {
    throw ExceptionGroup("m", {value_error("v"), type_error("t")});
  });
  EXPECT_THROW(suppress<ValueError>([] { throw TypeError("t"); }), TypeError);
  bool ran = false;
  suppress<ValueError>([&] { ran = true; });
  EXPECT_TRUE(ran);
}

}  // namespace
}  // namespace weft::fibers
