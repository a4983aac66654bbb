// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/asio/executor.h"

#include <new>
#include <thread>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/detail/outside_task.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/unwrapped.h"
#include "weft/shim/detail/foreign_flavour.h"

namespace weft::asio::detail {

namespace {

// Whose posted call this thread is in.
constinit thread_local const RunContext* calling = nullptr;

class Calling {
 public:
  explicit Calling(const RunContext& context)
      : outer_(std::exchange(calling, &context)),
        flavour_(shim::detail::set_foreign_flavour("asio")) {}
  Calling(const Calling&) = delete;
  Calling& operator=(const Calling&) = delete;
  ~Calling() {
    shim::detail::set_foreign_flavour(flavour_);
    calling = outer_;
  }

 private:
  const RunContext* outer_;
  const char* flavour_;
};

}  // namespace

void RunContext::Queue::push(std::unique_ptr<PostedCall> call) noexcept {
  PostedCall* const last = call.get();
  (first_ == nullptr ? first_ : last_->next) = std::move(call);
  last_ = last;
}

std::unique_ptr<PostedCall> RunContext::Queue::pop() noexcept {
  std::unique_ptr<PostedCall> call = std::move(first_);
  if (call != nullptr) first_ = std::move(call->next);
  return call;
}

RunContext::RunContext(fibers::Nursery& nursery)
    : token_(fibers::current_token()), nursery_(&nursery) {}

RunContext::~RunContext() {
  while (queue_.pop() != nullptr) {
  }
}

bool RunContext::calls_here() const noexcept {
  return calling == this;
}

// The mutex is for the other threads. While the run has been asked once, it is not asked again.
void RunContext::post(std::unique_ptr<PostedCall> call) {
  const std::unique_lock lock(mutex_);
  if (closed_) return;
  if (!due_) {
    try {
      token_.run_sync_soon([self = shared_from_this()] { self->call_all(); });
    } catch (const fibers::RunFinishedError&) {
      return;  // An abandoned guest's.
    }
    due_ = true;
  }
  work_started();
  queue_.push(std::move(call));
}

// Those that are there; what they post is called by the next one, so that tasks have their turn.
void RunContext::call_all() {
  Queue calls;
  {
    const std::lock_guard lock(mutex_);
    due_ = false;
    calls = std::exchange(queue_, {});
  }
  const Calling here(*this);
  while (std::unique_ptr<PostedCall> call = calls.pop()) {
    try {
      if (nursery_ != nullptr) call->run();
    } catch (...) {
      failed(std::current_exception());
    }
    call = nullptr;
    work_finished();
  }
}

// An error is a task's of the nursery, so that none is lost.
void RunContext::failed(std::exception_ptr error) noexcept {
  try {
    nursery_->start_soon([error] { std::rethrow_exception(error); });
  } catch (const std::exception&) {
    if (failure_ == nullptr) failure_ = std::move(error);
    nursery_->cancel_scope().cancel();
  }
}

// Whoever waits has said so before it has looked at the work. A lack of memory is waited out:
// nobody can be told of it here.
void RunContext::work_finished() noexcept {
  if (work_.fetch_sub(1) != 1 || !waited_for_) return;
  for (;; std::this_thread::yield()) {
    try {
      return token_.run_sync_soon([self = shared_from_this()] { self->idle_.unpark_all(); });
    } catch (const fibers::RunFinishedError&) {
      return;
    } catch (const std::bad_alloc&) {
      continue;
    }
  }
}

void RunContext::wait_for_work() {
  waited_for_ = true;
  while (work_ > 0) idle_.park({.what = "the work of an executor", .on = this});
}

// Destructors may do anything but wait, also post.
void RunContext::close() noexcept {
  const fibers::detail::OutsideTask guard;
  nursery_ = nullptr;
  Queue calls;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    calls = std::exchange(queue_, {});
  }
  while (calls.pop() != nullptr) work_finished();
  shutdown();
}

void open_executor(const std::function<void(const RunExecutor&)>& body) {
  fibers::checkpoint_if_cancelled();
  std::shared_ptr<RunContext> context;
  fibers::open_unwrapped_nursery([&](fibers::Nursery& nursery) {
    struct Closing {
      RunContext& context;
      ~Closing() { context.close(); }
    };
    context = std::make_shared<RunContext>(nursery);
    const RunExecutor executor(context, 0);  // What the body has posted may refer to it.
    const Closing closing{*context};
    body(executor);
    context->wait_for_work();
  });
  context->rethrow_failure();
}

}  // namespace weft::asio::detail
