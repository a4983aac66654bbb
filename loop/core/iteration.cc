// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// One iteration, phase by phase.

#include <algorithm>
#include <utility>

#include "loop/core/node_life.h"
#include "weft/fibers/lowlevel.h"

namespace weft::loop::detail {

// Inline, like schedule_due_timers(): what an iteration has nothing to do for costs no call.
inline void LoopCore::run_prepare_hooks() {
  hooks_.begin();
  if (!hooks_.empty() && mode_ != Mode::kDraining) [[unlikely]]
    hooks_.ask();
}

fibers::Instant LoopCore::next_wake() const {
  return std::min(timers_.next(), hooks_.wake_at());
}

[[gnu::always_inline]] inline void LoopCore::sleep_until_woken() {
  sleeper_ = &active_->task();
  fibers::wait_task_rescheduled(
      [this](const fibers::RaiseCancel&) {
        wake();
        return fibers::Abort::kFailed;
      },
      {"events of the loop", -1, this});
}

// The deadline of the scope ends the wait without an exception: its cancellation is answered by
// waking up, and nothing in the scope waits again.
void LoopCore::sleep(fibers::Instant until) {
  fibers::CancelScope scope({.deadline = until});
  sleep_scope_ = &scope;
  scope.run([this] { sleep_until_woken(); });
  sleep_scope_ = nullptr;
}

// The other tasks get their turn here in any case, and descriptors are looked at: as often as the
// run does that while tasks are ready, and in any case in the first iteration of a main_loop().
// Only if nothing has come of that does the loop go to sleep: a turn costs half of what sleeping
// and waking does. Inline, down to the wait itself: after the switch the processor mispredicts the
// return of every frame.
[[gnu::always_inline]] inline void LoopCore::wait_for_events() {
  if (std::exchange(entered_, false)) [[unlikely]]
    fibers::poll_at_next_suspension();
  fibers::detail::pass_turn();
  if (!ready_.empty() || stopping_ || mode_ != Mode::kRunning || inbox_->pending()) return;
  if (hooks_.unasked()) return;  // One has come during that turn.
  const fibers::Instant until = next_wake();
  if (until == fibers::kForever) return sleep_until_woken();
  if (until > fibers::current_time()) sleep(until);
}

// The earliest timer has changed. Moving the deadline instead of waking keeps a clock that jumps
// from jumping to a time that means nothing any more.
void LoopCore::retime_sleep() {
  if (sleeper_ == nullptr) return;
  if (sleep_scope_ != nullptr) {
    sleep_scope_->set_deadline(next_wake());
  } else {
    wake();
  }
}

void LoopCore::wake() noexcept {
  fibers::reschedule(*std::exchange(sleeper_, nullptr));
}

inline void LoopCore::schedule_due_timers() {
  if (!timers_.empty() && mode_ != Mode::kDraining) schedule_timers_due_now();
}
void LoopCore::schedule_timers_due_now() {
  const fibers::Instant now = fibers::current_time();
  while (timers_.next() <= now && !timers_.empty()) {
    HandleNode* node = timers_.top();
    timers_.remove(node);
    push_ready(node);
  }
}

[[gnu::noinline]] static void invoke_timed(LoopCore& core, Runner& me, HandleNode& node) {
  me.called_at = core.now();
  node.ops->invoke(node);
  if (!me.blocked) core.reports().report_slow(core.now() - me.called_at, node);
}

// What a callback that has blocked leaves behind is seen to in conclude(), after its scope.
// Inline, and run_batch() too, for the same reason as wait_for_events().
template <bool kSoon>
[[gnu::always_inline]] inline void LoopCore::run_node(Runner& me, HandleNode* node) {
  me.node = node;
  if (!node->cancelled) {
    node->phase = NodePhase::kRunning;
    std::exception_ptr error;
    try {
      me.take_variables(*node);
      debug_ ? invoke_timed(*this, me, *node) : node->ops->invoke(*node);
    } catch (const fibers::KeyboardInterrupt&) {
      throw;
    } catch (...) {
      if (me.blocked) throw;
      error = std::current_exception();
    }
    if (me.blocked) return;
    if (*me.variables != nullptr) me.keep_variables(*node);
    if (error != nullptr) [[unlikely]] {
      reports_.report(callback_context(node, std::move(error)));
      if (me.blocked) return;
    }
    ++callbacks_run_;
  }
  // The callable's destructor may wait, as the callable may.
  kSoon ? drop_callable(node) : drop_registered(node);
  if (me.blocked) [[unlikely]] {
    --callbacks_run_;  // conclude() counts it.
    return;
  }
  node->phase = NodePhase::kIdle;
  me.node = nullptr;
  if (!kSoon) returned(node);
  // Not by release_node(), which asks what kind of node it is.
  if (kSoon) {
    if (--node->refs == 0) recycle(node);
  } else {
    release_node(node);
  }
}

// What a step leaves behind is seen to by the task itself, on whatever stack it ends.
[[gnu::always_inline]] inline void LoopCore::run_task(Runner& me, HandleNode* node) {
  me.node = node;
  ++callbacks_run_;
  static_cast<TaskNode*>(node)->task.run_step(me);
}

// False once the role is lost.
[[gnu::always_inline]] inline bool LoopCore::run_batch(Runner& me) {
  while (batch_ > 0) {
    --batch_;
    HandleNode* const node = ready_.pop();
    if (node->kind == NodeKind::kSoon) [[likely]] {
      run_node<true>(me, node);
    } else if (node->kind == NodeKind::kTask) {
      run_task(me, node);
    } else {
      run_node<false>(me, node);
    }
    if (active_ != &me) return false;
  }
  return true;
}

static constinit thread_local LoopCore* hosted_here = nullptr;

LoopCore* LoopCore::hosted() {
  return hosted_here == nullptr || fibers::in_trio_task() ? nullptr : hosted_here;
}

// The host calls back on another stack, in no task: there a callback cannot block. Tasks are
// stepped here all the same.
bool LoopCore::run_hosted_batch(Runner& me) {
  while (batch_ > 0) {
    if (ready_.front()->kind == NodeKind::kTask) {
      --batch_;
      run_task(me, ready_.pop());
      if (active_ != &me) return false;
    } else {
      batch_host_->run_batch([&] { run_.call([&] { run_callbacks(me); }); });
    }
  }
  return true;
}

void LoopCore::run_callbacks(Runner& me) {
  // The host's variables are not those of its callbacks.
  struct Hosted {
    Hosted(LoopCore* core, Runner& runner)
        : me(runner),
          before(std::exchange(hosted_here, core)),
          place(std::exchange(me.variables, fibers::detail::place_of_own_locals())),
          outside(std::exchange(*me.variables, nullptr)) {}
    Hosted(const Hosted&) = delete;
    Hosted& operator=(const Hosted&) = delete;
    ~Hosted() {
      // Ctrl-C has ended the batch.
      if (me.node != nullptr && *me.variables != nullptr) me.keep_variables(*me.node);
      fibers::detail::release_locals(std::exchange(*me.variables, outside));
      me.variables = place;
      hosted_here = before;
    }
    Runner& me;
    LoopCore* before;
    fibers::detail::TaskLocals** place;
    fibers::detail::TaskLocals* outside;
  } const hosted(this, me);
  while (batch_ > 0 && ready_.front()->kind != NodeKind::kTask) {
    --batch_;
    HandleNode* const node = ready_.pop();
    node->kind == NodeKind::kSoon ? run_node<true>(me, node) : run_node<false>(me, node);
  }
}

// The end of a turn. The callable goes before the next callback runs, but for those of descriptors.
// Harmless when repeated.
void LoopCore::drop_registered(HandleNode* node) noexcept {
  switch (node->kind) {
    case NodeKind::kFd:
      if (node->fd.watcher != nullptr) {
        fds_.resume(*node->fd.watcher);
      } else {
        drop_callable(node);
      }
      break;
    case NodeKind::kSignal:
      if (node->signal.entry == nullptr) drop_callable(node);
      break;
    case NodeKind::kOwned:
      break;
    case NodeKind::kFuture: {
      drop_callable(node);
      if (FutureCore* future = std::exchange(node->future.core, nullptr)) future->release();
      break;
    }
    default:
      drop_callable(node);
  }
}

void LoopCore::finish_node(HandleNode* node) noexcept {
  if (node->kind == NodeKind::kTask) return static_cast<TaskNode*>(node)->task.dropped();
  node->kind == NodeKind::kSoon ? drop_callable(node) : drop_registered(node);
  release_node(node);
}

// A runner that takes over in the middle goes on with the callbacks of the iteration it finds.
void LoopCore::run(Runner& me) {
  active_ = &me;
  runner_on_its_way_ = false;
  me.watch_parking();
  for (;;) {
    if (!batch_open_) {
      run_prepare_hooks();
      wait_for_events();
      take_inbox();
      schedule_due_timers();
      batch_ = ready_.size();
      batch_open_ = true;
    }
    if (!(batch_host_ == nullptr ? run_batch(me) : run_hosted_batch(me))) return;
    batch_open_ = false;
    ++iterations_;
    if (at_end() || reports_.late_error() != nullptr) return end_drive(reports_.take_late_error());
  }
}

bool LoopCore::at_end() const {
  return mode_ == Mode::kDraining ? ready_.empty() : stopping_;
}

}  // namespace weft::loop::detail
