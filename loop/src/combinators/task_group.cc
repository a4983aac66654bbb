// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/task_group.h"

#include <cstddef>
#include <utility>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/loop/errors.h"
#include "weft/loop/event_loop.h"

namespace weft::loop::detail {

static bool is_cancellation(const std::exception_ptr& error) {
  return error != nullptr &&
         (fibers::holds<CancelledError>(error) || fibers::holds<fibers::Cancelled>(error));
}

// --- The end. ---

bool TaskGroupEnd::request_cancel(std::exception_ptr payload) {
  if (future_.done()) return false;
  if (group_ == nullptr) return future_.FutureCore::cancel(std::move(payload));
  if (!std::exchange(cancelled_, true)) payload_ = std::move(payload);
  if (!group_->aborting()) group_->abort();
  return true;
}

void TaskGroupEnd::finish() {
  if (future_.done()) return;
  if (cancelled_) {
    future_.FutureCore::cancel(std::move(payload_));
  } else {
    static_cast<FutureBox<void>&>(future_).set_value();
  }
}

// --- Entering and leaving. ---

TaskGroupCore::~TaskGroupCore() {
  if (end_machine_ != nullptr) end_machine_->lose_group();
}

void TaskGroupCore::enter(fibers::CancelScope* scope) {
  if (entered_) {
    throw fibers::UsageError("TaskGroup has already been entered; make another one");
  }
  parent_ = current_task();
  if (!parent_) {
    throw fibers::UsageError(
        "TaskGroup cannot determine the parent task; use it in a task made by create_task, or use "
        "fibers::open_nursery");
  }
  auto* const end = make_machine_box<void, TaskGroupEnd>(FutureAccess::core(parent_).loop(),
                                                         parent_.source(), *this);
  end_ = FutureAccess::wrap<void>(end);
  end_machine_ = end;
  entered_ = true;
  scope_ = scope;
  if (aborting_) cancel_parent();
}

Future<void> TaskGroupCore::begin_leave(const std::exception_ptr& error) {
  exiting_ = true;
  scope_ = nullptr;
  body_error_ = error;
  note_base_error(error);
  if (is_cancellation(error)) cancelled_ = error;
  if (error != nullptr && !aborting_) abort();
  if (tasks_.empty()) end_machine_->finish();
  return end_;
}

void TaskGroupCore::finish_leave(const std::exception_ptr& error) {
  const std::shared_ptr<TaskGroupCore> kept = shared_from_this();
  if (is_cancellation(error)) cancelled_ = error;
  TaskBase parent = std::exchange(parent_, {});
  if (base_error_ != nullptr) std::rethrow_exception(base_error_);
  // Also a cancellation of our own that has not been delivered is taken back here.
  if (parent_cancel_requested_ && parent.uncancel() == 0) {
    const bool by_fibers = cancelled_ != nullptr && fibers::holds<fibers::Cancelled>(cancelled_);
    if (!by_fibers || TaskCore::take_cancellation_here()) cancelled_ = nullptr;
  }
  // An error of the body as well wins over a cancellation that has come since.
  if (body_error_ != nullptr && !is_cancellation(body_error_)) errors_.push_back(body_error_);
  if (cancelled_ != nullptr && errors_.empty()) std::rethrow_exception(cancelled_);
  if (errors_.empty()) return;
  // The task was cancelled from outside as well: it will hear of that at its next wait.
  if (parent.cancelling() > 0) {
    parent.uncancel();
    parent.cancel();
  }
  std::rethrow_exception(
      fibers::make_exception_group("unhandled errors in a TaskGroup", std::move(errors_)));
}

Coro<void> leave_group(std::shared_ptr<TaskGroupCore> core, std::exception_ptr error) {
  const Future<void> end = core->begin_leave(error);
  error = nullptr;
  try {
    co_await end;
  } catch (...) {
    error = std::current_exception();
  }
  core->finish_leave(error);
}

void run_group_here(const std::shared_ptr<TaskGroupCore>& core, const std::function<void()>& body) {
  fibers::CancelScope scope;
  core->enter(&scope);
  std::exception_ptr error;
  try {
    // A cancellation of the scope is the group's own, and ends here.
    scope.run([&body] { body(); });
  } catch (...) {
    error = std::current_exception();
  }
  const Future<void> end = core->begin_leave(error);
  error = nullptr;
  try {
    await(end);
  } catch (...) {
    error = std::current_exception();
  }
  core->finish_leave(error);
}

// --- Tasks. ---

void TaskGroupCore::require_open() const {
  if (!entered_) {
    throw fibers::UsageError("TaskGroup has not been entered; create its tasks in its body");
  }
  if (exiting_ && tasks_.empty()) {
    throw fibers::UsageError("TaskGroup is finished; make another one");
  }
  if (aborting_) {
    throw fibers::UsageError("TaskGroup is shutting down; it takes no more tasks");
  }
}

// The callback of a task.
class TaskGroupCore::Link {
 public:
  Link(std::shared_ptr<TaskGroupCore> group, Tasks::iterator at) noexcept
      : group_(std::move(group)), at_(at) {}
  Link(Link&& other) noexcept = default;
  Link& operator=(Link&&) = delete;
  // Not called: the loop is closed, and has ended the task.
  ~Link() {
    if (group_ != nullptr) group_->task_gone(at_);
  }
  void operator()() {
    const std::shared_ptr<TaskGroupCore> group = std::move(group_);
    group->task_done(at_);
  }
  AwaitedFor awaited_for() const noexcept {
    if (group_ == nullptr || !group_->parent_) return {};
    return {.future = &FutureAccess::core(group_->parent_)};
  }

 private:
  std::shared_ptr<TaskGroupCore> group_;
  Tasks::iterator at_;
};

TaskGroupCore::Room::Room(TaskGroupCore& group) : group_(group), place_(1) {
  std::vector<std::exception_ptr>& errors = group.errors_;
  // And the body's.
  const std::size_t needed = errors.size() + group.tasks_.size() + group.rooms_ + 2;
  if (errors.capacity() < needed) errors.reserve(2 * needed);
  ++group.rooms_;
}

void TaskGroupCore::add(Room& room, TaskBase task) {
  const Tasks::iterator at = room.place_.begin();
  *at = task;
  tasks_.splice(tasks_.end(), room.place_, at);
  try {
    task.add_done_callback(Link(shared_from_this(), at));
    // The first step of an eager task may have cancelled the group, which did not have it yet.
    if (aborting_) task.cancel();
  } catch (...) {
    task.cancel();  // Nobody would wait for it.
    throw;
  }
}

void TaskGroupCore::task_gone(Tasks::iterator at) noexcept {
  const TaskBase task = std::move(*at);
  tasks_.erase(at);
  try {
    if (exiting_ && tasks_.empty()) end_machine_->finish();
  } catch (const fibers::UsageError&) {
    // The loop is closed: the future has ended, its callbacks will not run.
  }
}

void TaskGroupCore::task_done(Tasks::iterator at) {
  const std::shared_ptr<TaskGroupCore> kept = shared_from_this();
  const TaskBase task = std::move(*at);
  tasks_.erase(at);
  if (!task.cancelled()) {
    if (const std::exception_ptr error = task.exception()) note_error(error, task);
  }
  if (exiting_ && tasks_.empty()) end_machine_->finish();
}

void TaskGroupCore::note_error(const std::exception_ptr& error, const TaskBase& task) {
  errors_.push_back(error);
  note_base_error(error);
  if (!parent_ || parent_.done()) {
    loop().call_exception_handler(
        {.message = "Task has errored out but its parent task is already completed",
         .exception = error,
         .future = &FutureAccess::core(task),
         .task = &FutureAccess::core(task),
         .task_name = task.get_name()});
    return;
  }
  if (aborting_) return;
  abort();
  cancel_parent();
}

void TaskGroupCore::note_base_error(const std::exception_ptr& error) {
  if (base_error_ == nullptr && error != nullptr &&
      fibers::holds<fibers::KeyboardInterrupt>(error)) {
    base_error_ = error;
  }
}

void TaskGroupCore::cancel() {
  if (aborting_ || (exiting_ && tasks_.empty())) return;
  abort();
  if (entered_ && !exiting_) cancel_parent();
}

void TaskGroupCore::abort() {
  aborting_ = true;
  for (TaskBase& task : tasks_) task.cancel();
}

// Where the body waits for something of fibers, by the scope around it: the task's own cancellation
// would end all such waits in it.
void TaskGroupCore::cancel_parent() {
  if (scope_ != nullptr && FutureAccess::task(parent_).elsewhere()) {
    scope_->cancel("the task group is shutting down");
  } else if (!std::exchange(parent_cancel_requested_, true)) {
    parent_.cancel();
  }
}

}  // namespace weft::loop::detail
