// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/exception_group.h"

#include <cxxabi.h>

#include <typeinfo>

#include "fibers/core/check.h"
#include "fibers/core/text.h"
#include "fibers/core/type_name.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/throw_backtrace.h"

namespace weft::fibers {

#if defined(__GLIBCXX__)
const void* detail::catchable(const std::exception_ptr& error, const std::type_info& wanted) {
  void* object = const_cast<void*>(exception_address(error));
  return wanted.__do_catch(error.__cxa_exception_type(), &object, 1) ? object : nullptr;
}
#endif

namespace {

const BaseExceptionGroup* as_group(const std::exception_ptr& error) {
  return exception_cast<BaseExceptionGroup>(error);
}

// A loop: the standard algorithms are unrolled, wherever they stand.
bool all_std_exceptions(const std::vector<std::exception_ptr>& exceptions) {
  for (const auto& e : exceptions) {
    if (!holds<std::exception>(e)) return false;
  }
  return true;
}

}  // namespace

BaseExceptionGroup::BaseExceptionGroup(std::string message,
                                       std::vector<std::exception_ptr> exceptions) {
  WEFT_REQUIRE(!exceptions.empty(), "an exception group needs at least one exception");
  for (const auto& e : exceptions) {
    WEFT_REQUIRE(e != nullptr, "an exception group cannot hold a null exception_ptr");
  }
  state_ = std::shared_ptr<State>(new State, &State::drop);
  state_->message = std::move(message);
  state_->exceptions = std::move(exceptions);
}

// Groups nested thousands deep would otherwise be destroyed by as many nested destructors. The
// outermost call destroys them one after the other: those inside, whose last pointer goes with
// that, come here in turn, find that somebody is at it, and queue up.
void BaseExceptionGroup::State::drop(State* state) noexcept {
  static thread_local State** in_progress = nullptr;
  if (in_progress != nullptr) {
    state->next_dropped = std::exchange(*in_progress, state);
    return;
  }
  State* todo = state;
  in_progress = &todo;
  while (todo != nullptr) {
    State* const first = std::exchange(todo, todo->next_dropped);
    delete first;
  }
  in_progress = nullptr;
}

std::exception_ptr make_exception_group(std::string message,
                                        std::vector<std::exception_ptr> exceptions) {
  BaseExceptionGroup group(std::move(message), std::move(exceptions));
  if (!all_std_exceptions(group.exceptions())) return std::make_exception_ptr(group);
  return std::make_exception_ptr(ExceptionGroup(group));
}

std::exception_ptr BaseExceptionGroup::derive(std::vector<std::exception_ptr> exceptions) const {
  return make_exception_group(message(), std::move(exceptions));
}

namespace {

// Splits a tree without recursion: an explicit stack of half-split groups instead of calls.
class Splitter {
 public:
  using Halves = std::pair<std::exception_ptr, std::exception_ptr>;

  explicit Splitter(const ExceptionPredicate& matches) : matches_(matches) {}

  // `self` is the exception that `group` is, or null if it is none.
  Halves split(const BaseExceptionGroup& group, const std::exception_ptr& self) {
    frames_.push_back({&group, self, 0, {}, {}});
    for (;;) {
      Frame& top = frames_.back();
      if (top.next < top.group->exceptions().size()) {
        sort(top, top.group->exceptions()[top.next++]);
        continue;
      }
      Halves halves{part(top, std::move(top.taken)), part(top, std::move(top.rest))};
      frames_.pop_back();
      if (frames_.empty()) return halves;
      if (halves.first != nullptr) frames_.back().taken.push_back(std::move(halves.first));
      if (halves.second != nullptr) frames_.back().rest.push_back(std::move(halves.second));
    }
  }

 private:
  struct Frame {
    const BaseExceptionGroup* group;
    std::exception_ptr self;
    std::size_t next;
    std::vector<std::exception_ptr> taken;
    std::vector<std::exception_ptr> rest;
  };

  void sort(Frame& top, std::exception_ptr error) {
    if (matches_(error)) {
      top.taken.push_back(std::move(error));
    } else if (const BaseExceptionGroup* inner = as_group(error)) {
      frames_.push_back({inner, std::move(error), 0, {}, {}});
    } else {
      top.rest.push_back(std::move(error));
    }
  }

  // What a half of a group becomes: nothing, the group itself, or one derived from it.
  static std::exception_ptr part(const Frame& frame, std::vector<std::exception_ptr> some) {
    if (some.empty()) return {};
    if (frame.self != nullptr && some == frame.group->exceptions()) return frame.self;
    std::exception_ptr derived = frame.group->derive(std::move(some));
    add_notes(derived, frame.group->notes());
    return derived;
  }

  static void add_notes(const std::exception_ptr& derived, const std::vector<std::string>& notes) {
    auto* const group = const_cast<BaseExceptionGroup*>(as_group(derived));
    WEFT_REQUIRE(group != nullptr, "derive() of an exception group has to return one");
    for (const std::string& note : notes) group->add_note(note);
  }

  const ExceptionPredicate& matches_;
  std::vector<Frame> frames_;
};

}  // namespace

std::pair<std::exception_ptr, std::exception_ptr> split(const std::exception_ptr& error,
                                                        const ExceptionPredicate& matches) {
  if (error == nullptr) return {};
  // The predicate may drop what the caller has.
  const std::exception_ptr held = error;  // NOLINT(performance-unnecessary-copy-initialization)
  if (matches(held)) return {held, nullptr};
  const BaseExceptionGroup* group = as_group(held);
  if (group == nullptr) return {nullptr, held};
  return Splitter(matches).split(*group, held);
}

std::pair<std::exception_ptr, std::exception_ptr> BaseExceptionGroup::split(
    const Predicate& matches) const {
  const std::exception_ptr handled = std::current_exception();
  if (as_group(handled) == this) return fibers::split(handled, matches);
  return Splitter(matches).split(*this, nullptr);
}

std::string BaseExceptionGroup::str() const {
  const std::size_t size = exceptions().size();
  return detail::concat(
      {message(), " (", size, size == 1 ? " sub-exception)" : " sub-exceptions)"});
}

static std::string describe_unknown(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    return type != nullptr ? detail::type_name(*type) : "unknown exception";
  }
}

std::string describe_exception(const std::exception_ptr& error) {
  if (error == nullptr) return "no exception";
  if (const auto* group = as_group(error)) {
    return detail::concat({detail::type_name(typeid(*group)), ": ", group->str()});
  }
  if (const auto* cancelled = exception_cast<Cancelled>(error)) {
    return detail::concat({"Cancelled: ", cancelled->what()});
  }
  if (const auto* interrupt = exception_cast<KeyboardInterrupt>(error)) return interrupt->what();
  if (const auto* e = exception_cast<std::exception>(error)) {
    return detail::concat({detail::type_name(typeid(*e)), ": ", e->what()});
  }
  return describe_unknown(error);
}

// Deeper nests are not indented further, or the text would grow with the square of the depth.
static std::string_view indentation(std::size_t depth) {
  constexpr std::string_view kDeepest =
      "                                                                ";
  return kDeepest.substr(0, 2 * depth);
}

std::string BaseExceptionGroup::describe() const {
  struct Item {
    std::exception_ptr error;
    std::size_t depth;
  };
  std::vector<Item> todo;
  std::string text = str();
  const auto add = [&](const BaseExceptionGroup& group, std::size_t depth) {
    for (const auto& note : group.notes()) {
      detail::append(text, {"\n", indentation(depth), note});
    }
    for (auto e = group.exceptions().rbegin(); e != group.exceptions().rend(); ++e) {
      todo.push_back({*e, depth});
    }
  };
  add(*this, 1);
  while (!todo.empty()) {
    const Item item = std::move(todo.back());
    todo.pop_back();
    detail::append(text, {"\n", indentation(item.depth), "- ", describe_exception(item.error)});
    if (const BaseExceptionGroup* group = as_group(item.error)) add(*group, item.depth + 1);
  }
  return text;
}

ExceptionGroup::ExceptionGroup(std::string message, std::vector<std::exception_ptr> exceptions)
    : BaseExceptionGroup(std::move(message), std::move(exceptions)) {
  WEFT_REQUIRE(all_std_exceptions(this->exceptions()),
               "an ExceptionGroup holds only std::exceptions; use BaseExceptionGroup");
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

}  // namespace weft::fibers
