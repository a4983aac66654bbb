// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The templates of nursery.h, and TaskStatus.

#pragma once

#include "weft/fibers/nursery.h"

namespace weft::fibers {

namespace detail {

inline HoldOpen::HoldOpen(Nursery& nursery) noexcept : nursery_(nursery) {
  ++nursery_.pending_starts_;
}
inline HoldOpen::~HoldOpen() {
  if (--nursery_.pending_starts_ == 0 && nursery_.parent_waiting_) nursery_.let_close();
}

// What Nursery::start and TaskStatus share. Lives on the stack of the caller of start().
class StartHandshake {
 public:
  StartHandshake(Nursery& target, std::source_location site);
  StartHandshake(const StartHandshake&) = delete;
  StartHandshake& operator=(const StartHandshake&) = delete;
  ~StartHandshake();

  Nursery& hidden() { return hidden_; }
  void adopt(TaskBlock* task);
  // The child says that it has started: moves it to the target, unless the caller is cancelled.
  void started();
  bool has_started() const { return started_; }
  // Waits for the child to move or to end; throws its error, unwrapped.
  void wait();

 private:
  Nursery& target_;
  Nursery hidden_;
  bool started_ = false;
};

template <class T>
struct StartValue {
  std::optional<T> value;
};
template <>
struct StartValue<void> {};

}  // namespace detail

// Given to a function that runs under Nursery::start, which takes it by reference. Not copied: a
// second copy would not know that started() has been called and start() has gone.
template <class T>
class TaskStatus {
 public:
  TaskStatus(const TaskStatus&) = delete;
  TaskStatus& operator=(const TaskStatus&) = delete;
  TaskStatus(TaskStatus&&) noexcept = default;
  TaskStatus& operator=(TaskStatus&&) = delete;
  ~TaskStatus() = default;

  TaskStatus(detail::StartHandshake* handshake, detail::StartValue<T>* value)
      : handshake_(handshake), value_(value) {}

  // Lets start() return `value`. Throws UsageError the second time, unless the first one's value
  // could not be built.
  //
  // Blocks: no.
  // Cancel: not a checkpoint; if the caller of start() has been cancelled, nothing moves.
  // Threads: the run's own only.
  template <class... V>
  void started(V&&... value) {
    if (done_) throw UsageError("TaskStatus::started has already been called; call it once");
    done_ = true;
    if (handshake_ == nullptr) return;
    if constexpr (!std::is_void_v<T>) {
      try {
        value_->value.emplace(std::forward<V>(value)...);
      } catch (...) {
        done_ = false;
        throw;
      }
    }
    handshake_->started();
  }

  // For a function called without Nursery::start: a status that ignores started().
  static TaskStatus ignored() { return TaskStatus(nullptr, nullptr); }

 private:
  detail::StartHandshake* handshake_;
  detail::StartValue<T>* value_;
  bool done_ = false;
};

namespace detail {
// What Nursery::start runs.
template <class F, class T>
struct StartBody {
  using Checked = CheckedPartOf<F>;
  F fn;
  TaskStatus<T> status;
  void operator()() { std::invoke(fn, status); }
};

// A frame of its own between the nursery and the body. What the body and those that it calls
// declare lies below it, and what outlives the nursery above, whatever the compiler has inlined.
template <class F>
[[gnu::noinline]] auto call_body(F&& body, Nursery& nursery) -> std::invoke_result_t<F, Nursery&> {
  const char local = 0;
  nursery.set_body_frame(__builtin_frame_address(0), &local);
  return std::invoke(std::forward<F>(body), nursery);
}
}  // namespace detail

template <class T, class F>
T Nursery::start(F&& fn, const TaskOptions& options, std::source_location site) {
  static_assert(std::invocable<std::decay_t<F>&, TaskStatus<T>&>, WEFT_TAKES_A_STATUS);
  detail::StartValue<T> value;
  detail::StartHandshake handshake(*this, site);
  detail::StartBody<std::decay_t<F>, T> child{std::forward<F>(fn),
                                              TaskStatus<T>(&handshake, &value)};
  handshake.adopt(detail::spawn(handshake.hidden(), std::move(child), options, site));
  handshake.wait();
  if constexpr (!std::is_void_v<T>) return std::move(*value.value);
}

template <class F>
auto open_nursery(F&& body, std::source_location site) -> std::invoke_result_t<F, Nursery&> {
  using R = std::invoke_result_t<F, Nursery&>;
  static_assert(!std::is_reference_v<R>, WEFT_RETURNS_NO_REFERENCE);
  Nursery nursery(site);
  if constexpr (std::is_void_v<R>) {
    try {
      detail::call_body(std::forward<F>(body), nursery);
    } catch (...) {
      nursery.add_error(std::current_exception());
    }
    nursery.close();
  } else {
    std::optional<R> result;
    try {
      result.emplace(detail::call_body(std::forward<F>(body), nursery));
    } catch (...) {
      nursery.add_error(std::current_exception());
    }
    nursery.close();
    if (!result) {
      throw UsageError(
          "the body of open_nursery was cut short by the nursery's own cancel scope and has no "
          "value "
          "to return; let the body return void and store the value outside");
    }
    return std::move(*result);
  }
}
template <class F, class... Given>
requires(!std::invocable<F, Nursery&>) auto open_nursery(F&&, Given&&...) {
  static_assert(detail::kMisused<F>, WEFT_TAKES_THE_NURSERY);
}

}  // namespace weft::fibers
