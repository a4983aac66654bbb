// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/run_coroutine_threadsafe.h"

#include "weft/loop/detail/hand_back.h"

namespace weft::loop::detail {

namespace {

// A future that is cancelled, and whose maker has not heard of it, has not.
bool has_ended(const ConcurrentFutureCore& future) {
  return future.done() && future.state() != ConcurrentFutureCore::State::kCancelled;
}

}  // namespace

EndOfTask::~EndOfTask() {
  if (future_ == nullptr) return;
  if (!future_->done()) future_->cancel();
  future_->release();
}

void EndOfTask::leave() noexcept {
  std::exchange(future_, nullptr)->release();
}

bool EndOfTask::pass_on(FutureCore& task) const {
  if (task.state() == FutureCore::State::kCancelled) future_->cancel();
  if (has_ended(*future_)) return true;
  if (!future_->set_running_or_notify_cancel()) return true;
  std::exception_ptr error = task.exception();
  if (error == nullptr) return false;
  future_->set_exception(std::move(error));
  return true;
}

void end_with_present_error(ConcurrentFutureCore& future) {
  if (has_ended(future)) return;
  if (future.running() || future.set_running_or_notify_cancel()) {
    future.set_exception(std::current_exception());
  }
}

namespace {

// On the thread that ends the future: the loop's own, unless somebody has cancelled it.
struct CancelTask final : ConcurrentCallback {
  explicit CancelTask(HandBack back) noexcept : cancel(std::move(back)) {}
  void call(ConcurrentFutureCore& future) override {
    if (future.cancelled()) cancel.post();
  }
  HandBack cancel;
};

}  // namespace

void cancel_task_with(ConcurrentFutureCore& future, const FutureBase& task) {
  HandBack cancel(FutureAccess::core(task).loop(),
                  [task = FutureBase(task)]() mutable { task.cancel(); });
  future.add_callback(std::make_unique<CancelTask>(std::move(cancel)));
}

}  // namespace weft::loop::detail
