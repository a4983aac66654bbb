// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of a TaskGroup that does not depend on types. Not for use outside weft.

#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/loop/coro.h"
#include "weft/loop/detail/machine_box.h"
#include "weft/loop/task.h"

namespace weft::loop::detail {

template <class F, class Group>
concept ReturnsVoidCoro = requires(F& f, Group& group) {
  { std::invoke(f, group) } -> std::same_as<Coro<void>>;
};

class TaskGroupCore;

// Ends a group's future when no task is left. cancel() of it, by which a cancellation of the task
// that waits arrives, cancels the tasks instead, and the future ends as cancelled when they have
// ended: so no cancellation cuts the wait short, whoever waits.
class TaskGroupEnd {
 public:
  TaskGroupEnd(FutureCore& future, TaskGroupCore& group) noexcept
      : future_(future), group_(&group) {}
  bool request_cancel(std::exception_ptr payload);
  void finish();
  void lose_group() noexcept { group_ = nullptr; }

 private:
  FutureCore& future_;
  TaskGroupCore* group_;
  std::exception_ptr payload_;
  bool cancelled_ = false;
};

// asyncio's TaskGroup: enter(), and begin_leave() to finish_leave() are its `async with`. Shared
// with the callbacks of the tasks, which may outlive the frame of a coroutine that is destroyed.
class TaskGroupCore : public std::enable_shared_from_this<TaskGroupCore> {
 public:
  TaskGroupCore() = default;
  TaskGroupCore(const TaskGroupCore&) = delete;
  TaskGroupCore& operator=(const TaskGroupCore&) = delete;
  ~TaskGroupCore();

  // `scope`: around a body on a stack, see TimeoutCore.
  void enter(fibers::CancelScope* scope = nullptr);
  // What the body has ended with, or null. Returns what to wait for.
  Future<void> begin_leave(const std::exception_ptr& error);
  // What has come out of that wait, or null. Throws what comes out of the group.
  void finish_leave(const std::exception_ptr& error);

  bool open() const { return entered_ && !(exiting_ && tasks_.empty()) && !aborting_; }
  void require_open() const;
  bool aborting() const { return aborting_; }
  bool entered() const { return entered_; }
  std::size_t tasks() const { return tasks_.size(); }
  std::size_t errors() const { return errors_.size(); }
  EventLoop& loop() const { return end_.get_loop(); }
  // Made before a task is: so that there is memory for it, and for its error. Of one creator each:
  // an eager task may make others while it is being made itself.
  class Room;
  void add(Room& room, TaskBase task);
  void cancel();
  void abort();

 private:
  using Tasks = std::list<TaskBase>;
  class Link;
  void task_done(Tasks::iterator at);
  void task_gone(Tasks::iterator at) noexcept;
  void note_error(const std::exception_ptr& error, const TaskBase& task);
  void cancel_parent();
  void note_base_error(const std::exception_ptr& error);

  TaskBase parent_;
  Tasks tasks_;
  std::size_t rooms_ = 0;  // Of tasks that are being made.
  std::vector<std::exception_ptr> errors_;
  std::exception_ptr base_error_;  // A KeyboardInterrupt, which comes out alone.
  std::exception_ptr cancelled_;   // The cancellation that comes out if nothing else does.
  std::exception_ptr body_error_;
  Future<void> end_;
  TaskGroupEnd* end_machine_ = nullptr;  // In `end_`.
  fibers::CancelScope* scope_ = nullptr;
  bool entered_ = false;
  bool exiting_ = false;
  bool aborting_ = false;
  bool parent_cancel_requested_ = false;  // By cancel_parent(): to be taken back.
};

class TaskGroupCore::Room {
 public:
  explicit Room(TaskGroupCore& group);
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  ~Room() { --group_.rooms_; }

 private:
  friend class TaskGroupCore;
  TaskGroupCore& group_;
  Tasks place_;  // One, empty yet.
};

// begin_leave(), the wait, and finish_leave().
Coro<void> leave_group(std::shared_ptr<TaskGroupCore> core, std::exception_ptr error);

template <class Group, class F>
Coro<void> run_group(std::shared_ptr<TaskGroupCore> core, Group& group, F body) {
  core->enter();
  std::exception_ptr error;
  try {
    co_await std::invoke(body, group);
  } catch (...) {
    error = std::current_exception();
  }
  co_await leave_group(std::move(core), std::move(error));
}

// Calls `body`, here and now.
void run_group_here(const std::shared_ptr<TaskGroupCore>& core, const std::function<void()>& body);

}  // namespace weft::loop::detail
