// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/asio/detail/fiber_wait.h"

#include <boost/asio/experimental/channel_error.hpp>
#include <new>
#include <thread>

#include "weft/fibers/detail/outside_task.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/guest.h"

namespace weft::asio::detail {

namespace {

// Its address tells threads apart without a system call.
thread_local const char kThreadMark = 0;

// Asio's channels have a word of their own for it.
bool tells_of_cancel(const ::boost::system::error_code& error) {
  return error == ::boost::asio::error::operation_aborted ||
         error == ::boost::asio::experimental::error::channel_cancelled;
}

bool tells_of_cancel(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const ::boost::system::system_error& e) {
    return tells_of_cancel(e.code());
  } catch (...) {
    return false;
  }
}

}  // namespace

WaitCore::WaitCore() : thread_(&kThreadMark), target_(fibers::detail::CallTarget::here()) {}

// A handler must not throw for this, and who waits must not wait for ever: a lack of memory is
// waited out.
void WaitCore::let_go() noexcept {
  if (thread_ == &kThreadMark) return settle();
  // A copy: the task may go on as soon as the call has been submitted.
  const fibers::Token token = target_.token;
  for (;;) {
    try {
      return token.run_sync_soon([this] { settle(); });
    } catch (const fibers::RunFinishedError&) {
      return;  // It was abandoned: nobody waits any more.
    } catch (const std::bad_alloc&) {
      std::this_thread::yield();
    }
  }
}

void WaitCore::let_go_in_handler() {
  if (thread_ == &kThreadMark && parties_ == 1 && waits_ &&
      fibers::detail::resume_here(*target_.task)) {
    return;
  }
  fibers::TickHere here;
  let_go();
  if (here.wanted()) here.make();
}

void WaitCore::settle() noexcept {
  if (--parties_ > 0 || !std::exchange(waits_, false)) return;
  try {
    fibers::reschedule(*target_.task);
  } catch (const fibers::UsageError&) {
    // A task of an abandoned guest run does not wait any more.
  }
}

// It may carry the operation's code on here, in the turn of whichever task has cancelled.
void WaitCore::emit() {
  const fibers::detail::OutsideTask guard;
  for (;;) {
    try {
      return signal_.emit(::boost::asio::cancellation_type::all);
    } catch (const std::bad_alloc&) {
      std::this_thread::yield();
    }
  }
}

void WaitCore::throw_dropped() const {
  raise_if_cancelled();
  throw fibers::BrokenResourceError(
      "Asio has destroyed an operation's handler without calling it; keep the execution context "
      "until its operations are over");
}

void WaitCore::check(const ::boost::system::error_code& error) const {
  if (!error) return;
  if (raise_ && tells_of_cancel(error)) raise_if_cancelled();
  throw ::boost::system::system_error(error);
}

void WaitCore::check(const std::exception_ptr& error) const {
  if (error == nullptr) return;
  if (raise_ && tells_of_cancel(error)) raise_if_cancelled();
  std::rethrow_exception(error);
}

}  // namespace weft::asio::detail
