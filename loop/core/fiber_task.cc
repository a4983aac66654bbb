// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/fiber_task.h"

#include <utility>

#include "loop/core/loop_core.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/nursery.h"

namespace weft::loop::detail {

constinit thread_local FiberTaskCore* stepped_here = nullptr;

FiberTaskCore::FiberTaskCore(FutureCore& future, std::size_t stack_size, std::source_location site)
    : TaskCore(future, site),
      fibers::Stepper{[](fibers::Stepper& self, fibers::Task& fiber) noexcept {
        auto& task = static_cast<FiberTaskCore&>(self);
        // The first time is inside resume(), which steps it.
        if (task.started_) return task.push();
        task.fiber_ = &fiber;
      }},
      stack_size_(stack_size) {}

// --- The fiber. ---

// Holds the task until its fiber has ended.
struct FiberTaskCore::Body {
  explicit Body(FiberTaskCore& of) noexcept : task(&of) { of.future().retain(); }
  Body(Body&& other) noexcept : task(std::exchange(other.task, nullptr)) {}
  Body& operator=(Body&&) = delete;
  ~Body() {
    if (task != nullptr) task->future().release();
  }
  void operator()() const { task->live(); }
  FiberTaskCore* task;
};

void FiberTaskCore::start_fiber() {
  loop().nursery().start_soon(Body(*this),
                              {.name = name(), .stack_size = stack_size_, .stepper = this});
  started_ = true;
}

// What the function leaves ends in resume(), or, once the loop is closed, here.
void FiberTaskCore::live() {
  Running running{.core = &loop(), .task = this};
  running_ = &running;
  variables_ = fibers::detail::place_of_own_locals();
  fibers::set_task_word(&running);
  bool returned = false;
  step_error = running.scope.run([&] {
    struct DropAtEnd {
      FiberTaskCore& task;
      ~DropAtEnd() { task.drop_code(); }
    } const drop{*this};
    call();
    returned = true;
  });
  fibers::set_task_word(nullptr);
  // What it has set stays with the task, as what a coroutine has set does.
  if (*variables_ != nullptr) set_context(fibers::detail::share_locals(*variables_));
  running_ = nullptr;
  fiber_ = nullptr;
  step_ = returned && step_error == nullptr ? Step::kReturned : Step::kRaised;
  if (!in_step_) end_step(step_);
}

// Those of a task that it has started at once may be in their place.
fibers::detail::TaskLocals* FiberTaskCore::variables() const noexcept {
  const bool current = running_ != nullptr && running_->task == this;
  return current ? *variables_ : variables_between_steps();
}

// Whoever steps it has the task's variables meanwhile, and gives back those that it has then.
static void keep_in_step(fibers::detail::TaskLocals* locals) {
  if (locals == nullptr) return;
  fibers::detail::release_locals(
      fibers::detail::exchange_locals(fibers::detail::share_locals(locals)));
}

TaskCore::Step FiberTaskCore::resume(std::exception_ptr error) {
  step_ = Step::kElsewhere;
  if (!started_) {
    if (error == nullptr) {
      try {
        start_fiber();
      } catch (...) {
        error = std::current_exception();
      }
    }
    if (error != nullptr) {
      drop_code();
      step_error = std::move(error);
      return Step::kRaised;
    }
  }
  error_ = std::move(error);
  in_step_ = true;
  FiberTaskCore* const outer = std::exchange(stepped_here, this);
  fibers::step(*fiber_);
  stepped_here = outer;
  in_step_ = false;
  if (fiber_ == nullptr) keep_in_step(variables_between_steps());
  return step_;
}

// --- Its waits. ---

bool FiberTaskCore::begin_await(FutureWaiter& waiter) noexcept {
  if (waiter.task != fiber_ || abandoned_ || loop().is_closed()) return false;
  waiter.place = FutureWaiter::Place::kStepped;
  waiter.stepped = this;
  waiter.needs_care = true;
  waiter_ = &waiter;
  step_future = &waiter.core;
  step_ = Step::kAwaits;
  return true;
}

void FiberTaskCore::end_await() noexcept {
  waiter_ = nullptr;
  step_future = nullptr;
  step_ = Step::kElsewhere;
}

void FiberTaskCore::throw_error() {
  if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
}

// The step is still going on if the wait was cancelled before it began: then end_step() sees to the
// rest.
fibers::Abort FiberTaskCore::abort_await(FutureWaiter& waiter, const fibers::RaiseCancel& raise) {
  const bool linked = stop_awaiting();
  if (!linked && step_future == nullptr) return fibers::Abort::kFailed;  // Its turn is coming.
  FutureCore& awaited = waiter.core;
  if (awaited.cancel_for_waiter(*waiter.task, raise)) {
    waiter.place = FutureWaiter::Place::kNowhere;
    end_await();
    return fibers::Abort::kSucceeded;
  }
  waiter.cancelled = raise;
  if (linked) await(awaited);
  return fibers::Abort::kFailed;
}

void yield_to_loop() {
  if (stepped_here == nullptr || !stepped_here->yield()) fibers::checkpoint();
}

bool FiberTaskCore::yield() {
  if (&fibers::current_task() != fiber_ || abandoned_) return false;
  yielding_ = true;
  step_ = Step::kYields;
  struct Ended {
    FiberTaskCore& task;
    ~Ended() {
      task.yielding_ = false;
      task.step_ = Step::kElsewhere;
    }
  } const ended{*this};
  fibers::wait_task_rescheduled(
      [this](const fibers::RaiseCancel&) {
        yielding_ = false;
        step_ = Step::kElsewhere;
        return fibers::Abort::kSucceeded;
      },
      {"the next iteration of the loop", -1, &loop()});
  throw_error();
  return true;
}

bool FiberTaskCore::cancel_elsewhere() noexcept {
  if (running_ != nullptr) running_->scope.cancel();
  return true;
}

void FiberTaskCore::abandon() noexcept {
  if (fiber_ == nullptr) return TaskCore::abandon();
  const bool linked = stop_awaiting();
  abandoned_ = true;
  fibers::set_stepper(*fiber_, nullptr);
  go_on_alone(linked);
  cancel_elsewhere();
}

// A step that was to come does not come any more.
void FiberTaskCore::go_on_alone(bool linked) noexcept {
  if (FutureWaiter* const waiter = std::exchange(waiter_, nullptr)) {
    waiter->place = FutureWaiter::Place::kNowhere;
    if (in_step_) return;
    if (linked) return waiter->core.link(*waiter);
    fibers::reschedule(*fiber_);
  } else if (std::exchange(yielding_, false) && !in_step_) {
    fibers::reschedule(*fiber_);
  }
}

}  // namespace weft::loop::detail
