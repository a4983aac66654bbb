// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Asynchronous generators whose code is a function with a stack: the part without types. Not for
// use outside weft.

#pragma once

#include "weft/fibers/detail/requirements.h"  // Before <coroutine> complains.

#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <source_location>

#include "absl/functional/any_invocable.h"
#include "weft/loop/coro.h"
#include "weft/loop/future.h"
#include "weft/loop/task.h"

namespace weft::loop::detail {

class StackGeneratorState;

// Ends `answer`, the future of one step. cancel() of it, by which a cancellation of whoever awaits
// the step arrives, cancels the generator's task instead.
class GeneratorAnswer {
 public:
  GeneratorAnswer(FutureCore& future, StackGeneratorState& state) noexcept
      : future_(future), state_(&state) {}
  bool request_cancel(std::exception_ptr payload);
  bool cancel_requested() const { return cancel_requested_; }
  void lose_state() noexcept { state_ = nullptr; }

 private:
  FutureCore& future_;
  StackGeneratorState* state_;
  bool cancel_requested_ = false;
};

// Shared by the generator and its task.
class StackGeneratorState {
 public:
  StackGeneratorState() = default;
  StackGeneratorState(const StackGeneratorState&) = delete;
  StackGeneratorState& operator=(const StackGeneratorState&) = delete;
  virtual ~StackGeneratorState() { drop_answer(); }

  // In the generator's task: a value is in its place. Returns when the next call has come.
  void wait_for_next_call();

 private:
  friend class GeneratorAnswer;
  friend class StackGeneratorMachine;
  class TaskEnd;
  void answer_yield();
  void task_ended() noexcept;
  void answer_end() noexcept;
  void report(const std::exception_ptr& error) const;
  void drop_answer() noexcept;

  Task<void> task_;
  Future<void> answer_;                  // Of the step that is going on.
  GeneratorAnswer* answerer_ = nullptr;  // In it.
  Future<void> request_;                 // What the yield waits for.
  std::exception_ptr to_throw_;          // At the yield.
  std::exception_ptr error_;             // What the code has ended with.
  const void* generator_ = nullptr;      // Identifies it in reports.
  bool yielded_ = false;
  bool ended_ = false;
  bool stopped_ = false;  // Nobody asks any more.
};

// What a generator does with that.
class StackGeneratorMachine {
 public:
  StackGeneratorMachine(std::shared_ptr<StackGeneratorState> state, absl::AnyInvocable<void()> body,
                        std::size_t stack_size) noexcept
      : state_(std::move(state)), body_(std::move(body)), stack_size_(stack_size) {}
  StackGeneratorMachine(const StackGeneratorMachine&) = delete;
  StackGeneratorMachine& operator=(const StackGeneratorMachine&) = delete;
  ~StackGeneratorMachine() { stop(); }

  // See GeneratorCore.
  void prepare(EventLoop* loop, const void* generator, const std::source_location& where,
               std::exception_ptr error);
  std::coroutine_handle<> go_on(CoroDriver& driver, std::coroutine_handle<> awaiter) noexcept;
  std::exception_ptr outcome(CoroDriver& driver, bool& yielded) noexcept;
  bool gone() const noexcept;
  void stop() noexcept;

 private:
  std::shared_ptr<StackGeneratorState> state_;
  absl::AnyInvocable<void()> body_;  // Until its task is made.
  std::size_t stack_size_;
};

}  // namespace weft::loop::detail
