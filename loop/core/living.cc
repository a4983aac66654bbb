// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/core/living.h"

#include <cstdint>
#include <exception>
#include <utility>

#include "loop/core/kept_loop.h"
#include "loop/core/loop_core.h"
#include "weft/fibers/errors.h"
#include "weft/loop/detail/living.h"

namespace weft::loop::detail {

// What is destroyed here may take others of the list along.
void Living::abandon_tasks() noexcept {
  while (TaskCore* const task = tasks_) {
    const FutureKeeper kept(task->future());
    task->leave_list();
    task->enlist(abandoned_);
    task->abandon();
  }
  for (Runner* runner = blocked_.first(); runner != nullptr; runner = runner->next) {
    if (runner->node->kind == NodeKind::kTask) runner->resume_at_once();
  }
}

void Living::remove_blocked(Runner& runner) noexcept {
  blocked_.remove(runner);
  if (std::exchange(runner.in_round, false)) [[unlikely]]
    leave_round();
  if (blocked_.empty()) blocked_waiters_.wake_all();
}

void Living::cancel_blocked() {
  for (Runner* runner = blocked_.first(); runner != nullptr; runner = runner->next) {
    const NodeKind kind = runner->node->kind;
    if (kind != NodeKind::kTask && kind != NodeKind::kOwned) runner->node->cancelled = true;
    runner->cancel();
  }
}

void Living::wait_blocked() {
  fibers::checkpoint_if_cancelled();
  if (const Running* here = Running::here(); here != nullptr && here->core == &core_) {
    throw fibers::UsageError(
        "a callback cannot wait until no callback is blocked: it would wait for itself; wait in a "
        "task");
  }
  const KeptLoop kept(core_);
  fibers::checkpoint();
  while (!blocked_.empty()) {
    WaitList::Entry entry;
    blocked_waiters_.wait(entry, "blocked callbacks of the loop");
  }
}

static bool is_callback(const Runner& blocked) {
  return blocked.node->kind != NodeKind::kTask;
}

// What cancelling a task calls may be the user's, and may wait: tasks come and go meanwhile. Those
// that come are not of this round.
void Living::cancel_all() {
  const std::uint64_t limit = tasks_made_;
  std::exception_ptr error;
  round_left_ = 0;
  for (TaskCore* task = tasks_; task != nullptr; task = task->next_of_loop()) {
    task->set_in_round(false);
  }
  for (Runner* runner = blocked_.first(); runner != nullptr; runner = runner->next) {
    runner->in_round = is_callback(*runner);
    if (runner->in_round) ++round_left_;
  }
  // Who is cancelled by its task is not cancelled twice.
  for (Runner* runner = blocked_.first(); runner != nullptr; runner = runner->next) {
    if (!runner->in_round) continue;
    if (runner->node->kind != NodeKind::kOwned) runner->node->cancelled = true;
    runner->cancel();
  }
  for (TaskCore* task = tasks_; task != nullptr;) {
    if (task->in_round() || task->of_generator() || task->number() > limit) {
      task = task->next_of_loop();
      continue;
    }
    const FutureKeeper kept(task->future());
    task->set_in_round(true);
    ++round_left_;
    try {
      task->request_cancel(nullptr);
    } catch (...) {
      error = std::current_exception();
      if (task->in_round()) --round_left_;
      task->set_in_round(false);
    }
    task = task->listed() ? task->next_of_loop() : tasks_;
  }
  if (error != nullptr) std::rethrow_exception(error);
}

void Living::wait_for_cancelled() {
  const KeptLoop kept(core_);
  while (round_left_ > 0) {
    WaitList::Entry entry;
    round_waiters_.wait(entry, "what was cancelled with the loop");
  }
}

bool Living::any() const noexcept {
  for (const TaskCore* task = tasks_; task != nullptr; task = task->next_of_loop()) {
    if (!task->of_generator()) return true;
  }
  for (const Runner* runner = blocked_.first(); runner != nullptr; runner = runner->next) {
    if (is_callback(*runner)) return true;
  }
  return false;
}

void cancel_living(LoopCore& core) {
  core.living().cancel_all();
}
void wait_for_cancelled(LoopCore& core) {
  core.living().wait_for_cancelled();
}
bool any_living(const LoopCore& core) noexcept {
  return core.living().any();
}
void wind_up(LoopCore& core, WindUp stage) {
  core.open_objects().wind_up(stage);
}

}  // namespace weft::loop::detail
