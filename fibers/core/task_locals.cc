// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/task_locals.h"

#include <atomic>
#include <utility>

#include "fibers/core/current_scheduler.h"
#include "fibers/core/greenlet_block.h"

namespace weft::fibers::detail {

namespace {

constinit thread_local TaskLocals** thread_locals = nullptr;
constinit thread_local TaskLocals** callback_locals = nullptr;

// Outside a run the thread's main greenlet has those of a call of to_thread, if it is in one.
bool in_call_of_thread() {
  return thread_locals != nullptr &&
         (tls_greenlets == nullptr || tls_greenlets->current()->is_main());
}

bool in_callback_with_locals() {
  return callback_locals != nullptr && tls_scheduler->running() == nullptr;
}

// Whether there are any values that code at this place works with.
bool anybody_here() {
  return tls_scheduler == nullptr || tls_scheduler->running() != nullptr ||
         callback_locals != nullptr;
}

TaskLocals*& own_locals() {
  if (tls_scheduler != nullptr && in_callback_with_locals()) return *callback_locals;
  if (tls_scheduler != nullptr) return tls_scheduler->running_task().locals;
  return in_call_of_thread() ? *thread_locals : greenlet_locals();
}

// The running task; null outside.
const TaskBlock* task_here() {
  return tls_scheduler != nullptr ? tls_scheduler->running() : nullptr;
}

// Usually those of a task.
const TaskLocals* look_at_own_locals() {
  if (const TaskBlock* task = task_here(); task != nullptr) [[likely]]
    return task->locals;
  if (tls_scheduler != nullptr && in_callback_with_locals()) return *callback_locals;
  if (tls_scheduler != nullptr) return tls_scheduler->running_task().locals;
  return in_call_of_thread() ? *thread_locals : greenlet_locals_if_any();
}

}  // namespace

[[gnu::cold]] void delete_locals(TaskLocals* locals) noexcept {
  do {
    delete std::exchange(locals, locals->next);
  } while (locals != nullptr && --locals->uses == 0);
}

TaskLocals** set_thread_locals(TaskLocals** place) noexcept {
  return std::exchange(thread_locals, place);
}

TaskLocals** set_callback_locals(TaskLocals** place) noexcept {
  return std::exchange(callback_locals, place);
}

TaskLocals* share_own_locals() {
  return share_locals(const_cast<TaskLocals*>(look_at_own_locals()));
}

TaskLocals* share_locals_here() noexcept {
  if (const TaskBlock* task = task_here(); task != nullptr) [[likely]]
    return share_locals(task->locals);
  return anybody_here() ? share_own_locals() : nullptr;
}

namespace {

// A list that is being made: it goes if memory runs out before it is whole.
class NewLocals {
 public:
  NewLocals() = default;
  NewLocals(const NewLocals&) = delete;
  NewLocals& operator=(const NewLocals&) = delete;
  ~NewLocals() { release_locals(first_); }

  void append(std::uint64_t var, std::shared_ptr<void> value) {
    *end_ = new TaskLocals{var, std::move(value), nullptr, 1};
    end_ = &(*end_)->next;
  }
  TaskLocals* take(TaskLocals* rest) {
    *end_ = rest;
    return std::exchange(first_, nullptr);
  }

 private:
  TaskLocals* first_ = nullptr;
  TaskLocals** end_ = &first_;
};

}  // namespace

TaskLocals** place_of_own_locals() noexcept {
  return anybody_here() ? &own_locals() : nullptr;
}

TaskLocals* detach_own_locals() {
  NewLocals copies;
  const TaskLocals* l = anybody_here() ? look_at_own_locals() : nullptr;
  for (; l != nullptr; l = l->next) copies.append(l->var, l->value);
  return copies.take(nullptr);
}

TaskLocals* exchange_locals(TaskLocals* locals) {
  return std::exchange(own_locals(), locals);
}

WithoutContext::WithoutContext() {
  if (in_trio_task()) kept_ = exchange_locals(nullptr);
}
WithoutContext::~WithoutContext() {
  if (kept_ != nullptr) exchange_locals(kept_);
}

std::uint64_t VariableId::make() {
  static std::atomic<std::uint64_t> last{0};
  std::uint64_t id = get();
  if (id != 0) return id;
  const std::uint64_t next = last.fetch_add(1, std::memory_order_relaxed) + 1;
  // Another thread may set the variable for the first time, too.
  return id_.compare_exchange_strong(id, next, std::memory_order_relaxed) ? next : id;
}

const void* find_local(std::uint64_t var) {
  for (const TaskLocals* l = look_at_own_locals(); l != nullptr; l = l->next) {
    if (l->var == var) return l->value.get();
  }
  return nullptr;
}

std::shared_ptr<const void> hold_local(std::uint64_t var) {
  for (const TaskLocals* l = look_at_own_locals(); l != nullptr; l = l->next) {
    if (l->var == var) return l->value;
  }
  return nullptr;
}

// Copies what lies in front of the old value, shares what lies behind.
void set_in_list(TaskLocals*& locals, std::uint64_t var, std::shared_ptr<void> value) {
  TaskLocals* const old = locals;
  NewLocals made;
  made.append(var, std::move(value));
  TaskLocals* at = old;
  for (; at != nullptr && at->var != var; at = at->next) made.append(at->var, at->value);
  locals = made.take(share_locals(at != nullptr ? at->next : nullptr));
  release_locals(old);
}

constinit std::atomic<bool> any_variable_set{false};

void set_local(std::uint64_t var, std::shared_ptr<void> value) {
  any_variable_set.store(true, std::memory_order_relaxed);
  set_in_list(own_locals(), var, std::move(value));
}

}  // namespace weft::fibers::detail
