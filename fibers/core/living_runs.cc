// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/living_runs.h"

#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

#include "fibers/core/scheduler.h"
#include "fibers/core/text.h"
#include "weft/fibers/inspect.h"

namespace weft::fibers {

namespace detail {

namespace {

struct LostTask {
  std::uint64_t thread;
  LivingTask task;
};

// For ever: threads may end after everything static has.
struct RunRegistry {
  std::mutex mutex;
  RunLink* first = nullptr;
  std::vector<LostTask> lost;
};
RunRegistry& run_registry() {
  static auto* const all = new RunRegistry;
  return *all;
}

// A number and not the thread's id, which is used again.
std::uint64_t this_thread_number() {
  static std::atomic<std::uint64_t> threads{0};
  thread_local const std::uint64_t number = ++threads;
  return number;
}

std::vector<LivingTask> tasks_of(const Scheduler& run) {
  std::vector<LivingTask> tasks;
  if (run.over()) return tasks;
  for (const TaskBlock* task : run.all_tasks()) {
    tasks.push_back({.id = task->number,
                     .name = std::string(task->name()),
                     .spawn_site = task->site,
                     .waiting_for = task->waiting_for()});
  }
  return tasks;
}

}  // namespace

// A lock for each run: one costs a thousand times as much.
RunLink::RunLink(Scheduler& r) : run(r), thread(this_thread_number()) {
  RunRegistry& all = run_registry();
  const std::lock_guard lock(all.mutex);
  next = std::exchange(all.first, this);
  if (next != nullptr) next->previous = this;
}

RunLink::~RunLink() {
  RunRegistry& all = run_registry();
  const std::lock_guard lock(all.mutex);
  if (next != nullptr) next->previous = previous;
  (previous != nullptr ? previous->next : all.first) = next;
}

void RunLink::give_up() {
  given_up = true;
  RunRegistry& all = run_registry();
  const std::lock_guard lock(all.mutex);
  for (LivingTask& task : tasks_of(run)) all.lost.push_back({thread, std::move(task)});
}

}  // namespace detail

std::vector<LivingTask> living_tasks() {
  const std::uint64_t thread = detail::this_thread_number();
  std::vector<LivingTask> tasks;
  detail::RunRegistry& all = detail::run_registry();
  const std::lock_guard lock(all.mutex);
  for (const detail::RunLink* link = all.first; link != nullptr; link = link->next) {
    if (link->thread != thread || link->given_up) continue;
    for (LivingTask& task : detail::tasks_of(link->run)) tasks.push_back(std::move(task));
  }
  for (const detail::LostTask& lost : all.lost) {
    if (lost.thread == thread) tasks.push_back(lost.task);
  }
  return tasks;
}

std::string LivingTask::describe() const {
  return detail::concat({"task '", name, "' #", id, ", started at ", spawn_site.file_name(), ":",
                         spawn_site.line(), waiting_for.empty() ? "" : ", waiting for ",
                         waiting_for});
}

}  // namespace weft::fibers
