// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// One block of open_loop: two nurseries, a loop, and the order in which they come and go. That
// order is the hard part: a loop that is shut down in the wrong order deadlocks, or leaves tasks
// behind.
//
//   L, the loop nursery: the task that runs the loop, the forwarder
//   └─ T, the tasks nursery, shielded: the body, what trio_as_aio starts
//
// All kinds of code may use each other until they have ended: a callback that unwinds may wait for
// a task, a task may call a callback, either may await a task of the loop. Therefore T is inside L,
// all are cancelled at the same moment, and the loop goes on until T has closed.

#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/nursery.h"
#include "weft/loop/event_loop.h"

namespace weft::shim {

// In the order in which a block goes through them. From kBodyEnded on none is left out, whatever
// happens; who fails to start goes there at once.
enum class Phase : std::uint8_t {
  kNew,
  // Start-up.
  kMakeLoop,     // In L. From here on current_loop() is this loop.
  kShieldTasks,  // T is open: nothing from outside reaches it directly.
  kStartLoop,  // Under T's shield, or an enclosing cancellation would stop the loop from starting.
  kForward,    // A task in L passes a cancellation from outside on to the body.
  kBody,
  // Shut-down.
  kBodyEnded,   // No forwarding any more.
  kLetStart,    // What has been submitted begins. A loop that was stopped early runs again.
  kCancel,      // Blocked callbacks, the loop's tasks and T's, together, in rounds: end_living().
  kCloseTasks,  // T closes when all of them have ended.
  kCloseGenerators,  // The loop's asynchronous generators, unshielded once they have begun to.
  kCloseResources,   // at_close(), while the loop still runs. Shielded, as all that follows.
  kCloseTransports,  // Aborted: connection_lost() of each that is left.
  kStopLoop,
  kDrain,      // What was submitted meanwhile runs.
  kCloseLoop,  // current_loop() is what it was before.
  kReraise,    // The cancellation that ended the body goes on, outside the shield.
  kClosed,     // L has closed.
};

// A loop that stops so many times in a row for lack of memory is closed: who waits for it fails.
inline constexpr int kMostLacksOfMemory = 10;

class LoopBlock : public std::enable_shared_from_this<LoopBlock> {
 public:
  // `strict`: a lone error keeps the groups of L and T around it.
  explicit LoopBlock(bool strict) : strict_(strict) {}
  LoopBlock(const LoopBlock&) = delete;
  LoopBlock& operator=(const LoopBlock&) = delete;

  // The whole life, kNew to kClosed.
  void run(const std::function<void(loop::EventLoop&)>& body);

  // Gives a loop that is none of open_loop's, one of whose callbacks or tasks this is, a T of its
  // own: in a callback that is blocked until the loop closes. Nothing else of a block's life.
  static LoopBlock& adopt(loop::EventLoop& loop);

  // The block of the calling code; null if there is none or it has no loop any more.
  static LoopBlock* current();
  // The same where no loop's code runs.
  static LoopBlock* of_task();
  // The innermost one whose body, or shut-down, is what runs here; null if there is none.
  static LoopBlock* around_body();
  // Makes this the running task's.
  void make_current();
  // The block of `loop`; throws UsageError if it is not one of open_loop's.
  static LoopBlock& of(loop::EventLoop& loop);

  // Null before kMakeLoop and from kCloseLoop on.
  loop::EventLoop* loop() const { return open_ ? loop_ : nullptr; }
  loop::detail::LoopCore& core() const { return *core_; }
  // T; null before it opens and from kCloseTasks on, when no task can be started any more.
  fibers::Nursery* tasks() const { return tasks_; }
  // Somebody asks for a task of T; the task has ended, or will never begin.
  void call_begins() noexcept { ++calls_; }
  void call_ended() noexcept;
  Phase phase() const { return phase_; }

  // Lets an error that belongs to nobody end the block.
  void fail(std::exception_ptr error) noexcept;
  // A task is about to wait for the loop: one that has stopped early runs again.
  void need_loop();

  void at_close(absl::AnyInvocable<void()> fn);
  void autoclose(int fd);
  void no_autoclose(int fd);
  std::shared_ptr<void> find_resource(const void* key) const;
  void keep_resource(const void* key, std::shared_ptr<void> resource);

 private:
  struct Adopted;
  void live_beside_loop();
  void leave_loop() noexcept;
  void join_open_blocks() noexcept;
  void leave_open_blocks() noexcept;
  void enter(Phase next);
  std::exception_ptr caught() const noexcept;
  void live_in(fibers::Nursery& loop_nursery, const std::function<void(loop::EventLoop&)>& body);
  void make_loop(fibers::Nursery& loop_nursery);
  void live_with_tasks(fibers::Nursery& tasks, const std::function<void(loop::EventLoop&)>& body);
  void start_loop();
  void keep_loop(fibers::TaskStatus<void>& status);
  void wait_until_needed();
  // From here on the loop runs, whoever stops it, until kStopLoop: code that unwinds may need it.
  void wind_down();
  void start_forwarder();
  void forward(fibers::TaskStatus<void>& status);
  void end_forwarder();
  void run_body(const std::function<void(loop::EventLoop&)>& body);
  void let_start();
  void cancel_all();
  void end_living();
  void wait_for_calls();
  void close_generators();
  void close_resources();
  void close_transports();
  // Where errors of the block belong at present.
  fibers::Nursery& errors() const { return tasks_ != nullptr ? *tasks_ : *loop_nursery_; }
  void stop_loop();
  void drain();
  void close_loop();
  void close_marked() noexcept;
  // Runs a step of the shut-down shielded; what it throws joins the errors of the block.
  void step(Phase phase, fibers::Nursery& errors, const std::function<void()>& fn);
  // The loop's default exception handler, after the log.
  void end_with_unhandled(const loop::ExceptionContext& context);

  const bool strict_;
  Phase phase_ = Phase::kNew;
  bool open_ = false;
  bool body_cancelled_ = false;             // From outside.
  std::optional<loop::EventLoop> storage_;  // Outlives L, for callbacks that still unwind there.
  loop::EventLoop* loop_ = nullptr;
  loop::detail::LoopCore* core_ = nullptr;
  fibers::Nursery* loop_nursery_ = nullptr;
  fibers::Nursery* tasks_ = nullptr;
  fibers::CancelScope* body_scope_ = nullptr;  // While the body runs.
  fibers::Task* body_task_ = nullptr;          // Goes through all phases.
  fibers::Task* forwarder_ = nullptr;          // While it waits.
  std::shared_ptr<LoopBlock> before_;          // current_loop()'s block outside this one.
  fibers::Task* idle_keeper_ = nullptr;        // The loop's task, while the loop is stopped early.
  std::size_t calls_ = 0;                      // Asked for by run_trio, and not ended.
  fibers::Task* calls_waiter_ = nullptr;       // Until there is none.
  bool keeper_here_ = false;
  bool needed_ = false;  // Since the loop last began to run.
  bool winding_down_ = false;
  bool stop_wanted_ = false;
  // A list: a hook that waits while it is moved finds it whole.
  std::list<absl::AnyInvocable<void()>> close_hooks_;
  std::vector<std::pair<const void*, std::shared_ptr<void>>> resources_;
  std::vector<int> autoclose_;
  LoopBlock* next_ = nullptr;        // Of this thread's open blocks.
  std::shared_ptr<LoopBlock> kept_;  // Of an adopted loop: itself, while calls outlive the loop.
};

}  // namespace weft::shim
