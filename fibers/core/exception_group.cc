// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/exception_group.h"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <typeinfo>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"

namespace weft::fibers {

namespace {

std::string type_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
  return status == 0 ? name.get() : type.name();
}

// Calls `visit` with the group that `error` is, if it is one.
template <class Visit>
bool visit_group(const std::exception_ptr& error, Visit&& visit) {
  try {
    std::rethrow_exception(error);
  } catch (const BaseExceptionGroup& group) {
    visit(group);
    return true;
  } catch (...) {
    return false;
  }
}

bool is_std_exception(const std::exception_ptr& error) {
  return holds<std::exception>(error);
}

}  // namespace

BaseExceptionGroup::BaseExceptionGroup(std::string message,
                                       std::vector<std::exception_ptr> exceptions) {
  if (exceptions.empty()) throw UsageError("an exception group needs at least one exception");
  for (const auto& e : exceptions) {
    if (e == nullptr) throw UsageError("an exception group cannot hold a null exception_ptr");
  }
  state_ = std::make_shared<State>();
  state_->message = std::move(message);
  state_->exceptions = std::move(exceptions);
}

// Groups nested thousands deep would otherwise be destroyed by as many nested destructors. The
// outermost one takes the others' exceptions over and drops them one after the other: those that
// nobody else holds come here in turn, and find that somebody is already at it.
BaseExceptionGroup::State::~State() {
  static thread_local std::vector<std::exception_ptr>* in_progress = nullptr;
  if (in_progress != nullptr) {
    for (auto& inner : exceptions) in_progress->push_back(std::move(inner));
    return;
  }
  std::vector<std::exception_ptr> todo = std::move(exceptions);
  in_progress = &todo;
  while (!todo.empty()) {
    const std::exception_ptr dropped = std::move(todo.back());
    todo.pop_back();
  }
  in_progress = nullptr;
}

void BaseExceptionGroup::add_note(std::string note) {
  notes_.push_back(std::move(note));
}

std::exception_ptr make_exception_group(std::string message,
                                        std::vector<std::exception_ptr> exceptions) {
  for (const auto& e : exceptions) {
    if (e != nullptr && !is_std_exception(e)) {
      return std::make_exception_ptr(BaseExceptionGroup(std::move(message), std::move(exceptions)));
    }
  }
  return std::make_exception_ptr(ExceptionGroup(std::move(message), std::move(exceptions)));
}

std::exception_ptr BaseExceptionGroup::derive(std::vector<std::exception_ptr> exceptions) const {
  for (const auto& e : exceptions) {
    if (e == nullptr || is_std_exception(e)) continue;
    BaseExceptionGroup group(message(), std::move(exceptions));
    group.notes_ = notes_;
    return std::make_exception_ptr(group);
  }
  ExceptionGroup group(message(), std::move(exceptions));
  for (const auto& note : notes_) group.add_note(note);
  return std::make_exception_ptr(group);
}

// Iterative: an explicit stack of half-split groups instead of calls.
std::pair<std::exception_ptr, std::exception_ptr> BaseExceptionGroup::split(
    const Predicate& matches) const {
  struct Frame {
    BaseExceptionGroup group;  // Shares the state.
    std::size_t next = 0;
    std::vector<std::exception_ptr> taken;
    std::vector<std::exception_ptr> rest;
  };
  std::vector<Frame> frames;
  frames.push_back({*this, 0, {}, {}});
  for (;;) {
    Frame& top = frames.back();
    if (top.next < top.group.exceptions().size()) {
      const std::exception_ptr error = top.group.exceptions()[top.next++];
      if (matches(error)) {
        top.taken.push_back(error);
        continue;
      }
      std::optional<BaseExceptionGroup> inner;
      if (visit_group(error, [&](const BaseExceptionGroup& group) { inner = group; })) {
        frames.push_back({*inner, 0, {}, {}});
      } else {
        top.rest.push_back(error);
      }
      continue;
    }
    const auto part = [&](std::vector<std::exception_ptr>& some) {
      return some.empty() ? std::exception_ptr{} : top.group.derive(std::move(some));
    };
    std::pair<std::exception_ptr, std::exception_ptr> halves{part(top.taken), part(top.rest)};
    frames.pop_back();
    if (frames.empty()) return halves;
    if (halves.first != nullptr) frames.back().taken.push_back(std::move(halves.first));
    if (halves.second != nullptr) frames.back().rest.push_back(std::move(halves.second));
  }
}

std::exception_ptr BaseExceptionGroup::subgroup(const Predicate& matches) const {
  return split(matches).first;
}

std::string describe_exception(const std::exception_ptr& error) {
  if (error == nullptr) return "no exception";
  try {
    std::rethrow_exception(error);
  } catch (const BaseExceptionGroup& group) {
    return "ExceptionGroup: " + group.message() + " (" + std::to_string(group.exceptions().size()) +
           (group.exceptions().size() == 1 ? " exception)" : " exceptions)");
  } catch (const Cancelled& cancelled) {
    return "Cancelled: " + cancelled.what();
  } catch (const KeyboardInterrupt& interrupt) {
    return interrupt.what();
  } catch (const std::exception& e) {
    return type_name(typeid(e)) + ": " + e.what();
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    return type != nullptr ? type_name(*type) : "unknown exception";
  }
}

// Deeper nests are not indented further, or the text would grow with the square of the depth.
static std::string indentation(std::size_t depth) {
  constexpr std::size_t kDeepest = 32;
  return std::string(2 * std::min(depth, kDeepest), ' ');
}

std::string BaseExceptionGroup::describe() const {
  struct Item {
    std::exception_ptr error;
    std::size_t depth;
  };
  std::string text;
  std::vector<Item> todo;
  const auto add = [&](const BaseExceptionGroup& group, std::size_t depth) {
    for (const auto& note : group.notes()) text += "\n" + indentation(depth) + note;
    for (auto e = group.exceptions().rbegin(); e != group.exceptions().rend(); ++e) {
      todo.push_back({*e, depth});
    }
  };
  text = message() + " (" + std::to_string(exceptions().size()) +
         (exceptions().size() == 1 ? " exception)" : " exceptions)");
  add(*this, 1);
  while (!todo.empty()) {
    const Item item = std::move(todo.back());
    todo.pop_back();
    text += "\n" + indentation(item.depth) + "- " + describe_exception(item.error);
    visit_group(item.error, [&](const BaseExceptionGroup& group) { add(group, item.depth + 1); });
  }
  return text;
}

ExceptionGroup::ExceptionGroup(std::string message, std::vector<std::exception_ptr> exceptions)
    : BaseExceptionGroup(std::move(message), std::move(exceptions)) {
  for (const auto& e : this->exceptions()) {
    if (!is_std_exception(e)) {
      throw UsageError("an ExceptionGroup holds only std::exceptions; use BaseExceptionGroup");
    }
  }
}

const char* ExceptionGroup::what() const noexcept {
  try {
    std::string text = describe();
    // What was returned before stays good, unless a note has been added.
    if (text_ == nullptr || *text_ != text) {
      text_ = std::make_shared<const std::string>(std::move(text));
    }
    return text_->c_str();
  } catch (...) {
    return "ExceptionGroup";
  }
}

namespace detail {

void dispatch_to_handlers(const std::exception_ptr& error,
                          const std::vector<CatchHandler>& handlers) {
  std::vector<std::exception_ptr> raised;
  bool only_passed_on = true;  // What handlers threw is what they were given.
  std::optional<BaseExceptionGroup> group;
  const bool was_group = visit_group(error, [&](const BaseExceptionGroup& g) { group = g; });
  if (!was_group) group.emplace("", std::vector<std::exception_ptr>{error});
  std::exception_ptr rest = was_group ? error : group->derive({error});
  for (const CatchHandler& handler : handlers) {
    if (rest == nullptr) break;
    visit_group(rest, [&](const BaseExceptionGroup& g) { group = g; });
    auto [matched, unmatched] = group->split(handler.matches);
    rest = std::move(unmatched);
    if (matched == nullptr) continue;
    try {
      handler.handle(matched);
    } catch (...) {
      raised.push_back(std::current_exception());
      only_passed_on = only_passed_on && raised.back() == matched;
    }
  }
  if (raised.empty() && rest == nullptr) return;
  if (raised.empty()) {
    visit_group(rest, [&](const BaseExceptionGroup& g) { group = g; });
    std::rethrow_exception(was_group ? rest : group->exceptions().front());
  }
  if (rest != nullptr) raised.push_back(std::move(rest));
  if (raised.size() == 1 && only_passed_on) std::rethrow_exception(raised.front());
  std::rethrow_exception(make_exception_group("errors from handlers of catch_", std::move(raised)));
}

}  // namespace detail

}  // namespace weft::fibers
