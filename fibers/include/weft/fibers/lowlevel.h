// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The one way to suspend. Locks, channels, sockets, threads and the loop are all built on these few
// calls; build your own primitives on them too. (Trio: trio.lowlevel.)
//
//   class Gate {                                     // a one-shot event for one task
//    public:
//     void wait() {
//       task_ = &current_task();
//       wait_task_rescheduled([&](const RaiseCancel&) { task_ = nullptr; return Abort::kSucceeded;
//       });
//     }
//     void open() { if (task_ != nullptr) reschedule(*std::exchange(task_, nullptr)); }
//    ...

#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/outcome.h"
#include "weft/fibers/task.h"

namespace weft::fibers {

// The answer of an abort function. kSucceeded: the operation did not happen and never will; the
// wait throws. kFailed: the operation goes on and somebody will reschedule the task.
enum class Abort : std::uint8_t { kSucceeded, kFailed };

// Throws the cancellation that an abort function was called for. May be copied and called later.
class RaiseCancel {
 public:
  [[noreturn]] void operator()() const;
  // What operator() throws.
  std::exception_ptr as_exception() const;

 private:
  friend struct RaiseCancelAccess;
  explicit RaiseCancel(std::shared_ptr<const CancelReason> reason) : reason_(std::move(reason)) {}
  std::shared_ptr<const CancelReason> reason_;
};

// What a waiting task tells the task tree: a string that outlives the wait, and a number to print
// behind it (a descriptor, say) unless negative. `on` is what identifies the thing waited for.
struct WaitingFor {
  const char* what = "wait_task_rescheduled";
  long number = -1;
  const void* on = nullptr;
};

namespace detail {
struct TaskLocals;
using AbortThunk = Abort (*)(void* context, const RaiseCancel&);
void wait_rescheduled(AbortThunk abort, void* context, const WaitingFor& waiting_for);
void set_wait_slot(void* slot, const void* type);
// Where the value of that wait goes. From here on nobody else ends the wait, nor cancels it.
void* claim_wait(Task& task, const void* type);
void end_claimed_wait(Task& task, std::exception_ptr error) noexcept;
template <class T>
inline constexpr char kTypeTag = 0;
}  // namespace detail

// Suspends the running task until somebody calls reschedule() for it. `abort` is called at most
// once a wait, from inside CancelScope::cancel (or before suspending, if already cancelled), and
// must not wait or throw. Exactly one reschedule a wait, none after kSucceeded.
//
// Blocks: yes, always a checkpoint.
// Cancel: as `abort` decides.
// Threads: the run's own only.
template <class AbortFn>
requires std::is_invocable_r_v<Abort, AbortFn&, const RaiseCancel&>
[[gnu::always_inline]] inline void wait_task_rescheduled(AbortFn&& abort,
                                                         const WaitingFor& waiting_for = {}) {
  using Fn = std::remove_reference_t<AbortFn>;
  detail::wait_rescheduled(
      [](void* context, const RaiseCancel& raise) { return (*static_cast<Fn*>(context))(raise); },
      const_cast<std::remove_const_t<Fn>*>(std::addressof(abort)), waiting_for);
}

// The same for a wait that ends with a value: reschedule(task, Outcome<T>).
//
// Blocks: yes, always a checkpoint.
// Cancel: as `abort` decides.
// Threads: the run's own only.
template <class T, class AbortFn>
requires std::is_invocable_r_v<Abort, AbortFn&, const RaiseCancel&> T
wait_task_rescheduled(AbortFn&& abort, const WaitingFor& waiting_for = {}) {
  std::optional<Outcome<T>> delivered;
  detail::set_wait_slot(&delivered, &detail::kTypeTag<T>);
  wait_task_rescheduled(std::forward<AbortFn>(abort), waiting_for);
  if (!delivered) {
    detail::set_wait_slot(nullptr, nullptr);
    throw UsageError("the task was rescheduled without the value that its wait returns");
  }
  return delivered->unwrap();
}

// Makes a waiting task ready: its wait returns, or throws `error`. Throws UsageError if the task is
// not waiting or has been rescheduled already, or belongs to another thread.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only; elsewhere use Token::run_sync_soon.
void reschedule(Task& task);
void reschedule(Task& task, std::exception_ptr error);
// If moving the value throws, that is what the wait throws, and this call too.
template <class T>
void reschedule(Task& task, Outcome<T> outcome) {
  void* const slot = detail::claim_wait(task, &detail::kTypeTag<T>);
  try {
    static_cast<std::optional<Outcome<T>>*>(slot)->emplace(std::move(outcome));
  } catch (...) {
    detail::end_claimed_wait(task, std::current_exception());
    throw;
  }
  detail::end_claimed_wait(task, nullptr);
}

// Lets others run, then raises Cancelled if this task is cancelled.
//
// Blocks: yes, always a checkpoint.
// Cancel: after the others have run.
// Threads: the run's own only.
void checkpoint();
// The halves of checkpoint(). The first only raises, and does not suspend a task that is not
// cancelled.
//
// Cancelled first: in a cancelled scope every call that may suspend says Cancelled, whatever else
// is wrong with it (a closed handle, a lock taken twice, another task in the same call, a bad
// argument). A call of your own keeps the rule by calling this before anything else. Where every
// nanosecond counts it is enough to call it before each error: a call that succeeds, or waits,
// checks by itself.
//
// Blocks: only if cancelled.
// Cancel: at once.
// Threads: the run's own only.
void checkpoint_if_cancelled();
// Blocks: yes, a schedule point.
// Cancel: never.
// Threads: the run's own only.
void cancel_shielded_checkpoint();

// Starts a task outside all nurseries of the program, under the run itself, and with no context
// variable set. It is cancelled when the main task ends; if it fails, so does the run, with
// InternalError.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
Nursery& system_nursery();
namespace detail {
// What is started while it lives does not inherit the running task's context variables.
class WithoutContext {
 public:
  WithoutContext();
  WithoutContext(const WithoutContext&) = delete;
  WithoutContext& operator=(const WithoutContext&) = delete;
  ~WithoutContext();

 private:
  TaskLocals* kept_ = nullptr;
};
}  // namespace detail
template <class F>
void spawn_system_task(F&& fn, const TaskOptions& options = {},
                       std::source_location site = std::source_location::current()) {
  const detail::WithoutContext fresh;
  system_nursery().start_soon(std::forward<F>(fn), options, site);
}

namespace detail {
// cancel_shielded_checkpoint() of a task whose own park hook need not hear of it.
void pass_turn();
}  // namespace detail

// Called on a task's own stack each time just before it suspends, until it is taken off again
// (which it may do itself). It must not wait or throw. This is how the loop learns that a callback
// blocks.
struct ParkHook {
  void (*about_to_park)(ParkHook&) = nullptr;
};
// The running task's hook; null for none. Returns the one before.
ParkHook* set_park_hook(ParkHook* hook);

// Runs tasks in an order of its own instead of the run's: an event loop, say, which runs its tasks
// between its callbacks. TaskOptions::stepper says so from a task's beginning.
struct Stepper {
  // `task` can go on. Called by whatever makes it ready, once until it is stepped; it must not wait
  // or throw.
  void (*task_ready)(Stepper&, Task& task) noexcept = nullptr;
};
// Who steps `task` from now on; null: the run. Returns the one before. A task that the old one has
// been told of, and has not stepped, is told to the new one.
Stepper* set_stepper(Task& task, Stepper* stepper) noexcept;
// Runs `task` at once, until it suspends or ends; then the caller goes on. One switch each way, and
// nothing else of the run in between. The task has a Stepper, and has been told to it; or it waits,
// and its wait ends as reschedule() ends it. Throws UsageError if neither is so.
//
// Blocks: no; as long as `task` runs.
// Cancel: not a checkpoint.
// Threads: the run's own only.
void step(Task& task);

// One word in each task for the layer above: weft::loop keeps there which of its loops, and which
// of that one's tasks, run in it. Null at first, and outside tasks.
void* task_word() noexcept;
void* task_word(const Task& task) noexcept;
// Throws UsageError outside a task. Returns the one before.
void* set_task_word(void* word);

// Before the next task runs, the run looks for descriptors, deadlines and calls from other threads,
// however short ago it has done that. Throws UsageError outside a run.
void poll_at_next_suspension();

// How often this task has passed a schedule point and a cancel point. (For assert_checkpoints.)
struct CheckpointCounts {
  std::uint32_t schedule_points = 0;
  std::uint32_t cancel_points = 0;
};
CheckpointCounts checkpoint_counts();

}  // namespace weft::fibers
