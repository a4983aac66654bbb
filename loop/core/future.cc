// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/future_core.h"

#include <new>
#include <optional>
#include <utility>

#include "fibers/sys/lasting.h"
#include "loop/core/node_life.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/loop/detail/fiber_task.h"
#include "weft/loop/future.h"

namespace weft::loop::detail {

EventLoop& FutureCore::event_loop() const {
  if (EventLoop* loop = loop_->facade()) return *loop;
  throw fibers::UsageError("the loop that this future belongs to is gone");
}

bool FutureCore::cancel(std::exception_ptr payload) {
  unretrieved_ = false;
  if (done()) return false;
  if (value_coming_) {
    if (!std::exchange(cancel_missed_, true)) exception_ = std::move(payload);
  } else {
    complete_with(State::kCancelled, std::move(payload));
  }
  return true;
}

// Thrown, for std::make_exception_ptr would copy the text, and put std::bad_alloc in its place if
// there is no memory for it. Without its message: who waits is not left waiting for lack of memory.
std::exception_ptr FutureCore::cancelled_error(std::string message) noexcept {
  if (message.empty()) return nullptr;
  try {
    throw CancelledError(std::move(message));
  } catch (...) {
    return std::current_exception();
  }
}

void FutureCore::set_exception(std::exception_ptr error) {
  require_pending();
  if (error == nullptr) {
    throw fibers::UsageError("set_exception() needs an exception; set_result() ends without one");
  }
  unretrieved_ = true;
  complete_with(State::kFinished, std::move(error));
}

void FutureCore::complete_with(State state, std::exception_ptr error) {
  exception_ = std::move(error);
  complete(state);
}

void FutureCore::require_own_thread() const {
  if (!loop_->on_own_thread()) [[unlikely]]
    loop_->require_own_thread();
}

void FutureCore::require_pending() const {
  require_own_thread();
  if (!is_task_ && !done() && !value_coming_) [[likely]]
    return;
  if (is_task_) {
    throw fibers::UsageError(
        "Task does not support set_result and set_exception operations; its code ends it by "
        "returning or throwing");
  }
  if (done()) {
    throw InvalidStateError("the future is done already; ask done() before finishing it");
  }
  throw InvalidStateError("another task is setting the future's result at this moment");
}

void FutureCore::finish() {
  value_coming_ = false;
  if (exception_ != nullptr) [[unlikely]]
    exception_ = nullptr;  // The payload of a cancellation that has come too late.
  complete(State::kFinished);
}

void FutureCore::begin_value() {
  require_pending();
  value_coming_ = true;
}

void FutureCore::drop_value() noexcept {
  value_coming_ = false;
  if (!cancel_missed_) return;
  try {
    complete(State::kCancelled);
  } catch (const fibers::UsageError&) {
    // The loop is closed: the future is cancelled, its callbacks will not run.
  }
}

std::exception_ptr FutureCore::exception() {
  if (state_ != State::kFinished) throw_what_there_is();
  unretrieved_ = false;
  return exception_;
}

void FutureCore::throw_what_there_is() {
  if (state_ == State::kPending) {
    throw InvalidStateError("Result is not set; await() the future, or ask done() first");
  }
  if (state_ == State::kCancelled && exception_ == nullptr) throw CancelledError();
  unretrieved_ = false;
  std::rethrow_exception(exception_);
}

void FutureCore::complete(State state) {
  state_ = state;
  wake_waiters();
  if (first_callback_ != nullptr) schedule_callbacks();
}

// --- Callbacks. ---

HandleNode* FutureCore::add_callback(HandleNode* node) {
  loop_->require_open_for(node);
  node->kind = NodeKind::kFuture;
  node->future.core = this;
  ++node->refs;
  if (done()) {
    retain();
    loop_->push_ready(node);
    return node;
  }
  link_callback(node);
  return node;
}

void FutureCore::link_callback(HandleNode* node) noexcept {
  node->next = nullptr;
  node->future.prev = last_callback_;
  (last_callback_ != nullptr ? last_callback_->next : first_callback_) = node;
  last_callback_ = node;
}

void FutureCore::add_waiting_task(TaskNode* node) noexcept {
  node->future.core = this;
  link_callback(node);
}

std::size_t FutureCore::remove_callback(HandleNode* node) {
  const bool here = node != nullptr && node->kind == NodeKind::kFuture &&
                    node->future.core == this && node->phase == NodePhase::kIdle &&
                    node->ops != nullptr;
  if (!here) return 0;
  cancel_node(node);
  return 1;
}

void FutureCore::unlink_callback(HandleNode* node) noexcept {
  HandleNode* prev = node->future.prev;
  (prev != nullptr ? prev->next : first_callback_) = node->next;
  (node->next != nullptr ? node->next->future.prev : last_callback_) = prev;
  node->future.core = nullptr;
}

// Each scheduled callback keeps the future alive until it has run; a task does so itself.
void FutureCore::schedule_callbacks() {
  if (loop_->is_closed()) {
    drop_callbacks();
    throw fibers::UsageError(
        "Event loop is closed; the callbacks of this future cannot run any more");
  }
  if (loop_->inbox()->pending()) [[unlikely]]
    loop_->notice_inbox();
  last_callback_ = nullptr;
  for (HandleNode* node = std::exchange(first_callback_, nullptr); node != nullptr;) {
    HandleNode* next = node->next;
    if (node->kind == NodeKind::kFuture) retain();
    loop_->push_ready(node);
    node = next;
  }
}

void FutureCore::drop_callbacks() noexcept {
  while (HandleNode* node = first_callback_) {
    unlink_callback(node);
    if (node->kind == NodeKind::kTask) {
      static_cast<TaskNode*>(node)->task.dropped();
      continue;
    }
    node->cancelled = true;
    LoopCore::drop_callable(node);
    release_node(node);
  }
}

// --- Waiting. ---

void FutureCore::link(FutureWaiter& waiter) noexcept {
  waiter.place = FutureWaiter::Place::kListed;
  waiter.next = nullptr;
  waiter.prev = last_waiter_;
  (last_waiter_ != nullptr ? last_waiter_->next : first_waiter_) = &waiter;
  last_waiter_ = &waiter;
}

void FutureCore::unlink(FutureWaiter& waiter) noexcept {
  waiter.place = FutureWaiter::Place::kNowhere;
  (waiter.prev != nullptr ? waiter.prev->next : first_waiter_) = waiter.next;
  (waiter.next != nullptr ? waiter.next->prev : last_waiter_) = waiter.prev;
}

void FutureCore::wake_waiters() noexcept {
  while (FutureWaiter* waiter = first_waiter_) {
    unlink(*waiter);
    fibers::reschedule(*waiter->task);
  }
}

// Whether `raise` is to become asyncio's CancelledError, perhaps: the callback's own stack decides.
static bool in_cancelled_callback(const fibers::Task& task, const fibers::RaiseCancel& raise) {
  const Running* running = Running::of(task);
  return running != nullptr && running->scope.pending() &&
         fibers::holds<fibers::Cancelled>(raise.as_exception());
}

void FutureCore::begin_wait(FutureWaiter& waiter) {
  if (!loop_->is_running()) [[unlikely]]
    loop_->wait_while_stopped();
  waiter.task = &fibers::current_task();
  if (FiberTaskCore* const stepped = stepped_here; stepped != nullptr) [[unlikely]] {
    if (stepped->begin_await(waiter)) return;
  }
  link(waiter);
}

void FutureWaiter::leave() noexcept {
  if (place == Place::kListed) {
    core.unlink(*this);
  } else {
    stepped->end_await();
  }
}

void FutureCore::end_wait(FutureWaiter& waiter) const {
  if (waiter.place == FutureWaiter::Place::kStepped) waiter.stepped->throw_error();
  if (waiter.cancelled) raise_cancellation(*waiter.cancelled);
}

bool FutureCore::cancel_for_waiter(const fibers::Task& task, const fibers::RaiseCancel& raise) {
  cancel_for_waiter();
  // What a task does about it needs the loop.
  if (!done() && !loop_->is_running()) return true;
  return state_ == State::kCancelled && !in_cancelled_callback(task, raise);
}

fibers::Abort FutureCore::abort_wait(void* context, const fibers::RaiseCancel& raise) {
  auto& waiter = *static_cast<FutureWaiter*>(context);
  if (waiter.place == FutureWaiter::Place::kStepped) {
    return waiter.stepped->abort_await(waiter, raise);
  }
  FutureCore& self = waiter.core;
  self.unlink(waiter);
  if (self.cancel_for_waiter(*waiter.task, raise)) return fibers::Abort::kSucceeded;
  waiter.cancelled = raise;
  waiter.needs_care = true;
  if (self.done()) {
    fibers::reschedule(*waiter.task);
  } else {
    self.link(waiter);
  }
  return fibers::Abort::kFailed;
}

// Also where the future has ended otherwise: then the callback's cancellation has had its effect.
void FutureCore::raise_cancellation(const fibers::RaiseCancel& cancelled) const {
  Running* const running = Running::here();
  const bool taken = running != nullptr && running->scope.take();
  if (state_ != State::kCancelled) return;
  if (taken) throw CancelledError("the callback that awaits this future was cancelled");
  cancelled();
}

// Inside an abort function, which must not throw.
void FutureCore::cancel_for_waiter() noexcept {
  static const fibers::sys::NeverDestroyed payload(
      [] { return cancelled_error("the task that awaits this future was cancelled"); });
  try {
    cancel(*payload);
  } catch (const fibers::UsageError&) {
    // The loop is closed: the future is cancelled, its callbacks will not run.
  }
}

// --- The end. ---

void FutureCore::last_reference_gone() noexcept {
  report_lost();
  if (first_callback_ != nullptr) drop_callbacks();
  before_destroy();
  destroy();
}

void FutureCore::describe(ExceptionContext& context) const noexcept {
  context.future = this;
  context.source = site_;
}

void FutureCore::report(const ExceptionContext& context) {
  loop_->reports().report(context, task());
}

void FutureCore::report_unretrieved() noexcept {
  try {
    ExceptionContext context{.message = "Future exception was never retrieved",
                             .exception = exception_};
    if (is_task_) context.message.replace(0, 6, "Task");
    describe(context);
    report(context);
  } catch (...) {
    // Only a cancellation or an interrupt; there is no one here who could take it, and the next
    // wait raises it again.
  }
}

}  // namespace weft::loop::detail

namespace weft::loop {

void wait(const FutureBase& future) {
  // Whoever has the last one may drop it meanwhile.
  const FutureBase kept(future);  // NOLINT(performance-unnecessary-copy-initialization)
  FutureAccess::core(kept).wait();
}

void FutureBase::throw_empty() {
  throw fibers::UsageError("this Future is empty; make one with EventLoop::create_future");
}

}  // namespace weft::loop
