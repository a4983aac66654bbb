// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/stack_generator.h"

#include <utility>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/loop/async_generator.h"
#include "weft/loop/detail/machine_box.h"
#include "weft/loop/errors.h"
#include "weft/loop/event_loop.h"

namespace weft::loop::detail {

bool GeneratorAnswer::request_cancel(std::exception_ptr payload) {
  if (future_.done()) return false;
  if (state_ == nullptr) return future_.FutureCore::cancel(std::move(payload));
  cancel_requested_ = true;
  FutureAccess::core(state_->task_).cancel(std::move(payload));
  return true;
}

// The done callback of the task: also if the loop is closed and it never runs.
class StackGeneratorState::TaskEnd {
 public:
  explicit TaskEnd(std::shared_ptr<StackGeneratorState> state) noexcept
      : state_(std::move(state)) {}
  TaskEnd(TaskEnd&& other) noexcept = default;
  TaskEnd& operator=(TaskEnd&&) = delete;
  ~TaskEnd() { (*this)(); }
  void operator()() noexcept {
    if (const auto state = std::exchange(state_, nullptr)) state->task_ended();
  }
  AwaitedFor awaited_for() const noexcept {
    if (state_ == nullptr || !state_->answer_) return {};
    return {.future = &FutureAccess::core(state_->answer_), .part = true};
  }

 private:
  std::shared_ptr<StackGeneratorState> state_;
};

// --- In the task. ---

void StackGeneratorState::wait_for_next_call() {
  if (!task_ || !(current_task() == task_)) {
    throw fibers::UsageError(
        "a generator's yield() is for its own function; hand the values to that, by a queue say");
  }
  if (stopped_) throw GeneratorExit();
  const Future<void> request = task_.get_loop().create_future<void>();
  request_ = request;
  yielded_ = true;
  answer_yield();
  try {
    await(request);
  } catch (...) {
    // Somebody has cancelled the task, and somebody else has asked meanwhile.
    if (to_throw_ == nullptr) throw;
  }
  if (to_throw_ != nullptr) std::rethrow_exception(std::exchange(to_throw_, nullptr));
}

void StackGeneratorState::answer_yield() {
  try {
    if (answer_ && !answer_.done()) answer_.set_result();
  } catch (const fibers::UsageError&) {
    // The loop is closed: the future is done, and no callback of the loop will hear of it.
  }
}

void StackGeneratorState::task_ended() noexcept {
  FutureCore& task = FutureAccess::core(task_);
  if (!task.done()) return;
  ended_ = true;
  error_ = task.stored_exception();
  const bool cancelled = task.state() == FutureCore::State::kCancelled;
  if (cancelled && error_ == nullptr) error_ = std::make_exception_ptr(CancelledError());
  task.forget_unretrieved();
  if (answer_ && !answer_.done()) return answer_end();
  if (!cancelled && error_ != nullptr) report(error_);
}

void StackGeneratorState::answer_end() noexcept {
  try {
    if (answerer_->cancel_requested() && task_.cancelled()) {
      FutureAccess::core(answer_).FutureCore::cancel(error_);
    } else {
      answer_.set_result();
    }
  } catch (const fibers::UsageError&) {
    // As in answer_yield().
  }
}

void StackGeneratorState::report(const std::exception_ptr& error) const {
  if (EventLoop* const loop = open_loop_of(FutureAccess::core(task_).loop())) {
    try {
      report_generator(*loop, generator_, task_.source(), "an error came out of", error);
    } catch (...) {
      // As for a task's exception that was never retrieved.
    }
  }
}

void StackGeneratorState::drop_answer() noexcept {
  if (GeneratorAnswer* const answerer = std::exchange(answerer_, nullptr)) answerer->lose_state();
  answer_ = {};
}

// --- In whoever asks. ---

namespace {

struct Body {
  std::shared_ptr<StackGeneratorState> state;  // What `code` refers to.
  absl::AnyInvocable<void()> code;
  void operator()() {
    try {
      code();
    } catch (const GeneratorExit&) {
      // It has ended, as it was asked to.
    }
  }
};

}  // namespace

void StackGeneratorMachine::prepare(EventLoop* loop, const void* generator,
                                    const std::source_location& where, std::exception_ptr error) {
  if (loop == nullptr) {
    throw fibers::UsageError(
        "no running event loop for a generator with a stack, or its loop is closed; outside of the "
        "loop's callbacks and tasks give async_generator() the loop");
  }
  StackGeneratorState& state = *state_;
  LoopCore& core = FutureAccess::core(loop->create_future<void>()).loop();
  auto* const answer = make_machine_box<void, GeneratorAnswer>(core, where, state);
  state.answer_ = FutureAccess::wrap<void>(answer);
  state.answerer_ = answer;
  if (state.task_) {
    state.to_throw_ = std::move(error);
    if (!state.request_.done()) state.request_.set_result();
    return;
  }
  state.generator_ = generator;
  state.task_ =
      loop->create_task(Body{state_, std::move(body_)}, {.stack_size = stack_size_}, where);
  FutureAccess::task(state.task_).belong_to_generator();
  try {
    FutureBase(state.task_).add_done_callback(StackGeneratorState::TaskEnd(state_));
  } catch (...) {
    stop();
    throw;
  }
}

std::coroutine_handle<> StackGeneratorMachine::go_on(CoroDriver& driver,
                                                     std::coroutine_handle<> awaiter) noexcept {
  driver.wait_for(FutureAccess::core(state_->answer_), awaiter);
  return std::noop_coroutine();
}

// The wait may have been cut short: nobody is there for the rest of the step then.
std::exception_ptr StackGeneratorMachine::outcome(CoroDriver& driver, bool& yielded) noexcept {
  std::exception_ptr error;
  try {
    driver.throw_error();
  } catch (...) {
    error = std::current_exception();
  }
  StackGeneratorState& state = *state_;
  const bool answered = state.answer_.done();
  state.drop_answer();
  if (!answered) {
    stop();
    return error != nullptr ? error : std::make_exception_ptr(CancelledError());
  }
  yielded = std::exchange(state.yielded_, false);
  if (!state.ended_ || yielded) return error;
  std::exception_ptr end = std::exchange(state.error_, nullptr);
  if (error == nullptr) return end;
  if (end != nullptr && !state.task_.cancelled()) state.report(end);
  return error;
}

bool StackGeneratorMachine::gone() const noexcept {
  return state_->task_ && state_->task_.done();
}

void StackGeneratorMachine::stop() noexcept {
  StackGeneratorState& state = *state_;
  state.stopped_ = true;
  state.drop_answer();
  if (!state.task_ || state.task_.done()) return;
  try {
    FutureAccess::core(state.task_).cancel(nullptr);
  } catch (const fibers::UsageError&) {
    // The loop is closed: it is cancelled by that.
  }
}

}  // namespace weft::loop::detail
