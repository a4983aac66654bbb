// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// An operation of Asio's that a task waits for. Not for use outside weft: see use_fiber.h.

#pragma once

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <cstdint>
#include <exception>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "weft/fibers/lowlevel.h"
#include "weft/fibers/token.h"

namespace weft::asio::detail {

// Lies on the stack of the task, which does not leave before everybody has let go of this: the
// handler, and what Asio has to call besides. All but the handler's results is touched on the run's
// thread only; others come in by the token.
class WaitCore {
 public:
  // First checkpoint_if_cancelled().
  WaitCore();
  WaitCore(const WaitCore&) = delete;
  WaitCore& operator=(const WaitCore&) = delete;

  ::boost::asio::cancellation_slot slot() noexcept { return signal_.slot(); }

  const fibers::Task& task() const { return *target_.task; }
  // One more who refers to this; only before the task is made ready. On the run's thread.
  void add_party() noexcept { ++parties_; }
  // The last use of this by a party.
  //
  // Threads: any.
  void let_go() noexcept;
  // The same of an operation's handler, as the last thing that this does: on the run's thread the
  // task goes on in there.
  void let_go_in_handler();
  // What is thrown instead of the results.
  void fail(std::exception_ptr error) noexcept { error_ = std::move(error); }
  // Asks the operation to end. In its executor.
  void emit();

 protected:
  ~WaitCore() = default;

  // Waits until nobody has hold of this. `cancel(WaitCore&)` lets emit() be called. Inline, as
  // the kernel's own waits are: each frame between a task and its switch costs a return that the
  // processor mispredicts.
  using Cancel = void (*)(WaitCore& wait, void* executor);
  [[gnu::always_inline]] inline void await(Cancel cancel, void* executor);
  // Throws the cancellation, if this is what the operation has ended with.
  void raise_if_cancelled() const {
    if (raise_) (*raise_)();
  }
  void rethrow_failure() const {
    if (error_ != nullptr) std::rethrow_exception(error_);
  }
  [[noreturn]] void throw_dropped() const;
  // Of a first result that tells an error.
  void check(const ::boost::system::error_code& error) const;
  void check(const std::exception_ptr& error) const;

 private:
  void settle() noexcept;

  const void* const thread_;  // Identifies the run's thread.
  std::uint32_t parties_ = 1;
  bool waits_ = false;
  std::exception_ptr error_;
  std::optional<fibers::RaiseCancel> raise_;  // Set once the task is cancelled.
  const fibers::detail::CallTarget target_;
  ::boost::asio::cancellation_signal signal_;
};

// One party's hold.
class Party {
 public:
  explicit Party(WaitCore& wait) noexcept : wait_(&wait) {}
  Party(Party&& other) noexcept : wait_(std::exchange(other.wait_, nullptr)) {}
  Party& operator=(Party&&) = delete;
  ~Party() {
    if (wait_ != nullptr) wait_->let_go();
  }
  void let_go_in_handler() && { std::exchange(wait_, nullptr)->let_go_in_handler(); }
  WaitCore& operator*() const noexcept { return *wait_; }
  WaitCore* operator->() const noexcept { return wait_; }

 private:
  WaitCore* wait_;
};

void WaitCore::await(Cancel cancel, void* executor) {
  if (parties_ == 0) {
    // The results are there and must not be lost; but others are to have their turn.
    fibers::cancel_shielded_checkpoint();
    return;
  }
  waits_ = true;
  fibers::wait_task_rescheduled(
      [&](const fibers::RaiseCancel& raise) {
        raise_.emplace(raise);
        add_party();
        const Party keep(*this);  // It may end inside `cancel`, which is not the end of that.
        cancel(*this, executor);
        return fibers::Abort::kFailed;
      },
      {"an operation of Asio's", -1, this});
}

template <class T>
inline constexpr bool kTellsError =
    std::is_same_v<T, ::boost::system::error_code> || std::is_same_v<T, std::exception_ptr>;

// What a wait returns, by the results of a handler.
template <class... T>
struct Returned {
  using Type = std::tuple<T...>;
};
template <>
struct Returned<> {
  using Type = void;
};
template <class T>
struct Returned<T> {
  using Type = T;
};
template <class... T>
struct Results : Returned<T...> {
  static constexpr std::size_t kSkipped = 0;
};
template <class First, class... T>
requires kTellsError<First>
struct Results<First, T...> : Returned<T...> {
  static constexpr std::size_t kSkipped = 1;
};

template <class... T>
class FiberWait final : public WaitCore {
 public:
  using Result = typename Results<T...>::Type;

  template <class... V>
  void complete(V&&... values) noexcept {
    try {
      results_.emplace(std::forward<V>(values)...);
    } catch (...) {
      fail(std::current_exception());
    }
  }
  [[gnu::always_inline]] Result await(Cancel cancel, void* executor) {
    WaitCore::await(cancel, executor);
    rethrow_failure();
    if (!results_) throw_dropped();
    if constexpr (Results<T...>::kSkipped > 0) check(std::get<0>(*results_));
    return take(std::make_index_sequence<sizeof...(T) - Results<T...>::kSkipped>());
  }

 private:
  template <std::size_t... i>
  Result take(std::index_sequence<i...>) {
    return Result(std::get<i + Results<T...>::kSkipped>(std::move(*results_))...);
  }

  std::optional<std::tuple<T...>> results_;
};

}  // namespace weft::asio::detail
