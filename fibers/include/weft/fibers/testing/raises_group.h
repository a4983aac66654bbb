// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a test expects in an exception group, in any order. Each expectation is paired with one
// exception, and the message says what did not fit.
//
//   EXPECT_THAT(thrown_by([] { open_nursery(...); }),
//               RaisesGroup(type<ParseError>(), matcher<IoError>({.match = "no such file"})));
//
// (trio.testing: RaisesGroup, Matcher. All pairings are tried, so the order of the expectations
// does not matter.)

#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "weft/fibers/exception_group.h"

namespace weft::fibers::testing {

// What one exception should be: a type, a Matcher or a RaisesGroup.
class Expected {
 public:
  virtual ~Expected() = default;
  // What is wrong with `error`, or nothing if it is as expected.
  virtual std::optional<std::string> mismatch(const std::exception_ptr& error) const = 0;
  // As a program would write it.
  virtual std::string str() const = 0;
  // May be something else than a std::exception.
  virtual bool is_base() const { return false; }
};
using ExpectedPtr = std::shared_ptr<const Expected>;

namespace detail {
struct TypeTest {
  const std::type_info* type;
  bool (*holds)(const std::exception_ptr&);
  bool is_base;   // Not a std::exception.
  bool is_group;  // Groups may be expected by their type, too.
};
template <class E>
constexpr TypeTest type_test() {
  return {&typeid(E), &holds<E>, !std::is_base_of_v<std::exception, E>,
          std::is_base_of_v<BaseExceptionGroup, E>};
}
ExpectedPtr expect_type(TypeTest test);
}  // namespace detail

// An E, also a derived one.
template <class E>
ExpectedPtr type() {
  return detail::expect_type(detail::type_test<E>());
}

struct MatcherOptions {
  // A regular expression to be found in what(); of a group in its message and notes.
  std::string match = {};
  std::function<bool(const std::exception_ptr&)> check = {};
};

// One exception, looked at more closely than by type. At least one of the three is needed, or
// UsageError.
class Matcher final : public Expected {
 public:
  explicit Matcher(MatcherOptions options);
  Matcher(detail::TypeTest type, MatcherOptions options)
      : type_(type), options_(std::move(options)) {}
  bool matches(const std::exception_ptr& error) const { return !mismatch(error); }
  std::optional<std::string> mismatch(const std::exception_ptr& error) const override;
  std::string str() const override;
  bool is_base() const override { return type_ && type_->is_base; }

 private:
  std::optional<detail::TypeTest> type_;
  MatcherOptions options_;
};

template <class E>
ExpectedPtr matcher(MatcherOptions options = {}) {
  return std::make_shared<Matcher>(detail::type_test<E>(), std::move(options));
}
inline ExpectedPtr matcher(MatcherOptions options) {
  return std::make_shared<Matcher>(std::move(options));
}

struct RaisesGroupOptions {
  // Exceptions in nested groups count as if they were in the group itself, as with `except*`.
  // Cannot be combined with an expected RaisesGroup.
  bool flatten_subgroups = false;
  // A lone exception also matches. Only with one expectation that is not a RaisesGroup, and without
  // `match` and `check`, which are about the group.
  bool allow_unwrapped = false;
  // A regular expression to be found in the group's message and notes.
  std::string match = {};
  std::function<bool(const BaseExceptionGroup&)> check = {};
};

// A group with exactly these exceptions. A matcher of GoogleTest's for an exception_ptr. Throws
// UsageError for options that contradict each other.
class RaisesGroup final : public Expected {
 public:
  explicit RaisesGroup(std::vector<ExpectedPtr> expected, RaisesGroupOptions options = {});
  template <class... More>
  requires(std::is_convertible_v<More, ExpectedPtr>&&...) explicit RaisesGroup(ExpectedPtr first,
                                                                               More... more)
      : RaisesGroup(std::vector<ExpectedPtr>{std::move(first), std::move(more)...}) {}

  bool matches(const std::exception_ptr& error) const { return !mismatch(error); }
  std::optional<std::string> mismatch(const std::exception_ptr& error) const override;
  std::string str() const override;
  bool is_base() const override;

  // NOLINTBEGIN(readability-identifier-naming): GoogleTest's.
  using is_gtest_matcher = void;
  bool MatchAndExplain(const std::exception_ptr& error, std::ostream* to) const {
    const std::optional<std::string> wrong = mismatch(error);
    if (wrong && to != nullptr) *to << *wrong;
    return !wrong;
  }
  void DescribeTo(std::ostream* to) const { *to << "is " << str(); }
  void DescribeNegationTo(std::ostream* to) const { *to << "is not " << str(); }
  // NOLINTEND(readability-identifier-naming)

 private:
  std::optional<std::string> group_mismatch(const std::exception_ptr& error,
                                            const BaseExceptionGroup& group) const;
  std::optional<std::string> unwrapped_mismatch(const std::exception_ptr& error) const;
  std::string flatten_hint(const std::string& wrong, const BaseExceptionGroup& group) const;
  std::string expected_group() const;

  std::vector<ExpectedPtr> expected_;
  RaisesGroupOptions options_;
};

// The exception that `fn` throws, or null if it returns.
//
// Blocks: only if `fn` does.
// Cancel: takes what `fn` throws, also a Cancelled.
// Threads: any.
std::exception_ptr thrown_by(const std::function<void()>& fn);

// For a RaisesGroup inside another.
inline ExpectedPtr group(std::vector<ExpectedPtr> expected, RaisesGroupOptions options = {}) {
  return std::make_shared<RaisesGroup>(std::move(expected), std::move(options));
}

}  // namespace weft::fibers::testing
