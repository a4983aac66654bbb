// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Several errors at once. A nursery throws one group with everything that went wrong in it; nothing
// is dropped. The semantics are those of Python's exceptiongroup.
//
// As in Python, there are two types. An ExceptionGroup holds only exceptions that derive from
// std::exception, and is one itself. A BaseExceptionGroup may also hold Cancelled or
// KeyboardInterrupt, and `catch (const std::exception&)` does not catch it. `catch (const
// BaseExceptionGroup&)` catches both.
//
// To handle a group by what is in it: catch.h. To print one: format_exception.h. Nothing here
// recurses, however deep groups are nested.

#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

namespace detail {
// What a `catch (const wanted&)` would get, without the throw: 15 ns instead of a microsecond.
const void* catchable(const std::exception_ptr& error, const std::type_info& wanted);
}  // namespace detail

// The exception in `error` if it is an E, else null. Looks at the exception itself, not into
// groups. The pointer is valid as long as somebody holds `error`.
template <class E>
const E* exception_cast(const std::exception_ptr& error) {
  static_assert(!std::is_pointer_v<E>, "pointers may be thrown, but not looked for");
  if (error == nullptr) return nullptr;
#if defined(__GLIBCXX__) && defined(__GXX_RTTI)
  return static_cast<const E*>(detail::catchable(error, typeid(E)));
#else
  try {
    std::rethrow_exception(error);
  } catch (const E& e) {
    return &e;
  } catch (...) {
    return nullptr;
  }
#endif
}

// True if `error` is an E.
template <class E>
bool holds(const std::exception_ptr& error) {
  return exception_cast<E>(error) != nullptr;
}

// What split() and subgroup() ask about each exception: about a group first, and about its members
// only if the answer is no.
using ExceptionPredicate = std::function<bool(const std::exception_ptr&)>;

// True for an exception that is one of E.
template <class... E>
ExceptionPredicate is_any_of() {
  static_assert(sizeof...(E) > 0, "name the types to look for");
  return [](const std::exception_ptr& error) { return (holds<E>(error) || ...); };
}

// Splits `error` into the leaves for which `matches` is true, and the rest. Both parts keep the
// shape, messages and notes of `error`; an empty part is null. A group that loses nothing stays the
// same exception object, and so does every leaf. An `error` that is not a group goes to one side
// unchanged.
std::pair<std::exception_ptr, std::exception_ptr> split(const std::exception_ptr& error,
                                                        const ExceptionPredicate& matches);

class BaseExceptionGroup {
 public:
  using Predicate = ExceptionPredicate;

  // Throws UsageError if `exceptions` is empty or holds a null pointer.
  BaseExceptionGroup(std::string message, std::vector<std::exception_ptr> exceptions);
  BaseExceptionGroup(const BaseExceptionGroup&) = default;
  BaseExceptionGroup& operator=(const BaseExceptionGroup&) = default;
  virtual ~BaseExceptionGroup() = default;

  const std::string& message() const { return state_->message; }
  const std::vector<std::exception_ptr>& exceptions() const { return state_->exceptions; }
  // Remarks added on the way up, printed below the message.
  const std::vector<std::string>& notes() const { return notes_; }
  void add_note(std::string note) { notes_.push_back(std::move(note)); }

  // As split() above. The predicate is asked about this group itself first, if a catch block is
  // handling it. Otherwise no exception holds this group, and the predicate is asked about its
  // members only.
  std::pair<std::exception_ptr, std::exception_ptr> split(const Predicate& matches) const;
  std::exception_ptr subgroup(const Predicate& matches) const { return split(matches).first; }
  // By type: split<std::runtime_error, std::logic_error>().
  template <class... E>
  std::pair<std::exception_ptr, std::exception_ptr> split() const {
    return split(is_any_of<E...>());
  }
  template <class... E>
  std::exception_ptr subgroup() const {
    return subgroup(is_any_of<E...>());
  }
  // Makes a group of other exceptions with this group's message but not its notes, of the narrower
  // type that fits. Override it in a class of your own, so that the parts of a split have that
  // class and carry what it adds. Their notes are copied afterwards.
  virtual std::exception_ptr derive(std::vector<std::exception_ptr> exceptions) const;

  // "message (2 sub-exceptions)". (Python: str(group).)
  std::string str() const;
  // The whole tree, one line an exception.
  std::string describe() const;

 private:
  friend class ExceptionGroup;
  friend std::exception_ptr make_exception_group(std::string, std::vector<std::exception_ptr>);

  struct State {
    std::string message;
    std::vector<std::exception_ptr> exceptions;
    State* next_dropped = nullptr;
    // Takes deep nests apart without recursion, and needs no memory for that.
    static void drop(State* state) noexcept;
  };
  std::shared_ptr<State> state_;
  std::vector<std::string> notes_;
};

class ExceptionGroup : public BaseExceptionGroup, public std::exception {
 public:
  // Throws UsageError if one of them does not derive from std::exception.
  ExceptionGroup(std::string message, std::vector<std::exception_ptr> exceptions);
  // describe().
  const char* what() const noexcept override;

 private:
  friend std::exception_ptr make_exception_group(std::string, std::vector<std::exception_ptr>);
  // All of them are known to be std::exceptions.
  explicit ExceptionGroup(const BaseExceptionGroup& group) : BaseExceptionGroup(group) {}

  mutable std::shared_ptr<const std::string> text_;
};

// Makes a group: an ExceptionGroup if everything in it is a std::exception, else a
// BaseExceptionGroup.
std::exception_ptr make_exception_group(std::string message,
                                        std::vector<std::exception_ptr> exceptions);

// One line about any exception: its type, and what() where it has one.
std::string describe_exception(const std::exception_ptr& error);

}  // namespace weft::fibers
