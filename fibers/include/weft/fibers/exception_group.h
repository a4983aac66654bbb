// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Several errors at once. A nursery throws one group with everything that went wrong in it; nothing
// is dropped. The semantics are those of Python's exceptiongroup.
//
// Like in Python there are two types: an ExceptionGroup holds only derivatives of std::exception
// and is one itself; a BaseExceptionGroup may also hold Cancelled or KeyboardInterrupt and passes a
// `catch (const std::exception&)`. `catch (const BaseExceptionGroup&)` catches both.

#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace weft::fibers {

class BaseExceptionGroup {
 public:
  using Predicate = std::function<bool(const std::exception_ptr&)>;

  // Throws UsageError if `exceptions` is empty or holds a null pointer.
  BaseExceptionGroup(std::string message, std::vector<std::exception_ptr> exceptions);
  BaseExceptionGroup(const BaseExceptionGroup&) = default;
  BaseExceptionGroup& operator=(const BaseExceptionGroup&) = default;
  virtual ~BaseExceptionGroup() = default;

  const std::string& message() const { return state_->message; }
  const std::vector<std::exception_ptr>& exceptions() const { return state_->exceptions; }
  // Remarks added on the way up, printed below the message.
  const std::vector<std::string>& notes() const { return notes_; }
  void add_note(std::string note);

  // The leaves for which `matches` holds, and the rest; each as a group of the same shape, or null
  // when empty. The predicate also sees inner groups and may take one whole.
  std::pair<std::exception_ptr, std::exception_ptr> split(const Predicate& matches) const;
  std::exception_ptr subgroup(const Predicate& matches) const;
  // A group of other exceptions with this one's message and notes.
  std::exception_ptr derive(std::vector<std::exception_ptr> exceptions) const;

  // The whole tree, one line an exception.
  std::string describe() const;

 private:
  struct State {
    std::string message;
    std::vector<std::exception_ptr> exceptions;
    ~State();  // Takes deep nests apart without recursion.
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
  mutable std::shared_ptr<const std::string> text_;
};

// A group of the narrower type that fits: ExceptionGroup if everything in it is a std::exception.
std::exception_ptr make_exception_group(std::string message,
                                        std::vector<std::exception_ptr> exceptions);

// One line about any exception: its type, and what() where it has one.
std::string describe_exception(const std::exception_ptr& error);

// True if `error` is an E. Looks at the exception itself, not into groups.
template <class E>
bool holds(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const E&) {
    return true;
  } catch (...) {
    return false;
  }
}

// One handler of catch_: on<std::runtime_error>([](const std::exception_ptr& group) { ... }).
struct CatchHandler {
  BaseExceptionGroup::Predicate matches;
  std::function<void(const std::exception_ptr&)> handle;
};
template <class E>
CatchHandler on(std::function<void(const std::exception_ptr&)> handle) {
  return {[](const std::exception_ptr& error) { return holds<E>(error); }, std::move(handle)};
}

namespace detail {
void dispatch_to_handlers(const std::exception_ptr& error,
                          const std::vector<CatchHandler>& handlers);
}

// Python's `except*`: runs `body`; each handler in turn gets what it matches of the error as a
// group (a lone error is wrapped in one); the rest, and what handlers throw, leaves catch_ as one
// group.
//
// Blocks: only if the body or a handler does.
// Cancel: does not catch Cancelled unless a handler asks for it.
// Threads: any.
template <class Body, class... Handlers>
void catch_(Body&& body, Handlers&&... handlers) {
  std::exception_ptr error;
  try {
    std::forward<Body>(body)();
    return;
  } catch (...) {
    error = std::current_exception();
  }
  detail::dispatch_to_handlers(error, {std::forward<Handlers>(handlers)...});
}

}  // namespace weft::fibers
