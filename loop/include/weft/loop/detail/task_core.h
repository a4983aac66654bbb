// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of an asyncio task that depends neither on its type nor on what its code is: a
// coroutine, a function with a stack of its own, or somebody else's. Not for use outside weft.

#pragma once

#include <cstdint>
#include <exception>
#include <source_location>
#include <string>
#include <utility>

#include "weft/fibers/context_var.h"
#include "weft/loop/detail/future_core.h"
#include "weft/loop/detail/handle_node.h"

namespace weft::loop::detail {

class CoroDriver;
class LoopCore;
class PromiseBase;
class Runner;
class TaskCore;
struct Running;

// What the code of a task is made of, as far as the task knows.
struct TaskCode {
  const CoroDriver* driver = nullptr;      // Of coroutines.
  const PromiseBase* outermost = nullptr;  // The first of them.
  fibers::Task* fiber = nullptr;           // Of a function that has begun and not ended.
};

// What stands for a task in the ready queue, and among the callbacks of the future it awaits.
struct TaskNode : HandleNode {
  TaskNode(LoopCore& loop, TaskCore& whose, std::source_location where) noexcept
      : HandleNode(loop, where), task(whose) {
    kind = NodeKind::kTask;
  }
  TaskCore& task;
};

// What a task adds to its future: code that runs in steps. Each step is a callback of the loop, in
// order with the others: the first one, the one after a future that it awaits is done, the one
// after a bare yield. Between its steps nothing of it runs. Whoever has the node queued or linked
// holds a reference on the future.
class TaskCore {
 public:
  // How a step ends.
  enum class Step : std::uint8_t {
    kReturned,   // The code has ended; its value is in place.
    kRaised,     // It has ended with step_error, a CancelledError perhaps.
    kAwaits,     // It waits for step_future, which is pending or not.
    kYields,     // It wants another step in the next iteration.
    kElsewhere,  // It waits for something that the loop does not know, and comes back by itself.
  };

  TaskCore(FutureCore& future, std::source_location site);
  TaskCore(const TaskCore&) = delete;
  TaskCore& operator=(const TaskCore&) = delete;

  FutureCore& future() const { return future_; }
  LoopCore& loop() const { return future_.loop(); }

  // What the future's cancel() does: the last of the tasks that await each other is cancelled. If
  // they do so in a circle, one of them ends its wait.
  bool request_cancel(std::exception_ptr payload);
  // How many cancel() have not been taken back, and taking one back; returns how many are left.
  // None left also takes back a cancellation that has not been delivered.
  std::uint32_t cancelling() const { return cancels_; }
  std::uint32_t uncancel();
  // Whether the next step is to throw a cancellation.
  bool must_cancel() const { return must_cancel_; }
  // Throws that cancellation now, if there is one.
  void throw_cancellation();
  // "Task-7", unless it was given one.
  std::string name() const;
  void set_name(std::string name) { name_ = std::move(name); }
  // The variables that it runs with. Taken over.
  void set_context(fibers::detail::TaskLocals* context) noexcept {
    fibers::detail::release_locals(std::exchange(node_.context, context));
  }
  // A copy of them as they are now, also in the middle of a step.
  fibers::Context context() const {
    return fibers::ContextAccess::make(fibers::detail::share_locals(variables()));
  }
  // What it awaits; null while it runs or is about to.
  FutureCore* awaiting() const { return awaiting_; }
  // It waits for something of fibers, in the middle of a step.
  bool elsewhere() const { return elsewhere_ || blocked_on_ != nullptr; }
  // It is between two steps: in the queue, or waits for a future.
  bool at_rest() const {
    return blocked_on_ == nullptr && (awaiting_ != nullptr || node_.queued());
  }
  // For call graphs.
  virtual TaskCode code() const noexcept { return {}; }
  // After a wait of fibers that a cancel() has ended, on the stack that has waited: whoever asked
  // for that cancellation takes it back, and the next waits go on. False if there was none.
  static bool take_cancellation_here();
  TaskCore* next_of_loop() const { return next_; }
  // A generator's own: it ends with the generator, and no round of cancellations reaches it; see
  // living.h.
  void belong_to_generator() noexcept { of_generator_ = true; }
  bool of_generator() const { return of_generator_; }
  // A member of the present round, until it leaves the loop's list.
  bool in_round() const { return in_round_; }
  void set_in_round(bool member) noexcept { in_round_ = member; }
  std::uint64_t number() const { return number_; }
  bool listed() const { return at_ != nullptr; }
  // Into a list of the loop; out of the one it is in.
  void enlist(TaskCore*& first) noexcept;
  void leave_list() noexcept;

  // The first step as a callback, or at once, in the place of whoever runs in this loop.
  void start();
  void start_eagerly();
  // Instead: it ends as cancelled, and nobody is told.
  void discard() noexcept;
  // Another step, as a callback; once, however often it is asked for before that. Not once the loop
  // is closed.
  void push() noexcept;

  // --- For the core. ---
  // The node has come out of the ready queue, with its reference.
  void run_step(Runner& me);
  void step_blocks(Runner& on) noexcept;
  // Whoever had the node has let go of it, with its reference.
  void dropped() noexcept;
  // The loop is being closed: nothing of it is stepped any more. What waits in a fiber goes on by
  // itself, cancelled; anything else ends here, as cancelled.
  virtual void abandon() noexcept;
  // The future's before_destroy() and describe().
  void before_destroy() noexcept;
  void describe(ExceptionContext& context) const noexcept;

 protected:
  ~TaskCore();

  // What it runs with at this moment; not counted.
  virtual fibers::detail::TaskLocals* variables() const noexcept;
  // What it begins its next step with, on the stack of whoever steps it.
  fibers::detail::TaskLocals* variables_between_steps() const noexcept { return node_.context; }

  // Runs on until the code waits or ends. `error`: what is to be thrown there; null to go on.
  virtual Step resume(std::exception_ptr error) = 0;
  // The code, with all that it refers to, goes: it has not begun, or does not go on.
  virtual void drop_code() noexcept = 0;
  // A request to cancel it has come, and goes on to what it awaits.
  virtual void note_cancel(const std::exception_ptr&) noexcept {}
  // The code waits elsewhere, or has gone on from there, and is to hear of a cancellation. False if
  // that wait cannot be cancelled any more: the next step throws it.
  virtual bool cancel_elsewhere() noexcept { return true; }
  // Instead of throwing it the step goes on with what has come of that wait; the cancellation is
  // for the next wait.
  virtual bool result_comes_first() const noexcept { return false; }
  void end_step(Step step);
  // Takes it out of the callbacks of the future that it awaits. False if it is not there.
  bool stop_awaiting() noexcept;
  // The next step is when `awaited` is done.
  void await(FutureCore& awaited) noexcept;

  std::exception_ptr step_error;
  FutureCore* step_future = nullptr;

 private:
  Step step(Running& running);
  void keep_variables(fibers::detail::TaskLocals* present) noexcept;
  void await_step_future();
  void throw_next(std::exception_ptr error) noexcept;
  void require_awaitable(const FutureCore& awaited) const;
  void end_in_closed_loop() noexcept;
  void report_pending() noexcept;
  std::exception_ptr take_cancellation();
  TaskCore* awaited_task() const { return awaiting_ != nullptr ? awaiting_->task() : nullptr; }
  bool hears_cancel(const std::exception_ptr& payload) noexcept;  // False if it has ended.
  TaskCore* pass_to_last(const std::exception_ptr& payload) noexcept;
  void take_cancel(std::exception_ptr payload);
  void stop_passing_on() noexcept;
  void end_circle(std::exception_ptr payload) noexcept;
  void finish(FutureCore::State state, std::exception_ptr error);
  void finish_raised();

  FutureCore& future_;
  TaskNode node_;
  FutureCore* awaiting_ = nullptr;
  Runner* blocked_on_ = nullptr;  // Its step waits, on that one's stack.
  std::exception_ptr to_throw_;   // In the next step.
  std::exception_ptr payload_;    // Of the cancellation that must_cancel_ stands for.
  TaskCore* next_ = nullptr;      // Of the loop's tasks that are not done,
  TaskCore** at_ = nullptr;       // and where the pointer to this one lies.
  std::uint32_t cancels_ = 0;
  bool must_cancel_ = false;
  bool passing_on_ = false;  // A request to cancel it is on its way along what it awaits.
  bool elsewhere_ = false;
  bool result_first_ = false;  // This step is one after such a wait.
  bool of_generator_ = false;
  bool in_round_ = false;
  const std::uint64_t number_;
  std::string name_;
};

}  // namespace weft::loop::detail
