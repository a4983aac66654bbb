// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/core/inbox.h"

#include <utility>

#include "loop/core/loop_core.h"
#include "weft/fibers/errors.h"
#include "weft/loop/handle.h"

namespace weft::loop::detail {

using State = ThreadsafeCall::State;

bool ThreadsafeCall::begin() {
  State expected = State::kPending;
  return state.compare_exchange_strong(expected, State::kStarted);
}

void ThreadsafeCall::end() {
  State expected = State::kStarted;
  state.compare_exchange_strong(expected, State::kDone);
  node = nullptr;
}

void retain_call(ThreadsafeCall* call) noexcept {
  call->refs.fetch_add(1, std::memory_order_relaxed);
}

void release_call(ThreadsafeCall* call) noexcept {
  if (call->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) delete call;
}

// One wake-up for any number of calls that come before the loop has looked.
bool Inbox::post(ThreadsafeCall* call) {
  bool first = false;
  bool closed = false;
  {
    const std::lock_guard lock(mutex_);
    closed = closed_;
    if (!closed) {
      first = first_ == nullptr;
      *last_ = call;
      last_ = &call->next;
      pending_.store(true, std::memory_order_release);
    }
  }
  if (closed) release_call(call);
  if (!first || on_own_thread()) return !closed;
  token_.run_sync_soon([self = shared_from_this()] {
    if (self->core_ != nullptr) self->core_->notice_inbox();
  });
  return true;
}

ThreadsafeCall* Inbox::take_all() {
  const std::lock_guard lock(mutex_);
  pending_.store(false, std::memory_order_relaxed);
  last_ = &first_;
  return std::exchange(first_, nullptr);
}

void Inbox::put_back(ThreadsafeCall* first) {
  ThreadsafeCall* last = first;
  while (last->next != nullptr) last = last->next;
  const std::lock_guard lock(mutex_);
  last->next = first_;
  if (first_ == nullptr) last_ = &last->next;
  first_ = first;
  pending_.store(true, std::memory_order_release);
}

void Inbox::close() {
  core_ = nullptr;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  for (ThreadsafeCall* call = take_all(); call != nullptr;) {
    ThreadsafeCall* next = call->next;
    call->fn = nullptr;  // On this thread, whoever holds the handle.
    release_call(call);
    call = next;
  }
}

namespace {

// What the loop runs for a call.
class RunCall {
 public:
  explicit RunCall(ThreadsafeCall* call) noexcept : call_(call) {}
  RunCall(RunCall&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
  RunCall& operator=(RunCall&&) = delete;
  ~RunCall() {
    if (call_ == nullptr) return;
    call_->fn = nullptr;
    call_->end();
    release_call(call_);
  }
  void operator()() const {
    if (call_->begin()) call_->fn();
  }

 private:
  ThreadsafeCall* call_;
};

}  // namespace

void LoopCore::take_from_inbox() {
  for (ThreadsafeCall* call = inbox_->take_all(); call != nullptr;) {
    ThreadsafeCall* next = call->next;
    HandleNode* node = nullptr;
    try {
      node = new_node(call->site);
    } catch (...) {
      inbox_->put_back(call);
      throw;
    }
    call->node = node;
    fibers::detail::release_locals(
        std::exchange(node->context, std::exchange(call->context, nullptr)));
    emplace_callable<CallPlain>(node, RunCall(call));
    push_ready(node);
    call = next;
  }
}

// An iteration takes them, too, and reports that there is no memory.
void LoopCore::notice_inbox() noexcept {
  try {
    take_inbox();
  } catch (const std::bad_alloc&) {
    if (sleeper_ != nullptr) wake();
  }
}

}  // namespace weft::loop::detail

namespace weft::loop {

using detail::ThreadsafeCall;

bool ThreadsafeHandle::cancelled() const {
  return call_->cancel_called.load();
}

void ThreadsafeHandle::cancel() {
  using State = ThreadsafeCall::State;
  State expected = State::kPending;
  const bool prevented = call_->state.compare_exchange_strong(expected, State::kCancelled);
  if (!prevented && expected != State::kStarted) return;
  call_->cancel_called.store(true);
  const auto cancel_node = [call = *this] {
    if (call.call_->node != nullptr) detail::cancel_node(call.call_->node);
  };
  if (call_->inbox->on_own_thread()) return cancel_node();
  if (prevented) return;
  auto order = std::make_unique<ThreadsafeCall>();
  order->fn = cancel_node;
  order->inbox = call_->inbox;
  // A loop that has been closed meanwhile has cancelled the callback itself.
  static_cast<void>(call_->inbox->post(order.release()));
}

ThreadsafeHandle LoopScheduling::call_soon_threadsafe(absl::AnyInvocable<void()> fn,
                                                      std::source_location site) {
  auto call = std::make_unique<ThreadsafeCall>();
  call->fn = std::move(fn);
  call->site = site;
  call->inbox = core_->inbox();
  // A copy: their counts belong to this thread.
  if (fibers::detail::context_in_use()) call->context = fibers::detail::detach_own_locals();
  detail::retain_call(call.get());
  ThreadsafeHandle handle = HandleAccess::wrap(call.get());
  if (!core_->inbox()->post(call.release())) {
    throw fibers::UsageError("Event loop is closed; nothing can be scheduled on it any more");
  }
  if (core_->on_own_thread()) core_->notice_inbox();
  return handle;
}

}  // namespace weft::loop
