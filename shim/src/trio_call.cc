// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/shim/detail/trio_call.h"

#include "shim/src/cancelled_parts.h"
#include "shim/src/loop_block.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/loop/errors.h"
#include "weft/loop/event_loop.h"
#include "weft/shim/detail/call_count.h"
#include "weft/shim/trio_as_aio.h"

namespace weft::shim::detail {

// The reason is the message of the error, if that is one of asyncio's.
static void cancel(fibers::CancelScope& scope, const std::exception_ptr& payload) noexcept {
  try {
    if (payload != nullptr) std::rethrow_exception(payload);
  } catch (const loop::CancelledError& error) {
    return scope.cancel(error.message());
  } catch (...) {
    // No message, then.
  }
  scope.cancel();
}

bool TrioCall::request_cancel(std::exception_ptr payload) {
  if (future_.done()) return false;
  // What is in the queue finds the future done when its turn comes.
  if (!begun_) return future_.FutureCore::cancel(std::move(payload));
  if (!cancel_requested_) payload_ = std::move(payload);
  cancel_requested_ = true;
  if (scope_ != nullptr) cancel(*scope_, payload_);
  return true;
}

void TrioCall::run(const Steps& steps) {
  // Cancelled between the start of the task and its first turn.
  if (future_.done()) return;
  begun_ = true;
  fibers::CancelScope scope;
  scope_ = &scope;
  std::exception_ptr error;
  bool finished = false;
  try {
    finished = scope.run([&] { steps.call(steps.context); });
  } catch (...) {
    error = std::current_exception();
  }
  scope_ = nullptr;
  if (error == nullptr && finished && !future_.done()) {
    try {
      steps.finish(steps.context);
    } catch (...) {
      error = std::current_exception();
    }
  }
  // Somebody may have ended the future from outside.
  if (error != nullptr) {
    end_with(error);
  } else if (!finished) {
    end_cancelled();
  }
}

void TrioCall::fail(const std::exception_ptr& error) {
  if (future_.done()) return;  // Somebody else has ended it.
  try {
    future_.set_exception(error);
  } catch (const loop::InvalidStateError&) {
    // Somebody else is setting its result.
  }
}

void TrioCall::end_cancelled() {
  // An error that somebody else has set would count as asked for.
  if (!future_.done()) future_.FutureCore::cancel(std::move(payload_));
}

void TrioCall::end_with(const std::exception_ptr& error) {
  const CancelledParts parts = split_cancelled(error);
  if (parts.rest == nullptr) {
    end_cancelled();
  } else if (!future_.done()) {
    try {
      std::rethrow_exception(parts.rest);
    } catch (const loop::CancelledError&) {
      future_.FutureCore::cancel(parts.rest);
    } catch (...) {
      fail(parts.rest);
    }
  }
  if (fibers::detail::has_interrupt_inside(parts.rest)) {
    // As with a task of asyncio's: who waits gets it, and the program all the same.
    future_.forget_unretrieved();
    std::rethrow_exception(error);
  }
  if (parts.cancelled != nullptr) std::rethrow_exception(parts.cancelled);
}

void TrioCall::drop() noexcept {
  try {
    end_cancelled();
  } catch (...) {
    // The loop is closed: those who wait have been woken, and callbacks have nowhere to run.
  }
}

void StartGate::open() {
  opened_ = true;
  if (waiting_ != nullptr) fibers::reschedule(*waiting_);
}

LoopBlock* block_here() {
  return LoopBlock::current();
}

LoopBlock& block_for_tasks() {
  if (LoopBlock* const block = LoopBlock::current()) return *block;
  if (loop::EventLoop* const running = loop::running_loop()) return LoopBlock::adopt(*running);
  throw fibers::UsageError(
      "you are not within a loop; start the program with weft::run, or wrap this part in "
      "weft::open_loop");
}

loop::EventLoop& loop_of(LoopBlock& block) {
  return *block.loop();
}
loop::detail::LoopCore& core_of(LoopBlock& block) {
  return block.core();
}
fibers::Nursery* tasks_of(LoopBlock& block) {
  return block.tasks();
}

CallCount::CallCount(LoopBlock& block) noexcept : block_(&block) {
  block.call_begins();
}
CallCount::~CallCount() {
  if (block_ != nullptr) block_->call_ended();
}

void belong_to(LoopBlock& block) {
  block.make_current();
}

void run_monitored(const std::function<void()>& fn, std::source_location site) {
  try {
    fn();
  } catch (...) {
    const CancelledParts parts = split_cancelled(std::current_exception());
    if (fibers::detail::has_interrupt_inside(parts.rest))
      throw;  // Meant for the program: no handler is asked.
    LoopBlock* block = LoopBlock::current();
    if (parts.rest != nullptr) {
      // Without a loop to ask the error goes the usual way, to the nursery.
      if (block == nullptr) std::rethrow_exception(parts.rest);
      block->loop()->call_exception_handler({.message = "exception in a task of run_trio_task",
                                             .exception = parts.rest,
                                             .source = site});
    }
    if (parts.cancelled != nullptr) std::rethrow_exception(parts.cancelled);
  }
}

}  // namespace weft::shim::detail
