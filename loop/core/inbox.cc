// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/core/inbox.h"

#include <utility>

#include "loop/core/node_life.h"
#include "weft/fibers/detail/outside_work.h"
#include "weft/fibers/errors.h"
#include "weft/loop/detail/hand_back.h"
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
      append(call);
    }
  }
  if (closed) release_call(call);
  if (!first || on_own_thread()) return !closed;
  token_.run_sync_soon([self = shared_from_this()] {
    if (self->core_ != nullptr) self->core_->notice_inbox();
  });
  return true;
}

void Inbox::append(ThreadsafeCall* call) noexcept {
  *last_ = call;
  last_ = &call->next;
  pending_.store(true, std::memory_order_release);
}

void Inbox::reserve(ThreadsafeCall* call) {
  call->wake.emplace(token_);
  retain_call(call);
  const std::lock_guard lock(mutex_);
  call->next_reserved = reserved_;
  if (reserved_ != nullptr) reserved_->prev_reserved = call;
  reserved_ = call;
}

void Inbox::unlink_reserved(ThreadsafeCall* call) noexcept {
  ThreadsafeCall* const next = call->next_reserved;
  ThreadsafeCall* const prev = call->prev_reserved;
  (prev != nullptr ? prev->next_reserved : reserved_) = next;
  if (next != nullptr) next->prev_reserved = prev;
}

// The inbox's reference goes to the queue.
void Inbox::post_reserved(ThreadsafeCall* call) noexcept {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) {
      unlink_reserved(call);
      first = first_ == nullptr;
      append(call);
    }
  }
  if (on_own_thread()) {
    if (core_ != nullptr) core_->notice_inbox();
  } else if (first) {
    // Refused, the run is over, and the loop closed.
    call->wake->make([self = shared_from_this()] {
      if (self->core_ != nullptr) self->core_->notice_inbox();
    });
  }
  release_call(call);
}

void Inbox::drop_reserved(ThreadsafeCall* call) noexcept {
  bool mine = false;
  {
    const std::lock_guard lock(mutex_);
    mine = !closed_;
    if (mine) unlink_reserved(call);
  }
  if (mine) {
    call->fn = nullptr;
    release_call(call);
  }
  release_call(call);
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
  // Nobody else changes the list any more.
  for (ThreadsafeCall* call = std::exchange(reserved_, nullptr); call != nullptr;) {
    ThreadsafeCall* next = call->next_reserved;
    call->fn = nullptr;
    release_call(call);
    call = next;
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

HandBack::HandBack(LoopCore& loop, absl::AnyInvocable<void()> fn, std::source_location site) {
  require_open(loop);
  auto call = std::make_unique<ThreadsafeCall>();
  call->fn = std::move(fn);
  call->site = site;
  call->inbox = loop.inbox();
  loop.inbox()->reserve(call.get());
  call_ = call.release();
}

HandBack::~HandBack() {
  if (call_ == nullptr) return;
  const std::shared_ptr<Inbox> inbox = call_->inbox;
  if (inbox->on_own_thread()) {
    inbox->drop_reserved(call_);
  } else {
    call_->state = State::kCancelled;
    post();
  }
}

void HandBack::post() noexcept {
  if (call_ == nullptr) return;
  const std::shared_ptr<Inbox> inbox = call_->inbox;
  inbox->post_reserved(std::exchange(call_, nullptr));
}

void count_work_outside(const LoopCore& loop, int change) noexcept {
  loop.run_ref().call([change] {
    fibers::detail::count_outside_work(fibers::detail::OutsideWork::kThread, change);
  });
}

}  // namespace weft::loop::detail

namespace weft::loop {

using detail::ThreadsafeCall;

bool ThreadsafeHandle::cancelled() const {
  return call()->cancel_called.load();
}

void ThreadsafeHandle::cancel() {
  using State = ThreadsafeCall::State;
  State expected = State::kPending;
  const bool prevented = call()->state.compare_exchange_strong(expected, State::kCancelled);
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
