// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/thread_event.h"

#include <chrono>
#include <utility>

#include "weft/fibers/detail/destroyed.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/token.h"

namespace weft::fibers {

// Shared with a call on its way into the run, which may come after the wait was cancelled.
struct detail::WaitingTask {
  LastCall call{current_token()};  // With room of its own: set() cannot fail.
  Task* task = &current_task();    // The run's thread only. Null: does not wait any more.
};

ThreadEvent::ThreadEvent() = default;
ThreadEvent::~ThreadEvent() {
  if (!tasks_.empty()) [[unlikely]]
    detail::destroyed_in_use("ThreadEvent", this, tasks_.front()->task, "waits for it");
}

bool ThreadEvent::is_set() const {
  const std::lock_guard lock(mutex_);
  return set_;
}

void ThreadEvent::set() {
  std::vector<std::shared_ptr<detail::WaitingTask>> tasks;
  {
    const std::lock_guard lock(mutex_);
    set_ = true;
    tasks.swap(tasks_);
    // Under the mutex: who waited may destroy this as soon as it has it.
    changed_.notify_all();
  }
  for (const auto& waiting : tasks) {
    // Refused, it was of a run that is over: nobody of that waits.
    waiting->call.make([waiting] {
      if (Task* task = std::exchange(waiting->task, nullptr)) reschedule(*task);
    });
  }
}

void ThreadEvent::refuse_in_callback() {
  if (!in_trio_run()) return;
  throw UsageError(
      "ThreadEvent::wait would block the thread of this run, in a callback of its scheduler; "
      "wait in a task");
}

void ThreadEvent::wait() {
  if (in_trio_task()) return wait_in_task();
  refuse_in_callback();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return set_; });
}

bool ThreadEvent::wait_for(Duration timeout) {
  if (in_trio_task()) {
    move_on_after(timeout, [this] { wait_in_task(); });
    return is_set();
  }
  refuse_in_callback();
  // Not longer than a year at once: the library's own sum would overflow.
  constexpr Duration kMost = std::chrono::hours(24 * 365);
  const bool for_ever = timeout > kMost;
  const auto until = std::chrono::steady_clock::now() + (for_ever ? kMost : timeout);
  std::unique_lock lock(mutex_);
  if (!for_ever) return changed_.wait_until(lock, until, [this] { return set_; });
  changed_.wait(lock, [this] { return set_; });
  return true;
}

void ThreadEvent::wait_in_task() {
  const auto waiting = std::make_shared<detail::WaitingTask>();
  const bool was_set = [&] {
    const std::lock_guard lock(mutex_);
    if (!set_) tasks_.push_back(waiting);
    return set_;
  }();
  if (was_set) return checkpoint();
  wait_task_rescheduled(
      [&](const RaiseCancel&) {
        waiting->task = nullptr;
        const std::lock_guard lock(mutex_);
        std::erase(tasks_, waiting);
        return Abort::kSucceeded;
      },
      {.what = "ThreadEvent.wait", .on = this});
}

}  // namespace weft::fibers
