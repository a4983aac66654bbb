// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <exception>
#include <utility>

#include "fibers/core/check.h"
#include "fibers/core/guest.h"
#include "fibers/core/host_call.h"
#include "fibers/core/scheduler.h"
#include "weft/fibers/guest.h"

namespace weft::fibers {
namespace detail {

// A batch that begins with the end of a wait, without the queue. Nobody is ready, there are no
// instruments, and the task is not stepped.
void Scheduler::run_woken_task(TaskBlock& task) {
  task.abort = nullptr;
  task.wake = Wake::kValue;
  task.state = TaskState::kReady;
  turns_.begin(turns_.next_budget(ready_), ready_);
  switch_to_task(own_, task);
  turns_.end(ready_);
  if (watchers_.steps()) [[unlikely]]
    watchers_.instruments()->end_step();  // An instrument has come meanwhile.
}

template <class F>
void Guest::tick_without_poll(const F& run_tasks) {
  std::exception_ptr failure;
  {
    const Ticking guard(*this);
    try {
      run_tasks();
      if (plan_stands()) {
        scheduler().poller().count_tick();
        scheduler().host().at_leisure = true;
        return;
      }
      if (!scheduler().over()) {
        wait_ = scheduler().poller().before_wait();
        wait_for_poll();
      }
    } catch (...) {
      failure = std::current_exception();
    }
  }
  if (failure != nullptr || scheduler().over()) finish(failure);
}

void Guest::tick_here() {
  if (!wait_ || !only_tasks_count()) return tick_without_look();
  tick_without_poll([this] { scheduler().run_ready_tasks(); });
}

// A run at leisure has nobody ready, and has planned its wait.
bool Guest::resume_here(TaskBlock& task) {
  if (!only_tasks_count()) return false;
  tick_without_poll([&] { scheduler().run_woken_task(task); });
  return true;
}

// Calls from outside, deadlines and descriptors bring a tick by the run's own descriptor.
bool Guest::only_tasks_count() const {
  Scheduler& run = scheduler();
  return run.watchers().instruments() == nullptr && run.schedule_source() == nullptr &&
         run.time().is_the_machines() && run.poller().idle_waiters().empty();
}

// Whether the wait that was planned last is still the right one.
bool Guest::plan_stands() const {
  Scheduler& run = scheduler();
  return run.ready().empty() && !run.over() && only_tasks_count() &&
         run.deadlines().lower_bound() == planned_for_ && !run.interrupt().requested() &&
         !run.stacks().worth_trimming(Poller::kKeepStacks);
}

}  // namespace detail

using detail::host_call;

namespace {

bool note_call() noexcept {
  return host_call.noted = true;
}

}  // namespace

TickHere::TickHere() noexcept {
  detail::Scheduler* const run = detail::tls_scheduler;
  if (run == nullptr || !run->host().at_leisure || host_call.run != run) return;
  if (host_call.call == &note_call) return;  // One that is further out makes the tick.
  as_ever_ = std::exchange(host_call.call, &note_call);
  host_call.noted = false;
}

TickHere::~TickHere() {
  if (as_ever_ == nullptr) return;
  const bool ask = wanted();
  stop_noting();
  if (ask) detail::tls_scheduler->call_host();
}

void TickHere::stop_noting() noexcept {
  if (host_call.call == &note_call) host_call.call = as_ever_;
  as_ever_ = nullptr;
  host_call.noted = false;
}

bool TickHere::wanted() const noexcept {
  return as_ever_ != nullptr && host_call.noted;
}

void TickHere::make() {
  WEFT_REQUIRE(wanted(), "nothing has asked for a tick: see wanted()");
  detail::Guest& guest = *host_call.guest;
  stop_noting();
  guest.tick_here();
}

bool detail::resume_here(Task& task) {
  TaskBlock& block = block_of(task);
  Scheduler* const run = tls_scheduler;
  return run != nullptr && run->host().at_leisure && host_call.run == run &&
         host_call.call != &note_call && block.scheduler == run &&
         block.state == TaskState::kWaiting && !block.stepped() &&
         host_call.guest->resume_here(block);
}

}  // namespace weft::fibers
