// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/cpp20/trio_as_awaitable.h"

#include "shim/flavours/cpp20/src/thread_mark.h"
#include "shim/src/cancelled_parts.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/task.h"
#include "weft/loop/errors.h"
#include "weft/shim/detail/call_count.h"
#include "weft/shim/detail/trio_call.h"

namespace weft::cpp20::detail {

// --- The coroutine's side. ---

Call::~Call() {
  if (task_ == nullptr) return;
  task_->call_ = nullptr;
  request_stop();
}

void Call::request_stop() noexcept {
  if (task_ == nullptr) return;
  task_->cancelled_ = true;
  if (task_->scope_ != nullptr) task_->scope_->cancel();
}

void Call::throw_if_failed() const {
  if (error_ != nullptr) std::rethrow_exception(error_);
  if (stopped_) throw loop::CancelledError();
}

// --- The task's side. ---

void CallTask::run(void (*invoke)(void*), void* context) {
  bool returned = false;
  shim::detail::CancelledParts parts;
  if (!cancelled_) {
    fibers::CancelScope scope;
    scope_ = &scope;
    try {
      scope.run([&] {
        invoke(context);
        returned = true;
      });
    } catch (...) {
      parts = shim::detail::split_cancelled(std::current_exception());
    }
    scope_ = nullptr;
  }
  Call* const call = std::exchange(call_, nullptr);
  if (call != nullptr) {
    call->task_ = nullptr;
    call->stopped_ = !returned && parts.rest == nullptr;
    call->error_ = std::exchange(parts.rest, nullptr);
    call->resume_(*call, call->stopped_);  // Both may be gone now.
  }
  if (parts.rest != nullptr) std::rethrow_exception(parts.rest);
  if (parts.cancelled != nullptr) std::rethrow_exception(parts.cancelled);
}

Home::Home(fibers::Nursery* nursery) : nursery_(nursery) {
  if (nursery_ != nullptr) return;
  if (!fibers::in_trio_run()) {
    throw fibers::UsageError(
        "trio_as_awaitable() was awaited on a thread that is in no run; a coroutine has to be on "
        "the run's thread to wait for a task");
  }
  if (shim::LoopBlock* const block = shim::detail::block_here()) {
    nursery_ = shim::detail::tasks_of(*block);
    if (nursery_ == nullptr) {
      throw fibers::UsageError("the open_loop block is ending; no task can be started any more");
    }
    count_.emplace(*block);
  } else {
    nursery_ = &fibers::system_nursery();
  }
}

void Home::enter() const {
  if (count_) shim::detail::belong_to(count_->block());
}

// --- A stop_token. ---

StopOnToken::StopOnToken(std::stop_token token, Call& call)
    : call_(std::make_shared<Call*>(&call)),
      on_stop_(std::move(token), Stop{fibers::current_token(), thread_mark(), call_}) {}

void StopOnToken::Stop::operator()() const noexcept {
  const auto stop = [c = call] {
    if (*c != nullptr) (*c)->request_stop();
  };
  if (thread == thread_mark()) return stop();
  post(run, stop);
}

}  // namespace weft::cpp20::detail
