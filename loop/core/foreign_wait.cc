// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/foreign_wait.h"

#include <system_error>
#include <thread>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/no_suspend.h"
#include "weft/loop/detail/coro_promise.h"
#include "weft/loop/errors.h"

namespace weft::loop::detail {

namespace {

// Its address tells threads apart without a system call.
thread_local const char kThreadMark = 0;

// Lets the run call `fn`, which fits into its queue. False if the run is over. Somebody waits for
// this, so that a lack of memory is waited out.
template <class F>
bool post(const fibers::Token& token, F fn) noexcept {
  static_assert(fibers::detail::kFitsInSlot<F>);
  for (;;) {
    try {
      token.run_sync_soon(fn);
      return true;
    } catch (const fibers::RunFinishedError&) {
      return false;
    } catch (...) {
      std::this_thread::yield();
    }
  }
}

// NOLINTNEXTLINE(readability-named-parameter): for the promise.
ResumerPromise::Coroutine resumer(ForeignWait&) {
  for (;;) co_await ResumerPromise::Tell{};
}

}  // namespace

// --- The resumer. ---

ResumerPromise::ResumerPromise(ForeignWait& wait)
    : wait_(&wait), thread_(&kThreadMark), token_(fibers::current_token()) {}

// A library that drops its coroutines destroys what it was to resume.
ResumerPromise::~ResumerPromise() {
  if (told_ || wait_ == nullptr) return;
  if (thread_ == &kThreadMark) {
    wait_->lose();
  } else {
    post(token_, [wait = wait_] { wait->lose(); });
  }
}

// NOLINTNEXTLINE(misc-new-delete-overloads): the one with a size is its match.
void* ResumerPromise::operator new(std::size_t size) {
  return allocate_frame(size);
}
void ResumerPromise::operator delete(void* frame, std::size_t size) noexcept {
  free_frame(frame, size);
}

void ResumerPromise::tell() noexcept {
  told_ = true;
  if (thread_ == &kThreadMark) return arrive();
  if (post(token_, [this] { arrive(); })) return;
  if (left_.exchange(true, std::memory_order_acq_rel)) Handle::from_promise(*this).destroy();
}

void ResumerPromise::arrive() noexcept {
  if (wait_ == nullptr) return Handle::from_promise(*this).destroy();
  wait_->arrive();
}

#ifdef __cpp_lib_jthread

std::stop_token ResumerPromise::get_stop_token() {
  const std::lock_guard guard(lock_);
  if (!source_.stop_possible()) {
    source_ = std::stop_source();
    if (stop_requested_) source_.request_stop();
  }
  return source_.get_token();
}

void ResumerPromise::request_stop() {
  std::stop_source source(std::nostopstate);
  {
    const std::lock_guard guard(lock_);
    stop_requested_ = true;
    source = source_;
  }
  source.request_stop();  // Its callbacks may resume this one, which may be freed then.
}

#else

// Nobody can have asked for a token.
void ResumerPromise::request_stop() {}

#endif

// --- The wait. ---

ForeignWait::~ForeignWait() {
  if (resumer_ == nullptr) return;
  told_ = nullptr;
  request_stop();
  if (resumer_ == nullptr) return;
  ResumerPromise& promise = resumer_.promise();
  promise.wait_ = nullptr;
  if (promise.left_.exchange(true, std::memory_order_acq_rel)) resumer_.destroy();
}

ResumerPromise::Handle ForeignWait::make() {
  return resumer_ = resumer(*this).handle;
}

void ForeignWait::arrive() noexcept {
  if (over_) return;
  ResumerPromise& promise = resumer_.promise();
  stopped_ = promise.stopped_;
  promise.wait_ = nullptr;
  std::exchange(resumer_, nullptr).destroy();
  end();
}

void ForeignWait::lose() noexcept {
  resumer_ = nullptr;
  lost_ = true;
  end();
}

void ForeignWait::end() noexcept {
  over_ = true;
  if (told_ != nullptr) told_(context_);
}

void ForeignWait::request_stop() noexcept {
  if (over_ || std::exchange(stop_asked_, true)) return;
  try {
    if (stop_ != nullptr) stop_(object_);
    if (resumer_ != nullptr) resumer_.promise().request_stop();
  } catch (...) {
    stop_error_ = std::current_exception();
  }
}

void ForeignWait::throw_if_broken() const {
  if (stop_error_ != nullptr) std::rethrow_exception(stop_error_);
  if (lost_) {
    throw fibers::BrokenResourceError(
        "the coroutine that an awaitable was to resume was destroyed instead");
  }
}

std::optional<fibers::RaiseCancel> wait_in_fiber(ForeignWait& wait) {
  struct Waiting {
    fibers::Task* task;
    std::optional<fibers::RaiseCancel> cancelled;
  } waiting{&fibers::current_task(), std::nullopt};
  if (wait.over()) {
    // The result is there and must not be lost; but others are to have their turn.
    fibers::cancel_shielded_checkpoint();
    return std::nullopt;
  }
  wait.set_told(
      [](void* context) noexcept {
        auto& w = *static_cast<Waiting*>(context);
        if (w.task != nullptr) fibers::reschedule(*std::exchange(w.task, nullptr));
      },
      &waiting);
  fibers::wait_task_rescheduled(
      [&](const fibers::RaiseCancel& raise) {
        waiting.cancelled.emplace(raise);
        // It may be told inside: what to do about the task is decided afterwards.
        fibers::Task* const task = std::exchange(waiting.task, nullptr);
        if (fibers::in_trio_task()) {
          const fibers::NoSuspend guard("what stops an awaitable");
          wait.request_stop();
        } else {
          wait.request_stop();
        }
        waiting.task = task;
        if (wait.over()) fibers::reschedule(*std::exchange(waiting.task, nullptr));
        return fibers::Abort::kFailed;
      },
      {"an awaitable", -1, &wait});
  return std::move(waiting.cancelled);
}

bool is_cancellation() noexcept {
  try {
    throw;
  } catch (const CancelledError&) {
    return true;
  } catch (const fibers::Cancelled&) {
    return true;
  } catch (const std::system_error& error) {
    return error.code() == std::errc::operation_canceled;
  } catch (const fibers::BaseExceptionGroup&) {
    try {
      return without_cancelled_errors(std::current_exception()) == nullptr;
    } catch (...) {
      return false;
    }
  } catch (...) {
    return false;
  }
}

}  // namespace weft::loop::detail
