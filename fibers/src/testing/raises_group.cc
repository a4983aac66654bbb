// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/raises_group.h"

#include <algorithm>
#include <cstddef>
#include <regex>

#include "fibers/src/testing/pairing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/format_exception.h"

namespace weft::fibers::testing {

namespace {

std::string quoted(const std::string& text) {
  return "'" + text + "'";
}

// The type of an exception, as the texts name it.
std::string type_of(const std::exception_ptr& error) {
  if (const auto* group = exception_cast<BaseExceptionGroup>(error)) {
    return weft::fibers::detail::type_name(typeid(*group));
  }
  if (const auto* e = exception_cast<std::exception>(error)) {
    return weft::fibers::detail::type_name(typeid(*e));
  }
  const std::string text = describe_exception(error);
  return text.substr(0, text.find(": "));
}

// What a regular expression is searched in.
std::string text_of(const std::exception_ptr& error) {
  if (const auto* group = exception_cast<BaseExceptionGroup>(error)) {
    std::string text = group->message();
    for (const std::string& note : group->notes()) text += "\n" + note;
    return text;
  }
  const auto* e = exception_cast<std::exception>(error);
  return e != nullptr ? e->what() : "";
}

bool found(const std::string& pattern, const std::string& text) {
  return std::regex_search(text, std::regex(pattern));
}

std::optional<std::string> match_mismatch(const std::string& pattern,
                                          const std::exception_ptr& error) {
  const std::string text = text_of(error);
  if (pattern.empty() || found(pattern, text)) return std::nullopt;
  std::string wrong = "Regex pattern " + quoted(pattern) + " did not match " + quoted(text);
  if (holds<BaseExceptionGroup>(error)) wrong += " of " + quoted(type_of(error));
  if (pattern == text) wrong += "\n  Did you mean to escape the regex?";
  return wrong;
}

std::string not_of_type(const std::exception_ptr& error, const std::string& type) {
  return quoted(type_of(error)) + " is not of type " + quoted(type);
}

std::string name_of(const detail::TypeTest& test) {
  return weft::fibers::detail::type_name(*test.type);
}

class ExpectedType final : public Expected {
 public:
  explicit ExpectedType(detail::TypeTest test) : test_(test) {}
  std::optional<std::string> mismatch(const std::exception_ptr& error) const override {
    if (test_.holds(error)) return std::nullopt;
    const std::string name = name_of(test_);
    if (!test_.is_group && holds<BaseExceptionGroup>(error)) {
      return "Unexpected nested " + quoted(type_of(error)) + ", expected " + quoted(name);
    }
    return not_of_type(error, name);
  }
  std::string str() const override { return name_of(test_); }
  bool is_base() const override { return test_.is_base; }

 private:
  detail::TypeTest test_;
};

bool is_group(const ExpectedPtr& expected) {
  return dynamic_cast<const RaisesGroup*>(expected.get()) != nullptr;
}
bool is_type(const ExpectedPtr& expected) {
  return dynamic_cast<const ExpectedType*>(expected.get()) != nullptr;
}

// Types are said in the reason; the others say who gives it.
std::optional<std::string> reason(const ExpectedPtr& expected, const std::exception_ptr& error) {
  std::optional<std::string> wrong = expected->mismatch(error);
  if (wrong && !is_type(expected)) wrong = expected->str() + ": " + *wrong;
  return wrong;
}

std::string name_in_list(const ExpectedPtr& expected) {
  return is_type(expected) ? quoted(expected->str()) : expected->str();
}

std::vector<std::exception_ptr> flattened(const BaseExceptionGroup& group) {
  std::vector<std::exception_ptr> flat;
  std::vector<std::exception_ptr> todo(group.exceptions().rbegin(), group.exceptions().rend());
  while (!todo.empty()) {
    const std::exception_ptr e = std::move(todo.back());
    todo.pop_back();
    if (const auto* inner = exception_cast<BaseExceptionGroup>(e)) {
      todo.insert(todo.end(), inner->exceptions().rbegin(), inner->exceptions().rend());
    } else {
      flat.push_back(e);
    }
  }
  return flat;
}

std::optional<std::string> pair_up(const std::vector<ExpectedPtr>& expected,
                                   const std::vector<std::exception_ptr>& raised) {
  fibers::detail::Pairing pairing;
  for (const ExpectedPtr& e : expected) pairing.expected.push_back(name_in_list(e));
  for (const std::exception_ptr& e : raised) pairing.raised.push_back(repr(e));
  for (const ExpectedPtr& e : expected) {
    auto& row = pairing.reasons.emplace_back();
    for (const std::exception_ptr& r : raised) row.push_back(reason(e, r));
  }
  return fibers::detail::explain(std::move(pairing));
}

void refuse(bool wrong, const char* why) {
  if (wrong) throw UsageError(why);
}

}  // namespace

ExpectedPtr detail::expect_type(TypeTest test) {
  return std::make_shared<ExpectedType>(test);
}

Matcher::Matcher(MatcherOptions options) : options_(std::move(options)) {
  refuse(options_.match.empty() && !options_.check,
         "a Matcher needs a type, a regular expression or a check to match on");
}

std::optional<std::string> Matcher::mismatch(const std::exception_ptr& error) const {
  if (type_ && !type_->holds(error)) return not_of_type(error, name_of(*type_));
  if (auto wrong = match_mismatch(options_.match, error)) return wrong;
  if (options_.check && !options_.check(error)) return "check did not return true";
  return std::nullopt;
}

std::string Matcher::str() const {
  std::string text = "Matcher(";
  const auto add = [&text](const std::string& part) {
    text += (text.back() == '(' ? "" : ", ") + part;
  };
  if (type_) add(name_of(*type_));
  if (!options_.match.empty()) add("match=" + quoted(options_.match));
  if (options_.check) add("check");
  return text + ")";
}

RaisesGroup::RaisesGroup(std::vector<ExpectedPtr> expected, RaisesGroupOptions options)
    : expected_(std::move(expected)), options_(std::move(options)) {
  const bool nested = std::any_of(expected_.begin(), expected_.end(), &is_group);
  refuse(expected_.empty(), "a RaisesGroup needs at least one expectation");
  refuse(
      options_.flatten_subgroups && nested,
      "a RaisesGroup inside one with flatten_subgroups can match nothing; leave one of them out");
  refuse(options_.allow_unwrapped && expected_.size() > 1,
         "allow_unwrapped is for one expected exception; a Matcher can take several types");
  refuse(options_.allow_unwrapped && nested,
         "allow_unwrapped has no effect when a RaisesGroup is expected");
  refuse(options_.allow_unwrapped && (!options_.match.empty() || options_.check),
         "allow_unwrapped bypasses match and check, which are about the group; to look at the "
         "exception, use a Matcher");
}

std::optional<std::string> RaisesGroup::mismatch(const std::exception_ptr& error) const {
  if (error == nullptr) return "did not raise any exception, expected " + expected_group();
  const auto* group = exception_cast<BaseExceptionGroup>(error);
  return group != nullptr ? group_mismatch(error, *group) : unwrapped_mismatch(error);
}

std::optional<std::string> RaisesGroup::unwrapped_mismatch(const std::exception_ptr& error) const {
  if (options_.allow_unwrapped) return reason(expected_.front(), error);
  std::string wrong = quoted(type_of(error)) + " is not an exception group";
  if (expected_.size() == 1 && !is_group(expected_.front()) &&
      !expected_.front()->mismatch(error)) {
    wrong += ", but would match with allow_unwrapped";
  }
  return wrong;
}

std::optional<std::string> RaisesGroup::group_mismatch(const std::exception_ptr& error,
                                                       const BaseExceptionGroup& group) const {
  if (auto wrong = match_mismatch(options_.match, error)) {
    if (expected_.size() == 1 && group.exceptions().size() == 1 && is_type(expected_.front()) &&
        !expected_.front()->mismatch(group.exceptions().front()) &&
        found(options_.match, text_of(group.exceptions().front()))) {
      *wrong += ", but matched the expected " + name_in_list(expected_.front()) +
                ". You might want a Matcher of that with this match";
    }
    return wrong;
  }
  const std::vector<std::exception_ptr> raised =
      options_.flatten_subgroups ? flattened(group) : group.exceptions();
  if (auto wrong = pair_up(expected_, raised)) return *wrong + flatten_hint(*wrong, group);
  if (options_.check && !options_.check(group)) return "check did not return true";
  return std::nullopt;
}

// Indented after a single line, which it belongs to.
std::string RaisesGroup::flatten_hint(const std::string& wrong,
                                      const BaseExceptionGroup& group) const {
  if (options_.flatten_subgroups || std::any_of(expected_.begin(), expected_.end(), &is_group)) {
    return {};
  }
  const std::vector<std::exception_ptr> flat = flattened(group);
  if (flat == group.exceptions() || pair_up(expected_, flat)) return {};
  const bool one_line = wrong.find('\n') == std::string::npos;
  return std::string(one_line ? "\n  " : "\n") + "Did you mean to use flatten_subgroups?";
}

std::string RaisesGroup::str() const {
  std::string text = "RaisesGroup(";
  for (const ExpectedPtr& e : expected_) text += (e == expected_.front() ? "" : ", ") + e->str();
  if (options_.allow_unwrapped) text += ", allow_unwrapped";
  if (options_.flatten_subgroups) text += ", flatten_subgroups";
  if (!options_.match.empty()) text += ", match=" + quoted(options_.match);
  if (options_.check) text += ", check";
  return text + ")";
}

bool RaisesGroup::is_base() const {
  return std::any_of(expected_.begin(), expected_.end(),
                     [](const ExpectedPtr& e) { return e->is_base(); });
}

// "ExceptionGroup(std::range_error)": what should have come.
std::string RaisesGroup::expected_group() const {
  std::string text = is_base() ? "BaseExceptionGroup(" : "ExceptionGroup(";
  for (const ExpectedPtr& e : expected_) {
    if (text.back() != '(') text += ", ";
    const auto* inner = dynamic_cast<const RaisesGroup*>(e.get());
    text += inner != nullptr ? inner->expected_group() : e->str();
  }
  return text + ")";
}

std::exception_ptr thrown_by(const std::function<void()>& fn) {
  try {
    fn();
    return nullptr;
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace weft::fibers::testing
