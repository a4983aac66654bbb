// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/task_core.h"

#include <utility>

#include "loop/core/callback_context.h"
#include "loop/core/node_life.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/loop/errors.h"
#include "weft/loop/exception_context.h"

namespace weft::loop::detail {

TaskCore::TaskCore(FutureCore& future, std::source_location site)
    : future_(future),
      node_(future.loop(), *this, site),
      number_(future.loop().living().number_task()) {
  enlist(future.loop().living().tasks());
}

TaskCore::~TaskCore() {
  leave_list();
  fibers::detail::release_locals(node_.context);
}

void TaskCore::enlist(TaskCore*& first) noexcept {
  next_ = first;
  at_ = &first;
  if (next_ != nullptr) next_->at_ = &next_;
  first = this;
}

void TaskCore::leave_list() noexcept {
  if (at_ == nullptr) return;
  *at_ = next_;
  if (next_ != nullptr) next_->at_ = at_;
  at_ = nullptr;
  if (std::exchange(in_round_, false)) [[unlikely]]
    loop().living().leave_round();
}

std::string TaskCore::name() const {
  if (!name_.empty()) return name_;
  std::string name("Task-");
  return name += std::to_string(number_);
}

// A step has them where the fiber that runs it has its own.
fibers::detail::TaskLocals* TaskCore::variables() const noexcept {
  if (blocked_on_ != nullptr && blocked_on_->running.task == this) return *blocked_on_->variables;
  const Running* const here = Running::here();
  if (here != nullptr && here->task == this) return *fibers::detail::place_of_own_locals();
  return node_.context;
}

// Another's step begins in the middle of its own, and has its variables at the same place.
void TaskCore::keep_variables(fibers::detail::TaskLocals* present) noexcept {
  if (present != node_.context) set_context(fibers::detail::share_locals(present));
}

// --- Cancellation. ---

bool TaskCore::request_cancel(std::exception_ptr payload) {
  if (!hears_cancel(payload)) return false;
  if (passing_on_) [[unlikely]] {
    end_circle(std::move(payload));
    return true;
  }
  ++cancels_;
  if (awaiting_ == nullptr) {
    take_cancel(std::move(payload));
  } else {
    const FutureKeeper kept(future_);
    struct PassingOn {
      TaskCore& first;
      ~PassingOn() { first.stop_passing_on(); }
    } const passing{*this};
    if (TaskCore* const last = pass_to_last(payload)) last->take_cancel(std::move(payload));
  }
  return true;
}

bool TaskCore::hears_cancel(const std::exception_ptr& payload) noexcept {
  note_cancel(payload);
  future_.forget_unretrieved();
  return !future_.done();
}

// A loop, for a chain of tasks that await each other may be longer than the stack is deep. Null if
// the chain is a circle, which has been ended.
TaskCore* TaskCore::pass_to_last(const std::exception_ptr& payload) noexcept {
  TaskCore* last = this;
  while (true) {
    last->passing_on_ = true;
    TaskCore* const next = last->awaited_task();
    if (next == nullptr || !next->hears_cancel(payload)) return last;
    if (next->passing_on_) {
      next->end_circle(payload);
      return nullptr;
    }
    ++next->cancels_;
    if (next->awaiting_ == nullptr) return next;
    last = next;
  }
}

void TaskCore::take_cancel(std::exception_ptr payload) {
  if (awaiting_ != nullptr) {
    const FutureKeeper kept(future_);
    if (awaiting_->cancel(payload)) return;
  }
  payload_ = std::move(payload);
  if (elsewhere_) {
    must_cancel_ = !cancel_elsewhere();
  } else if (blocked_on_ != nullptr) {
    blocked_on_->cancel();
  } else {
    must_cancel_ = true;
  }
}

// From here on.
void TaskCore::stop_passing_on() noexcept {
  TaskCore* each = this;
  while (each != nullptr && each->passing_on_) {
    each->passing_on_ = false;
    each = each->awaited_task();
  }
}

// What it awaits waits for it, so that nobody in the circle would ever go on: the cancellation
// comes out of its wait. (asyncio: RecursionError, and nobody is cancelled.)
void TaskCore::end_circle(std::exception_ptr payload) noexcept {
  stop_passing_on();  // Nobody finds those behind it once it has let go of them.
  const bool linked = stop_awaiting();
  payload_ = std::move(payload);
  must_cancel_ = true;
  if (linked) push();
}

std::uint32_t TaskCore::uncancel() {
  if (cancels_ > 0 && --cancels_ == 0) must_cancel_ = false;
  return cancels_;
}

bool TaskCore::take_cancellation_here() {
  Running* const running = Running::here();
  return running != nullptr && running->scope.take();
}

std::exception_ptr TaskCore::take_cancellation() {
  must_cancel_ = false;
  std::exception_ptr payload = std::exchange(payload_, nullptr);
  return payload != nullptr ? payload : std::make_exception_ptr(CancelledError());
}

void TaskCore::throw_cancellation() {
  if (must_cancel_) std::rethrow_exception(take_cancellation());
}

// --- Steps. ---

void TaskCore::start() {
  if (loop().is_closed()) LoopCore::throw_closed();
  push();
}

void TaskCore::start_eagerly() {
  Running* const here = Running::here();
  if (here == nullptr || here->core != &loop()) return start();
  const FutureKeeper kept(future_);
  Step ended = Step::kYields;
  {
    fibers::detail::TaskLocals** const place = fibers::detail::place_of_own_locals();
    if (here->task != nullptr) here->task->keep_variables(*place);
    const InContext inside(node_, place);
    ended = step(*here);
  }
  end_step(ended);
}

void TaskCore::discard() noexcept {
  drop_code();
  finish(FutureCore::State::kCancelled, nullptr);
}

void TaskCore::push() noexcept {
  if (node_.queued() || loop().is_closed()) return;
  future_.retain();
  loop().push_ready(&node_);
}

void TaskCore::dropped() noexcept {
  node_.phase = NodePhase::kIdle;
  awaiting_ = nullptr;
  future_.release();
}

bool TaskCore::stop_awaiting() noexcept {
  if (awaiting_ == nullptr || node_.queued()) return false;
  std::exchange(awaiting_, nullptr)->unlink_callback(&node_);
  future_.release();
  return true;
}

void TaskCore::step_blocks(Runner& on) noexcept {
  blocked_on_ = &on;
  node_.phase = NodePhase::kIdle;
  on.resume_from_queue();
}

// The node is free for the next wait before the step ends. A step that waits, on a runner's stack,
// goes on there when the loop comes to it again.
void TaskCore::run_step(Runner& me) {
  const FutureKeeper kept(future_, nullptr);
  if (blocked_on_ != nullptr) {
    node_.phase = NodePhase::kIdle;
    me.node = nullptr;
    return fibers::step(blocked_on_->task());
  }
  node_.phase = NodePhase::kRunning;
  Step ended = Step::kYields;
  {
    const InContext inside(node_, me.variables);
    if (loop().debug()) me.called_at = loop().now();
    ended = step(me.running);
  }
  if (loop().debug() && !me.blocked) {
    loop().reports().report_slow(loop().now() - me.called_at, node_);
  }
  if (me.blocked) {
    blocked_on_ = nullptr;
    me.resume_at_once();
    loop().callback_returned(me);
  }
  node_.phase = NodePhase::kIdle;
  me.node = nullptr;
  end_step(ended);
}

TaskCore::Step TaskCore::step(Running& running) {
  std::exception_ptr error;
  result_first_ = false;
  if (must_cancel_ || to_throw_ != nullptr) [[unlikely]] {
    error = std::exchange(to_throw_, nullptr);
    result_first_ = elsewhere_ && must_cancel_ && result_comes_first();
    if (!result_first_) {
      if (must_cancel_ && (error == nullptr || !fibers::holds<CancelledError>(error))) {
        error = take_cancellation();
      }
      must_cancel_ = false;
    }
  }
  awaiting_ = nullptr;
  elsewhere_ = false;
  TaskCore* const outer = std::exchange(running.task, this);
  const Step ended = resume(std::move(error));
  running.task = outer;
  return ended;
}

void TaskCore::end_step(Step step) {
  if (step == Step::kAwaits && !loop().is_closed()) [[likely]]
    return await_step_future();
  const bool waits = step == Step::kAwaits || step == Step::kYields;
  if (waits && loop().is_closed()) return end_in_closed_loop();
  switch (step) {
    case Step::kReturned:
      if (must_cancel_ && !result_first_) {
        return finish(FutureCore::State::kCancelled, take_cancellation());
      }
      return finish(FutureCore::State::kFinished, nullptr);
    case Step::kRaised:
      return finish_raised();
    case Step::kAwaits:
      return await_step_future();
    case Step::kYields:
      return push();
    case Step::kElsewhere:
      elsewhere_ = true;
      if (must_cancel_) must_cancel_ = !cancel_elsewhere();
  }
}

void TaskCore::throw_next(std::exception_ptr error) noexcept {
  to_throw_ = std::move(error);
  push();
}

void TaskCore::require_awaitable(const FutureCore& awaited) const {
  if (&awaited == &future_) {
    throw fibers::UsageError("Task cannot await on itself; it would wait for ever");
  }
  if (&awaited.loop() != &loop()) {
    throw fibers::UsageError(
        "Task got a Future attached to a different loop; await it in a task of that loop");
  }
}

void TaskCore::await_step_future() {
  FutureCore& awaited = *std::exchange(step_future, nullptr);
  if (&awaited == &future_ || &awaited.loop() != &loop()) [[unlikely]] {
    try {
      require_awaitable(awaited);
    } catch (...) {
      return throw_next(std::current_exception());
    }
  }
  await(awaited);
  if (must_cancel_ && awaited.cancel(payload_)) must_cancel_ = false;
}

void TaskCore::await(FutureCore& awaited) noexcept {
  if (awaited.done()) return push();
  awaiting_ = &awaited;
  future_.retain();
  awaited.add_waiting_task(&node_);
}

// --- The end. ---

void TaskCore::finish(FutureCore::State state, std::exception_ptr error) {
  leave_list();
  const bool failed = state == FutureCore::State::kFinished && error != nullptr;
  future_.unretrieved_ = failed;
  future_.value_coming_ = false;
  try {
    future_.complete_with(state, std::move(error));
  } catch (const fibers::UsageError&) {
    // The loop is closed: the task has ended, its callbacks will not run.
  }
}

void TaskCore::finish_raised() {
  std::exception_ptr error = std::exchange(step_error, nullptr);
  if (error != nullptr && fibers::holds<CancelledError>(error)) {
    return finish(FutureCore::State::kCancelled, std::move(error));
  }
  // Without an error its scope has ended it.
  if (error == nullptr || fibers::holds<fibers::Cancelled>(error)) {
    return finish(FutureCore::State::kCancelled, take_cancellation());
  }
  const bool interrupt = fibers::holds<fibers::KeyboardInterrupt>(error);
  finish(FutureCore::State::kFinished, error);
  if (!interrupt) return;
  future_.forget_unretrieved();  // It comes out of the loop all the same.
  std::rethrow_exception(error);
}

void TaskCore::abandon() noexcept {
  stop_awaiting();
  if (blocked_on_ == nullptr) end_in_closed_loop();
}

void TaskCore::end_in_closed_loop() noexcept {
  report_pending();
  drop_code();
  finish(FutureCore::State::kCancelled, nullptr);
}

void TaskCore::before_destroy() noexcept {
  if (future_.done()) return;
  leave_list();
  report_pending();
}

void TaskCore::report_pending() noexcept {
  try {
    ExceptionContext context{.message = "Task was destroyed but it is pending!"};
    describe(context);
    future_.report(context);
  } catch (...) {
    // As for a future's exception that was never retrieved.
  }
}

void TaskCore::describe(ExceptionContext& context) const noexcept {
  context.future = &future_;
  context.task = &future_;
  context.source = node_.site;
  try {
    context.task_name = name();
  } catch (const std::bad_alloc&) {
    // Without its name.
  }
}

}  // namespace weft::loop::detail
