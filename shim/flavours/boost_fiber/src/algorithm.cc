// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/boost_fiber/algorithm.h"

#include <cxxabi.h>

#include <boost/fiber/operations.hpp>
#include <boost/version.hpp>
#include <cstring>
#include <new>
#include <thread>

#include "shim/flavours/boost_fiber/src/pump.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/log.h"
#include "weft/fibers/task.h"
#include "weft/shim/detail/foreign_flavour.h"

#ifdef _LIBCPP_VERSION
// libc++'s <cxxabi.h> does not declare it, its run-time library has it.
extern "C" void* __cxa_get_globals() noexcept;  // NOLINT(*-reserved-identifier)
#endif

namespace weft::boost_fiber::detail {

namespace {

thread_local Algorithm* this_threads = nullptr;

bool is_dispatcher(const boost::fibers::context* context) {
  return context->is_context(boost::fibers::type::dispatcher_context);
}

void* exception_globals() noexcept {
#ifdef _LIBCPP_VERSION
  return __cxa_get_globals();
#else
  return abi::__cxa_get_globals();
#endif
}

ExceptionState present_exceptions() noexcept {
  ExceptionState state;
  std::memcpy(static_cast<void*>(&state), exception_globals(), sizeof state);
  return state;
}

void set_present_exceptions(const ExceptionState& state) noexcept {
  std::memcpy(exception_globals(), &state, sizeof state);
}

bool is_empty(const ExceptionState& state) {
  return state.caught == nullptr && state.uncaught == 0;
}

}  // namespace

OnBoostFiber::OnBoostFiber() noexcept
    : flavour_before_(shim::detail::set_foreign_flavour("boost_fiber")) {}

OnBoostFiber::~OnBoostFiber() {
  shim::detail::set_foreign_flavour(flavour_before_);
}

Algorithm::Algorithm(std::unique_ptr<boost::fibers::algo::algorithm> base)
    : base_(std::move(base)) {
  this_threads = this;
}

Algorithm::~Algorithm() {
  // Boost.Fiber may have asked for fibers to hand them over to another algorithm.
  if (present_ != nullptr) find_present();
  if (this_threads == this) this_threads = nullptr;
}

Algorithm* Algorithm::of_this_thread() noexcept {
  return this_threads;
}

// --- What Boost.Fiber calls. ---

void Algorithm::awakened(Context* context) noexcept {
  if (context == present_ && context != Context::active()) note_direct_wait(context, nullptr);
  find_present();
  base_->awakened(context);
  if (is_dispatcher(context)) return;
  ++ready_;
  if (pump_ != nullptr && !pumping_) pump_->wake();
}

Algorithm::Context* Algorithm::pick_next() noexcept {
  find_present();
  Context* const active = present_;
  Context* const next = choose();
  if (next == nullptr || next == active) return next;
  note_direct_wait(active, next);
  exchange_exceptions(active, next);
  return next;
}

Algorithm::Context* Algorithm::choose() noexcept {
  // Whether Boost.Fiber is idle is asked in a turn in which nothing has run: the dispatcher's way
  // of finding that out costs as much as the fiber did, and a task may start the next one first.
  if (pumping_ && (idle_ || (budget_ == 0 && (ready_ > 0 || ran_)))) {
    pumping_ = false;
    return tasks_context_;
  }
  Context* const next = base_->pick_next();
  if (next == nullptr || is_dispatcher(next)) return next;
  --ready_;
  ran_ = true;
  if (budget_ > 0) --budget_;
  return next;
}

bool Algorithm::has_ready_fibers() const noexcept {
  return base_->has_ready_fibers();
}

void Algorithm::suspend_until(const TimePoint& time) noexcept {
  if (pumping_) {
    wake_at_ = time;
    idle_ = true;
    return;
  }
  if (direct_wait_) warn_of_direct_wait();
  std::unique_lock lock(mutex_);
  const auto notified = [this] { return notified_; };
  if (time == TimePoint::max()) {
    condition_.wait(lock, notified);
  } else {
    condition_.wait_until(lock, time, notified);
  }
  notified_ = false;
}

void Algorithm::notify() noexcept {
  const std::lock_guard lock(mutex_);
  notified_ = true;
  condition_.notify_all();
  while (token_) {
    try {
      token_->run_sync_soon(
          [] {
            if (this_threads != nullptr && this_threads->pump_ != nullptr)
              this_threads->pump_->wake();
          },
          {.idempotent = true});
      return;
    } catch (const fibers::RunFinishedError&) {
      return;
    } catch (const std::bad_alloc&) {
      // The fiber would wait for ever, so that a lack of memory is waited out.
      std::this_thread::yield();
    }
  }
}

// --- The pump's. ---

void Algorithm::attach(Pump& pump) {
  const std::lock_guard lock(mutex_);
  token_.emplace(fibers::current_token());
  pump_ = &pump;
  tasks_context_ = Context::active();
}

void Algorithm::detach() noexcept {
  const std::lock_guard lock(mutex_);
  token_.reset();
  pump_ = nullptr;
  tasks_context_ = nullptr;
}

Algorithm::Turn Algorithm::give_turn() noexcept {
  const OnBoostFiber guard;
  budget_ = ready_;
  idle_ = ran_ = false;
  wake_at_ = TimePoint::max();
  pumping_ = true;
  tasks_context_->suspend();
  return {!idle_, wake_at_};
}

// --- Tasks that wait for Boost.Fiber directly. ---

// A task waits, or has started a fiber by launch::dispatch. The fibers that run meanwhile do so in
// its turn, and must not make it wait.
void Algorithm::note_direct_wait(const Context* active, const Context* next) noexcept {
  if (direct_wait_) {
    if (next == direct_waiter_) direct_wait_.reset();
  } else if (fibers::in_trio_task()) {
    direct_wait_.emplace();
    direct_waiter_ = active;
  }
}

void Algorithm::warn_of_direct_wait() noexcept {
  if (std::exchange(warned_, true)) return;
  try {
    fibers::log(
        fibers::LogLevel::kWarning,
        "a task waits for Boost.Fiber without boost_fiber_as_trio(): until that is over, no "
        "task of its run goes on");
  } catch (...) {  // NOLINT(bugprone-empty-catch): only a warning.
  }
}

// --- The exception state. ---

// A fiber launched by launch::dispatch runs without having been picked; and one may have been
// picked to be handed over to another algorithm.
void Algorithm::find_present() noexcept {
  Context* const active = Context::active();
  if (present_ != nullptr && present_ != active) {
    exchange_exceptions(present_, active);
  } else {
    present_ = active;
  }
}

void Algorithm::exchange_exceptions(Context* from, Context* to) noexcept {
  present_ = to;
#if BOOST_VERSION < 108800
  const ExceptionState state = present_exceptions();
  if (!is_empty(state)) {
    kept_exceptions_[from] = state;
    set_present_exceptions({});
  }
  if (kept_exceptions_.empty()) return;
  const auto kept = kept_exceptions_.find(to);
  if (kept == kept_exceptions_.end()) return;
  set_present_exceptions(kept->second);
  kept_exceptions_.erase(kept);
#else
  static_cast<void>(from);
#endif
}

}  // namespace weft::boost_fiber::detail
