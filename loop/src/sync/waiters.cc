// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/waiters.h"

#include <new>
#include <string>

#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/loop/event_loop.h"

namespace weft::loop::detail {

// --- LastingFuture. ---

bool LastingFuture::cancel(std::exception_ptr payload) {
  if (done()) return false;
  asked_ = true;
  payload_ = std::move(payload);
  return true;
}

std::exception_ptr LastingFuture::take_cancellation() {
  if (!std::exchange(asked_, false)) return nullptr;
  try {
    fibers::checkpoint_if_cancelled();
  } catch (...) {
    return std::current_exception();
  }
  // A task of fibers whose scope is not cancelled any more.
  if (running_loop() == nullptr) return nullptr;
  return payload_ != nullptr ? payload_ : std::make_exception_ptr(CancelledError());
}

void LastingFuture::destroy() noexcept {
  LoopCore& core = loop();
  this->~LastingFuture();
  free_block(core, this, sizeof(LastingFuture));
}

// --- LoopBinding. ---

LoopBinding::LoopBinding(EventLoop& loop) : token_(loop.create_future<void>()) {}

LoopCore& LoopBinding::bind(const char* what) {
  EventLoop* const running = running_loop();
  if (running != nullptr && !token_) token_ = running->create_future<void>();
  if (!token_) {
    throw fibers::UsageError(
        std::string("no running event loop; outside its callbacks and tasks, give the ") + what +
        " its loop when you make it");
  }
  if (running != nullptr && &token_.get_loop() != running) {
    throw fibers::UsageError(std::string("this ") + what +
                             " is bound to a different event loop; make one for each loop");
  }
  return FutureAccess::core(token_).loop();
}

Future<void> LoopBinding::create_future(const char* what) {
  return FutureAccess::wrap<void>(
      make_future_box<void>(bind(what), std::source_location::current()));
}

std::pair<Future<void>, LastingFuture*> LoopBinding::create_lasting_future(const char* what) {
  LoopCore& core = bind(what);
  auto* const box = ::new (allocate_block(core, sizeof(LastingFuture)))
      LastingFuture(core, std::source_location::current());
  return {FutureAccess::wrap<void>(box), box};
}

// --- Waiters. ---

bool Waiters::all_cancelled() const {
  if (woken_ > 0) return false;
  for (const Waiter* waiter = first_; waiter != nullptr; waiter = waiter->next_) {
    if (!waiter->future_.done()) return false;
  }
  return true;
}

bool Waiters::wake_next() noexcept {
  for (Waiter* waiter = first_; waiter != nullptr; waiter = waiter->next_) {
    if (waiter->future_.done()) continue;
    wake(*waiter);
    return true;
  }
  return false;
}

void Waiters::wake_first() noexcept {
  if (woken_ == 0 && first_ != nullptr && !first_->future_.done()) wake(*first_);
}

void Waiters::wake(Waiter& waiter) noexcept {
  waiter.unlink();
  waiter.woken_ = true;
  ++woken_;
  try {
    waiter.future_.set_result();
  } catch (const fibers::UsageError&) {
    // The loop is closed: the future is done, and no callback of the loop will hear of it.
  }
}

void Waiters::require_own_thread() const {
  if (first_ != nullptr) FutureAccess::core(first_->future_).require_own_thread();
}

Waiter::Waiter(Waiters& waiters, Future<void> future) noexcept
    : waiters_(waiters), future_(std::move(future)), prev_(waiters.last_) {
  (prev_ != nullptr ? prev_->next_ : waiters.first_) = this;
  waiters.last_ = this;
  ++waiters.linked_;
}

void Waiter::unlink() noexcept {
  linked_ = false;
  --waiters_.linked_;
  (prev_ != nullptr ? prev_->next_ : waiters_.first_) = next_;
  (next_ != nullptr ? next_->prev_ : waiters_.last_) = prev_;
}

void Waiter::leave() noexcept {
  if (std::exchange(left_, true)) return;
  if (linked_) {
    unlink();
  } else {
    --waiters_.woken_;
  }
}

}  // namespace weft::loop::detail
