// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/boost_fiber/boost_fiber.h"

#include <sys/timerfd.h>

#include <boost/fiber/operations.hpp>
#include <boost/intrusive_ptr.hpp>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "fibers/sys/sys.h"
#include "shim/flavours/boost_fiber/src/pump.h"
#include "shim/src/cancelled_parts.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/clock.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/owned_fd.h"
#include "weft/fibers/unwrapped.h"

namespace weft::boost_fiber::detail {

namespace {

// Boost's time is the machine's.
bool clock_jumps() {
  return fibers::current_clock().autojump_threshold() != fibers::Duration::max();
}

// Returns early if the machine refuses a timer: then it is polled for.
void wait_for_machine(Algorithm::TimePoint until) {
  try {
    fibers::OwnedFd timer(fibers::sys::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    const auto since_boot = until.time_since_epoch();
    const auto whole = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
    const itimerspec at{{}, {whole.count(), (since_boot - whole).count()}};
    if (fibers::sys::timerfd_settime(timer.get(), TFD_TIMER_ABSTIME, &at, nullptr) != 0) return;
    timer.wait_readable();
  } catch (const std::system_error&) {
    fibers::cancel_shielded_checkpoint();
  }
}

Pump& pump_of_this_thread() {
  const Algorithm* const algorithm = Algorithm::of_this_thread();
  if (algorithm == nullptr || algorithm->pump() == nullptr) {
    throw fibers::UsageError(
        "this thread is not shared with Boost.Fiber; call this inside the body of "
        "weft::boost_fiber::share_thread");
  }
  return *algorithm->pump();
}

}  // namespace

void Pump::run() {
  fibers::CancelScope shield({.shield = true});
  shield.run([this] {
    for (;;) {
      const Algorithm::Turn turn = algorithm_.give_turn();
      if (ending_ && calls_ == 0) return detach();
      if (turn.more) {
        fibers::cancel_shielded_checkpoint();
        continue;
      }
      try {
        park(turn.wake_at);
      } catch (const std::exception&) {
        // There is no memory for a wait. Who waits for a fiber is not to hang for that.
        fibers::cancel_shielded_checkpoint();
      }
    }
  });
}

void Pump::park(Algorithm::TimePoint until) {
  if (until == Algorithm::TimePoint::max()) return wait();
  const auto length = until - std::chrono::steady_clock::now();
  if (clock_jumps()) return park_in_real_time(until);
  fibers::CancelScope timed({.deadline = fibers::later(fibers::current_time(), length)});
  timed.run([this] { wait(); });
}

void Pump::park_in_real_time(Algorithm::TimePoint until) {
  fibers::open_nursery([&](fibers::Nursery& nursery) {
    nursery.start_soon([&] {
      wait_for_machine(until);
      wake();
    });
    wait();
    nursery.cancel_scope().cancel();
  });
}

void Pump::wait() {
  task_ = &fibers::current_task();
  fibers::wait_task_rescheduled(
      [this](const fibers::RaiseCancel&) {
        task_ = nullptr;
        return fibers::Abort::kSucceeded;
      },
      {"Boost.Fiber", -1, this});
}

void share_thread(const std::function<void()>& body) {
  fibers::checkpoint_if_cancelled();
  Algorithm* const found = Algorithm::of_this_thread();
  if (found == nullptr) {
    throw fibers::UsageError(
        "this thread's Boost fibers have another scheduling algorithm; call "
        "boost::fibers::use_scheduling_algorithm<weft::boost_fiber::Shared<>>() first");
  }
  if (found->pump() != nullptr)
    throw fibers::UsageError("this thread is in a share_thread already; one is enough");
  const boost::intrusive_ptr<Algorithm> algorithm(found);  // It may be replaced meanwhile.
  Pump pump(*algorithm);
  fibers::open_unwrapped_nursery([&](fibers::Nursery& outer) {
    outer.start_soon([&] { pump.run(); }, {.name = "Boost fibers", .unchecked_captures = true});
    const absl::Cleanup end = [&] { pump.end(); };
    fibers::open_nursery([&](fibers::Nursery& tasks) {
      pump.tasks = &tasks;
      const absl::Cleanup no_more = [&] { pump.tasks = nullptr; };
      body();
      tasks.cancel_scope().cancel();
    });
  });
}

static Pump& pump_for_call() {
  if (!fibers::in_trio_task()) {
    throw fibers::UsageError(
        "boost_fiber_as_trio() has to be called in a task of weft's; on a Boost fiber just call "
        "the "
        "function");
  }
  fibers::checkpoint_if_cancelled();
  return pump_of_this_thread();
}

Call::Call() : pump_(pump_for_call()) {
  pump_.begin_call();
}

Call::~Call() {
  pump_.end_call();
}

static std::exception_ptr cancelled_error() {
  return std::make_exception_ptr(boost::fibers::fiber_error(
      std::make_error_code(std::errc::operation_canceled), "the task of trio_as_boost_fiber"));
}

void run_in_task(const std::function<void()>& body) {
  if (fibers::in_trio_task()) {
    throw fibers::UsageError(
        "trio_as_boost_fiber() has to be called on a Boost fiber; in a task of weft's just call "
        "the "
        "function");
  }
  Pump& pump = pump_of_this_thread();
  if (pump.tasks == nullptr) std::rethrow_exception(cancelled_error());
  Algorithm::Context* const fiber = Algorithm::Context::active();
  bool done = false;
  pump.tasks->start_soon(
      [&] {
        const absl::Cleanup wake_fiber = [&] {
          done = true;
          Algorithm::Context::active()->schedule(fiber);
        };
        body();
      },
      {.unchecked_captures = true});
  while (!done) fiber->suspend();
}

PartedError part_error() {
  shim::detail::CancelledParts parts = shim::detail::split_cancelled(std::current_exception());
  if (parts.rest == nullptr) parts.rest = cancelled_error();
  return {std::move(parts.rest), std::move(parts.cancelled)};
}

}  // namespace weft::boost_fiber::detail
