// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of gather() that does not depend on types. Not for use outside weft.

#pragma once

#include <cstddef>
#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "weft/fibers/outcome.h"
#include "weft/loop/detail/machine_box.h"
#include "weft/loop/future.h"

namespace weft::loop::detail {

// Ends the future `outer` when its children are done. A pending child's callback holds `outer`, and
// `outer` does not hold the child: so there is no cycle, and if everybody else has dropped the
// child, nobody can end it any more, and `outer` is cancelled.
class GatheringCore {
 public:
  GatheringCore(FutureCore& outer, bool return_exceptions) noexcept
      : outer_(outer), return_exceptions_(return_exceptions) {}
  GatheringCore(const GatheringCore&) = delete;
  GatheringCore& operator=(const GatheringCore&) = delete;

  // All children, in the order of the results. The same one may be there more than once.
  void begin(std::vector<FutureBase> children);
  // What cancel() of the outer future does: cancels the children, and answers whether one was.
  bool request_cancel(const std::exception_ptr& payload);

 protected:
  ~GatheringCore() = default;
  // All children are done: ends the future with their results.
  virtual void put_results() = 0;

  std::size_t size() const { return children_.size(); }
  const FutureBase& child(std::size_t i) const { return children_[i].done; }
  FutureCore& outer() const { return outer_; }

 private:
  class Link;
  struct Child {
    FutureCore* pending;  // Not held.
    FutureBase done;
  };
  void child_done(std::size_t i);
  void child_gone() noexcept;
  void finish(FutureCore& last);
  void end_cancelled(const FutureCore& child);

  FutureCore& outer_;
  std::vector<Child> children_;
  std::size_t finished_ = 0;
  const bool return_exceptions_;
  bool begun_ = false;
  bool cancel_requested_ = false;
};

template <class T>
using OrMonostate = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

// The value of a future that has one; moved out if it cannot be copied.
template <class T>
OrMonostate<T> value_of(const FutureBase& future) {
  auto& value = static_cast<FutureBox<T>&>(FutureAccess::core(future)).value;
  if constexpr (std::is_copy_constructible_v<OrMonostate<T>>) {
    return *value;
  } else {
    return std::move(*value);
  }
}

// The same, or the error, of one that is done.
template <class T>
fibers::Outcome<T> outcome_of(const FutureBase& future) {
  FutureCore& core = FutureAccess::core(future);
  if (future.cancelled()) {
    const std::exception_ptr& payload = core.stored_exception();
    return fibers::Error(payload != nullptr ? payload : std::make_exception_ptr(CancelledError()));
  }
  if (std::exception_ptr error = core.exception()) return fibers::Error(std::move(error));
  return fibers::Outcome<T>::value(value_of<T>(future));
}

template <class T>
struct PlainResult {
  using Type = OrMonostate<T>;
  static Type of(const FutureBase& child) { return value_of<T>(child); }
};
template <class T>
struct OutcomeResult {
  using Type = fibers::Outcome<T>;
  static Type of(const FutureBase& child) { return outcome_of<T>(child); }
};

// The result is a tuple of what Result... make of the children, or a vector of what Result does.
template <class... Result>
class GatherTuple : public GatheringCore {
 public:
  using Value = std::tuple<typename Result::Type...>;
  using GatheringCore::GatheringCore;

 protected:
  ~GatherTuple() = default;

 private:
  void put_results() override { put(std::index_sequence_for<Result...>()); }
  template <std::size_t... I>
  void put(std::index_sequence<I...>) {
    Value results{Result::of(child(I))...};
    static_cast<FutureBox<Value>&>(outer()).set_value(std::move(results));
  }
};

template <class Result>
class GatherVector : public GatheringCore {
 public:
  using Value = std::vector<typename Result::Type>;
  using GatheringCore::GatheringCore;

 protected:
  ~GatherVector() = default;

 private:
  void put_results() override {
    Value results;
    results.reserve(size());
    for (std::size_t i = 0; i < size(); ++i) results.push_back(Result::of(child(i)));
    static_cast<FutureBox<Value>&>(outer()).set_value(std::move(results));
  }
};

// Of children without values.
class GatherVoid : public GatheringCore {
 public:
  using Value = void;
  using GatheringCore::GatheringCore;

 protected:
  ~GatherVoid() = default;

 private:
  void put_results() override { static_cast<FutureBox<void>&>(outer()).set_value(); }
};

}  // namespace weft::loop::detail
