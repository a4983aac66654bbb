// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A scheduling algorithm for Boost.Fiber, so that the fibers of a thread can share it with a run of
// weft. Install it as any other, once a thread:
//
//   boost::fibers::use_scheduling_algorithm<weft::boost_fiber::Shared<>>();
//
// By itself it is the algorithm that it is built on. Inside share_thread() (boost_fiber.h) an idle
// Boost.Fiber waits in the run's own epoll, and an idle run lets the fibers have the thread.
//
// Also outside of share_thread() it gives each fiber an exception state of its own: Boost.Fiber
// does that from Boost 1.88 on. Before, two fibers that wait inside catch blocks rethrow each
// other's errors.

#pragma once

#include <boost/fiber/algo/algorithm.hpp>
#include <boost/fiber/algo/round_robin.hpp>
#include <boost/fiber/context.hpp>
#include <boost/fiber/operations.hpp>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "weft/fibers/detail/outside_task.h"
#include "weft/fibers/token.h"

namespace weft::boost_fiber {

namespace detail {

// The two words of __cxa_get_globals().
struct ExceptionState {
  void* caught = nullptr;
  unsigned uncaught = 0;
};

// A Boost fiber has the thread, in the turn of a task.
class OnBoostFiber {
 public:
  OnBoostFiber() noexcept;
  OnBoostFiber(const OnBoostFiber&) = delete;
  OnBoostFiber& operator=(const OnBoostFiber&) = delete;
  ~OnBoostFiber();

 private:
  fibers::detail::OutsideTask outside_;
  const char* flavour_before_;
};

class Pump;

// What Shared does, whatever it is built on. A run's tasks all run in one context of Boost.Fiber's,
// the one that was active when share_thread() was called. The pump, a task, suspends that context
// in favour of the fibers, and gets it back when they have had their turn or are idle.
class Algorithm : public boost::fibers::algo::algorithm {
 public:
  using Context = boost::fibers::context;
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit Algorithm(std::unique_ptr<boost::fibers::algo::algorithm> base);
  Algorithm(const Algorithm&) = delete;
  Algorithm& operator=(const Algorithm&) = delete;
  ~Algorithm() override;

  void awakened(Context* context) noexcept override;
  Context* pick_next() noexcept override;
  bool has_ready_fibers() const noexcept override;
  void suspend_until(const TimePoint& time) noexcept override;
  void notify() noexcept override;

  // Null if this thread has another algorithm.
  static Algorithm* of_this_thread() noexcept;
  // --- The pump's. ---
  Pump* pump() const noexcept { return pump_; }
  void attach(Pump& pump);
  void detach() noexcept;
  // What is left when the fibers have had their turn.
  struct Turn {
    bool more;          // Or perhaps more: the next turn will tell.
    TimePoint wake_at;  // When there is more at the latest, if there is none now.
  };
  // Each fiber that is ready runs once.
  Turn give_turn() noexcept;

 private:
  Context* choose() noexcept;
  void note_direct_wait(const Context* active, const Context* next) noexcept;
  void exchange_exceptions(Context* from, Context* to) noexcept;
  void find_present() noexcept;
  void warn_of_direct_wait() noexcept;

  const std::unique_ptr<boost::fibers::algo::algorithm> base_;
  std::size_t ready_ = 0;  // Without the dispatcher.
  // Whose exception state the thread has. Those of others are kept while they are not empty.
  Context* present_ = nullptr;
  std::unordered_map<const Context*, ExceptionState> kept_exceptions_;

  // --- While the thread is shared. ---
  Pump* pump_ = nullptr;
  Context* tasks_context_ = nullptr;  // The one in which all tasks run.
  bool pumping_ = false;              // It is suspended, by the pump.
  bool ran_ = false;                  // A fiber has run in this turn.
  bool idle_ = false;                 // Boost.Fiber has nothing to do before wake_at_.
  std::size_t budget_ = 0;            // How many fibers may still run in this turn.
  TimePoint wake_at_;
  // A task waits for Boost.Fiber without boost_fiber_as_trio().
  std::optional<OnBoostFiber> direct_wait_;
  const Context* direct_waiter_ = nullptr;
  bool warned_ = false;

  // --- For other threads. ---
  std::mutex mutex_;
  std::condition_variable condition_;
  bool notified_ = false;
  std::optional<fibers::Token> token_;  // While the thread is shared.
};

}  // namespace detail

// `Base` decides which fiber is next; it is made from the constructor's arguments. It must be one
// that keeps fibers on their threads: not shared_work, not work_stealing.
template <class Base = boost::fibers::algo::round_robin>
class Shared final : public detail::Algorithm {
 public:
  template <class... Args>
  explicit Shared(Args&&... args)
      : detail::Algorithm(std::make_unique<Base>(std::forward<Args>(args)...)) {}
};

}  // namespace weft::boost_fiber
