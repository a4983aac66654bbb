// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/nursery.h"

#include <utility>

#include "fibers/core/captures.h"
#include "fibers/core/current_scheduler.h"
#include "fibers/core/nursery_access.h"
#include "fibers/core/park.h"
#include "fibers/core/tree_values.h"
#include "weft/fibers/detail/destroyed.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lone_error.h"

namespace weft::fibers {

using detail::TaskBlock;

namespace {

void link_child(TaskBlock*& first, TaskBlock& child) {
  child.prev_in_nursery = nullptr;
  child.next_in_nursery = first;
  if (first != nullptr) first->prev_in_nursery = &child;
  first = &child;
}

void unlink_child(TaskBlock*& first, TaskBlock& child) {
  if (child.next_in_nursery != nullptr)
    child.next_in_nursery->prev_in_nursery = child.prev_in_nursery;
  if (child.prev_in_nursery != nullptr) {
    child.prev_in_nursery->next_in_nursery = child.next_in_nursery;
  } else {
    first = child.next_in_nursery;
  }
}

}  // namespace

Nursery::Nursery(std::source_location site) : site_(site) {
  scope_.enter();
  parent_ = ScopeAccess::status(scope_).entered_by;
  next_of_parent_ = std::exchange(parent_->innermost_nursery, this);
}

// close() has run, unless starting the only task of a Nursery::start has failed.
Nursery::~Nursery() {
  if (first_child_ != nullptr) [[unlikely]]
    detail::destroyed_in_use("Nursery", this, first_child_, "runs in it");
  if (ScopeAccess::status(scope_).entered_by != nullptr) scope_.close_status();
  if (parent_->innermost_nursery == this) parent_->innermost_nursery = next_of_parent_;
  if (parent_->tree_values != nullptr) [[unlikely]]
    parent_->tree_values->forget(*this);
}

Task& Nursery::parent_task() const {
  return *parent_;
}

std::vector<Task*> Nursery::child_tasks() const {
  std::vector<Task*> tasks;
  for (TaskBlock* t = first_child_; t != nullptr; t = t->next_in_nursery) tasks.push_back(t);
  return tasks;
}

void NurseryAccess::child_cancelled(Nursery& nursery) {
  if (!nursery.cancelled_inside_) nursery.add_error(std::current_exception());
}

void NurseryAccess::child_ended(Nursery& nursery, TaskBlock& child) {
  unlink_child(nursery.first_child_, child);
  detail::unlink_task(child);
  wake_parent(nursery);
}

// From here on the nursery refuses tasks, although its parent has not run yet.
void NurseryAccess::wake_parent(Nursery& nursery) {
  if (!nursery.parent_waiting_ || nursery.has_work()) return;
  nursery.parent_waiting_ = false;
  nursery.closed_ = true;
  nursery.parent_->scheduler->wake(*nursery.parent_);
}

void NurseryAccess::require_open(const Nursery& nursery) {
  WEFT_REQUIRE(
      nursery.parent_->scheduler == detail::tls_scheduler,
      "a task can be started only from the thread of its nursery; use Token::run_sync_soon");
  WEFT_REQUIRE(!nursery.closed_,
               "the nursery is closed to new arrivals: its body and all of its tasks have ended");
}

void NurseryAccess::adopt(Nursery& nursery, TaskBlock& child) {
  child.parent = &nursery;
  link_child(nursery.first_child_, child);
  detail::link_task(child, ScopeAccess::status(nursery.scope_));
}

void NurseryAccess::move_child(Nursery& from, Nursery& to, TaskBlock& child) {
  unlink_child(from.first_child_, child);
  link_child(to.first_child_, child);
  child.parent = &to;
  child.eventual_parent = nullptr;
}

// The wait for the children is no cancel point: a Cancelled has reached them too, through the
// scope, and is left to them. An interrupt has come to this task only, and is kept.
WEFT_SWITCHES void Nursery::close() {
  closed_ = !has_work();
  if (closed_) cancel_shielded_checkpoint();
  while (!closed_) {
    parent_waiting_ = true;
    detail::park(*parent_->scheduler,
                 [](void* self, const RaiseCancel& raise) {
                   std::exception_ptr error = raise.as_exception();
                   if (!holds<Cancelled>(error))
                     NurseryAccess::interrupted(*static_cast<Nursery*>(self), std::move(error));
                   return Abort::kFailed;
                 },
                 this, {detail::kNurseryWait, -1, this});
  }
  parent_->innermost_nursery = next_of_parent_;
  if (errors_.empty() && !errors_lost_) {
    scope_.leave();
    return;
  }
  close_with_errors();
}

void Nursery::begin_start() {
  if (closed_) checkpoint_if_cancelled();
  NurseryAccess::require_open(*this);
  ++pending_starts_;
}

void Nursery::end_start() noexcept {
  --pending_starts_;
  NurseryAccess::wake_parent(*this);
}

void Nursery::let_close() noexcept {
  NurseryAccess::wake_parent(*this);
}

namespace detail {

Spawning begin_spawn(Nursery& nursery, const ClosureType& type, const TaskOptions& options,
                     std::source_location site) {
  Scheduler& scheduler = current_scheduler();
  NurseryAccess::require_open(nursery);
  TaskBlock* task = scheduler.create_task(type, options, site);
  return {task, task->closure};
}

void abandon_spawn(const Spawning& spawning) noexcept {
  spawning.task->scheduler->discard_task(spawning.task);
}

TaskBlock* commit_spawn(const Spawning& spawning, Nursery& nursery, const ClosureType& type) {
  TaskBlock& task = *spawning.task;
  if (!task.unchecked_captures) check_captures(task, nursery, type);
  NurseryAccess::adopt(nursery, task);
  task.scheduler->watchers().task_spawned(task);
  task.scheduler->make_ready(task);
  return &task;
}

StartHandshake::StartHandshake(Nursery& target, std::source_location site)
    : target_(target), hidden_(site) {
  target_.begin_start();
  // What the function refers to has to outlive the target, where its task will move to.
  NurseryAccess::body_frame(hidden_) = captures_bound(target_);
}

StartHandshake::~StartHandshake() {
  target_.end_start();
}

void StartHandshake::adopt(TaskBlock* task) {
  task->eventual_parent = &target_;
}

// Nothing moves if the caller of start() has been cancelled: the child will notice and end there.
void StartHandshake::started() {
  started_ = true;
  CancelStatus& from = ScopeAccess::status(hidden_.cancel_scope());
  if (from.effectively_cancelled) return;
  while (TaskBlock* child = NurseryAccess::first_child(hidden_)) {
    NurseryAccess::move_child(hidden_, target_, *child);
  }
  move_status_children(from, ScopeAccess::status(target_.cancel_scope()),
                       &block_of(hidden_.parent_task()));
  NurseryAccess::wake_parent(hidden_);
}

void StartHandshake::wait() {
  try {
    hidden_.close();
  } catch (const BaseExceptionGroup&) {
    // The hidden nursery held one task: its error comes out as it is.
    const std::exception_ptr current = std::current_exception();
    const std::exception_ptr only = lone_error(current, {.nested = false, .interrupt_first = true});
    if (only != current) std::rethrow_exception(only);
    std::throw_with_nested(InternalError(
        "several tasks failed in the nursery that Nursery::start() keeps to itself; the task that "
        "it starts must not start others through parent_nursery()"));
  }
  if (!started_) checkpoint_if_cancelled();
  WEFT_REQUIRE(started_, "the task of Nursery::start ended without calling TaskStatus::started");
}

}  // namespace detail

}  // namespace weft::fibers
