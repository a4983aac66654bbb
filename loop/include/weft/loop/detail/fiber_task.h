// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Tasks whose code is a function with a stack of its own. Not for use outside weft.

#pragma once

#include <cstddef>
#include <exception>
#include <source_location>

#include "weft/fibers/lowlevel.h"
#include "weft/loop/detail/task_core.h"

namespace weft::loop::detail {

// Its fiber is a task of the loop's nursery, made for the first step. The loop steps it: when the
// future that it awaits is done, and when a wait of fibers in it has ended.
class FiberTaskCore : public TaskCore, private fibers::Stepper {
 public:
  FiberTaskCore(FutureCore& future, std::size_t stack_size, std::source_location site);

  // While it is stepped: an await begins. False if that is to wait as any other fiber does.
  bool begin_await(FutureWaiter& waiter) noexcept;
  // Of that wait, as FutureCore::abort_wait().
  fibers::Abort abort_await(FutureWaiter& waiter, const fibers::RaiseCancel& raise);
  // The wait is over, or was refused before it began.
  void end_await() noexcept;
  // Throws what the step was asked to throw, if that is something.
  void throw_error();
  // The bare yield: goes on in the next iteration. False if it is not in the task's own fiber.
  bool yield();

  void abandon() noexcept override;
  TaskCode code() const noexcept override { return {.fiber = fiber_}; }

 protected:
  ~FiberTaskCore() = default;

  fibers::detail::TaskLocals* variables() const noexcept override;
  Step resume(std::exception_ptr error) override;
  bool cancel_elsewhere() noexcept override;
  // Calls the function, and puts its value in place.
  virtual void call() = 0;

 private:
  struct Body;
  void start_fiber();
  void live();
  void go_on_alone(bool linked) noexcept;

  const std::size_t stack_size_;
  fibers::Task* fiber_ = nullptr;                     // From the first step to its end.
  Running* running_ = nullptr;                        // In the fiber's own frame,
  fibers::detail::TaskLocals** variables_ = nullptr;  // and where the fiber has its variables.
  FutureWaiter* waiter_ = nullptr;                    // While it waits as a callback of a future.
  std::exception_ptr error_;      // To be thrown by the await that the step ends.
  Step step_ = Step::kElsewhere;  // How the present one ends, as far as is known.
  bool started_ = false;
  bool in_step_ = false;    // The loop steps it at this moment.
  bool yielding_ = false;   // It is parked in yield().
  bool abandoned_ = false;  // The loop is closed; the run runs it.
};

// The one that is stepped at this moment on this thread. A step may step another.
extern constinit thread_local FiberTaskCore* stepped_here;

}  // namespace weft::loop::detail
