// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Python's `except*`: handling a group by what is in it.
//
//   catch_([&] { open_nursery(...); },
//          on<ParseError, IoError>([](const ExceptionGroup& errors) { report(errors); }),
//          on<KeyboardInterrupt>([](const BaseExceptionGroup&) { stop(); }));
//
// (exceptiongroup: catch, suppress.)

#pragma once

#include <exception>
#include <functional>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/fibers/exception_group.h"

namespace weft::fibers {

// One handler of catch_; made by on<>.
struct CatchHandler {
  ExceptionPredicate matches;
  // Gets a group, as the exception that is being handled: `throw;` passes it on.
  std::function<void(const std::exception_ptr&)> handle;
};

// Handles the exceptions that are one of E. `handle` takes the group of them: as a
// `const ExceptionGroup&`, a `const BaseExceptionGroup&` or an exception_ptr; or it takes nothing.
// Naming a group type is an error: what counts is what is in a group.
template <class... E, class F>
CatchHandler on(F handle) {
  static_assert(!(std::is_base_of_v<BaseExceptionGroup, E> || ...),
                "a handler is for what is in groups, not for groups; use a plain catch for them");
  if constexpr (std::is_invocable_v<F&, const std::exception_ptr&>) {
    return {is_any_of<E...>(), std::move(handle)};
  } else if constexpr (std::is_invocable_v<F&, const BaseExceptionGroup&>) {
    return {is_any_of<E...>(), [handle](const std::exception_ptr& error) mutable {
              handle(*exception_cast<BaseExceptionGroup>(error));
            }};
  } else if constexpr (std::is_invocable_v<F&, const ExceptionGroup&>) {
    static_assert((std::is_base_of_v<std::exception, E> && ...),
                  "what is no std::exception comes in a BaseExceptionGroup");
    return {is_any_of<E...>(), [handle](const std::exception_ptr& error) mutable {
              handle(*exception_cast<ExceptionGroup>(error));
            }};
  } else {
    static_assert(std::is_invocable_v<F&>, "a handler takes the group of errors, or nothing");
    return {is_any_of<E...>(), [handle](const std::exception_ptr&) mutable { handle(); }};
  }
}

namespace detail {
void dispatch_to_handlers(const std::exception_ptr& error,
                          const std::vector<CatchHandler>& handlers);
void throw_rest(const std::exception_ptr& error, const ExceptionPredicate& dropped);
}  // namespace detail

// Runs `body`. Each handler in turn gets what it matches of the error, as a group; a lone error is
// wrapped in one with an empty message. What leaves catch_:
//
// - what no handler matched: the original exception object if none did, else the rest of the group;
// - what a handler throws: alone if it is all there is, else in a group with the rest;
// - what handlers only pass on (`throw;`) stays in its place among what was not matched;
// - one bare Cancelled, if nothing but Cancelled is left of a group.
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

// Runs `body` and drops errors that are one of E, alone or from a group; the rest is thrown.
//
// Blocks: only if the body does.
// Cancel: does not catch Cancelled, unless that is one of E.
// Threads: any.
template <class... E, class Body>
void suppress(Body&& body) {
  std::exception_ptr error;
  try {
    std::forward<Body>(body)();
    return;
  } catch (...) {
    error = std::current_exception();
  }
  detail::throw_rest(error, is_any_of<E...>());
}

}  // namespace weft::fibers
