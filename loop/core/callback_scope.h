// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How what runs in a fiber of the loop is cancelled, and what the fiber runs.

#pragma once

#include <exception>
#include <utility>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/lowlevel.h"

namespace weft::loop::detail {

class LoopCore;
class Runner;
class TaskCore;

// A shielded scope around the code of a callback or of a task with a stack. A wait of fibers in it
// hears of cancel() as of any cancelled scope: fibers::Cancelled, again and again. An await is
// asyncio's and hears of it once: what asks first takes the cancellation, and from then on nothing
// in here is cancelled any more.
class CallbackScope {
 public:
  // Calls `fn` inside; returns what came out, null if nothing did or it was the end of a
  // cancellation.
  template <class F>
  std::exception_ptr run(F&& fn) {
    fibers::CancelScope scope({.shield = true});
    fibers::CancelScope after;
    scope_ = &scope;
    after_ = &after;
    taken_ = false;
    std::exception_ptr error;
    try {
      scope.run([&] {
        after.run([&fn] { fn(); });
        // A cancellation that was taken has not been swallowed.
        if (taken_) fibers::checkpoint_if_cancelled();
      });
    } catch (...) {
      error = std::current_exception();
    }
    return leave(error);
  }
  void cancel() noexcept;
  // Whether cancel() was called, and nobody has taken that.
  bool pending() const;
  // False if there is none to take, or if the wait was cancelled by a scope inside. In the fiber
  // itself, after a wait that was cancelled.
  bool take();
  bool taken() const { return taken_; }

 private:
  std::exception_ptr leave(const std::exception_ptr& error);

  // The one that cancel() cancels, and, in it, the one that is shielded once that has been taken.
  // Null outside.
  fibers::CancelScope* scope_ = nullptr;
  fibers::CancelScope* after_ = nullptr;
  bool taken_ = false;
};

// What a fiber of the loop runs; its task's word refers to this.
struct Running {
  LoopCore* core;
  TaskCore* task = nullptr;  // Of asyncio: the one that is being stepped.
  Runner* runner = nullptr;  // If it is one.
  CallbackScope scope = {};

  static Running* here() noexcept { return static_cast<Running*>(fibers::task_word()); }
  static Running* of(const fibers::Task& task) noexcept {
    return static_cast<Running*>(fibers::task_word(task));
  }
};

}  // namespace weft::loop::detail
