// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The kinds of tasks, by what their code is. Not for use outside weft.

#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/loop/coro.h"
#include "weft/loop/detail/fiber_task.h"
#include "weft/loop/detail/future_core.h"
#include "weft/loop/detail/task_core.h"

namespace weft::loop {
struct TaskOptions;
}

namespace weft::loop::detail {

// A future and the task that it is, in one block.
template <class T, class Core>
class TaskBox : public FutureBox<T>, public Core {
 public:
  template <class... Args>
  explicit TaskBox(LoopCore& loop, std::source_location site, Args&&... args)
      : FutureBox<T>(loop, site, kIsTask), Core(*this, std::forward<Args>(args)..., site) {}

  bool cancel(std::exception_ptr payload) override {
    return Core::request_cancel(std::move(payload));
  }
  TaskCore* task() noexcept override { return this; }

 protected:
  ~TaskBox() override = default;
  void before_destroy() noexcept override { Core::before_destroy(); }
  void describe(ExceptionContext& context) const noexcept override { Core::describe(context); }
};

template <class T, class Core, class Made>
void destroy_task(Made* task) noexcept {
  LoopCore& core = static_cast<FutureBox<T>*>(task)->loop();
  task->~Made();
  free_block(core, task, sizeof(Made));
}

// A step of a coroutine, and what it ends with. `coro` is gone after the last.
template <class T>
TaskCore::Step resume_coro(Coro<T>& coro, CoroDriver& driver, std::exception_ptr& error,
                           FutureCore*& awaited,
                           std::optional<typename FutureBox<T>::Stored>& value) {
  switch (driver.resume(std::exchange(error, nullptr))) {
    case CoroDriver::Stop::kAwaits:
      awaited = &driver.awaited();
      return TaskCore::Step::kAwaits;
    case CoroDriver::Stop::kYields:
      return TaskCore::Step::kYields;
    case CoroDriver::Stop::kElsewhere:
      return TaskCore::Step::kElsewhere;
    case CoroDriver::Stop::kEnded:
      break;
  }
  error = CoroAccess::take_error(coro);
  if (error == nullptr) {
    try {
      if constexpr (std::is_void_v<T>) {
        value.emplace();
      } else {
        value.emplace(CoroAccess::take_result(coro));
      }
    } catch (...) {
      error = std::current_exception();
    }
  }
  coro = {};
  return error == nullptr ? TaskCore::Step::kReturned : TaskCore::Step::kRaised;
}

template <class T>
TaskCode code_of(const Coro<T>& coro, const CoroDriver& driver) noexcept {
  if (!coro) return {};
  return {.driver = &driver, .outermost = CoroAccess::any_promise(coro)};
}

// One whose code is a coroutine. A debugger finds the driver here, whatever the types.
class CoroTaskCore : public TaskCore {
 public:
  using TaskCore::TaskCore;

 protected:
  ~CoroTaskCore() = default;
  // Its step has ended so. Elsewhere it holds a reference on itself until that wait is over.
  Step after(Step step) noexcept { return step == Step::kElsewhere ? stay_elsewhere() : step; }
  // The code has gone, in the middle of that wait perhaps. The last thing that the task does.
  void let_go() noexcept;
  // The result of the wait is not to be lost, so that the cancellation is thrown only if that says
  // that it was cancelled, or else by the next wait.
  bool cancel_elsewhere() noexcept override;
  bool result_comes_first() const noexcept override { return true; }

  CoroDriver driver_{*this};

 private:
  Step stay_elsewhere() noexcept;
  bool held_ = false;
};

template <class T>
class CoroTask final : public TaskBox<T, CoroTaskCore> {
 public:
  using Base = TaskBox<T, CoroTaskCore>;
  using Step = TaskCore::Step;
  CoroTask(LoopCore& loop, std::source_location site, Coro<T> coro)
      : Base(loop, site), coro_(std::move(coro)) {
    CoroAccess::begin(coro_, this->driver_);
  }
  TaskCode code() const noexcept override { return code_of(coro_, this->driver_); }

 private:
  Step resume(std::exception_ptr error) override {
    if (!std::exchange(begun_, true) && error != nullptr) {
      coro_ = {};
      this->step_error = std::move(error);
      return Step::kRaised;
    }
    this->step_error = std::move(error);
    return this->after(
        resume_coro(coro_, this->driver_, this->step_error, this->step_future, this->value));
  }
  void drop_code() noexcept override {
    coro_ = {};
    this->let_go();
  }
  void destroy() noexcept override { destroy_task<T, CoroTaskCore>(this); }

  Coro<T> coro_;
  bool begun_ = false;
};

// A function that returns a coroutine. It is kept until that has ended: a lambda's coroutine refers
// to the lambda.
template <class T, class Fn>
class CoroFunctionTask final : public TaskBox<T, CoroTaskCore> {
 public:
  using Value = T;
  using Base = TaskBox<T, CoroTaskCore>;
  using Step = TaskCore::Step;
  template <class F>
  CoroFunctionTask(LoopCore& loop, std::source_location site, F&& fn, const TaskOptions&)
      : Base(loop, site), fn_(std::in_place, std::forward<F>(fn)) {}
  TaskCode code() const noexcept override { return code_of(coro_, this->driver_); }

 private:
  Step resume(std::exception_ptr error) override {
    if (!coro_) error = begin(std::move(error));
    if (!coro_) {
      fn_.reset();
      this->step_error = std::move(error);
      return Step::kRaised;
    }
    this->step_error = std::move(error);
    const Step step =
        resume_coro(coro_, this->driver_, this->step_error, this->step_future, this->value);
    if (!coro_) fn_.reset();
    return this->after(step);
  }
  std::exception_ptr begin(std::exception_ptr error) {
    if (error != nullptr) return error;
    try {
      coro_ = std::invoke(*fn_);
      CoroAccess::begin(coro_, this->driver_);
    } catch (...) {
      return std::current_exception();
    }
    return nullptr;
  }
  void drop_code() noexcept override {
    coro_ = {};
    fn_.reset();
    this->let_go();
  }
  void destroy() noexcept override { destroy_task<T, CoroTaskCore>(this); }

  std::optional<Fn> fn_;
  Coro<T> coro_;  // Refers to fn_.
};

template <class T, class Fn>
class FiberTask final : public TaskBox<T, FiberTaskCore> {
 public:
  using Value = T;
  using Base = TaskBox<T, FiberTaskCore>;
  template <class F, class Options>
  FiberTask(LoopCore& loop, std::source_location site, F&& fn, const Options& options)
      : Base(loop, site, options.stack_size), fn_(std::in_place, std::forward<F>(fn)) {}

 private:
  void call() override {
    if constexpr (std::is_void_v<T>) {
      std::invoke(*fn_);
      this->value.emplace();
    } else {
      this->value.emplace(std::invoke(*fn_));
    }
  }
  void drop_code() noexcept override { fn_.reset(); }
  void destroy() noexcept override { destroy_task<T, FiberTaskCore>(this); }

  std::optional<Fn> fn_;
};

template <class R, class Fn>
struct TaskOfResult {
  using Value = R;
  using Type = FiberTask<R, Fn>;
};
template <class T, class Fn>
struct TaskOfResult<Coro<T>, Fn> {
  using Value = T;
  using Type = CoroFunctionTask<T, Fn>;
};
template <class Fn>
using TaskOfFunction = TaskOfResult<std::invoke_result_t<Fn&>, Fn>;

template <class Made, class... Args>
Made* make_task(LoopCore& core, std::source_location site, Args&&... args) {
  static_assert(alignof(Made) <= 64, "over-aligned functions and values do not fit the pool");
  require_open(core);
  void* const block = allocate_block(core, sizeof(Made));
  try {
    return ::new (block) Made(core, site, std::forward<Args>(args)...);
  } catch (...) {
    free_block(core, block, sizeof(Made));
    throw;
  }
}

}  // namespace weft::loop::detail
