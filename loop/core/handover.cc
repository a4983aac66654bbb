// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Handing over the loop when a callback waits, and what becomes of the runners.

#include <utility>

#include "loop/core/node_life.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"

namespace weft::loop::detail {

void LoopCore::callback_blocks(Runner& me) noexcept {
  if (debug_) reports_.report_slow(now() - me.called_at, *me.node);
  me.blocked = true;
  if (me.node->kind == NodeKind::kTask) {
    static_cast<TaskNode*>(me.node)->task.step_blocks(me);
  } else {
    me.node->phase = NodePhase::kBlocked;
    me.node->blocked_on = &me;
  }
  living_.add_blocked(me);
  ++callbacks_blocked_;
  active_ = nullptr;
  try {
    hand_over();
  } catch (...) {
    // No room for another task, or the nursery is closed. This callback may wait for others, so
    // the driver tries again; a callback that returns before that goes on with the loop (conclude).
    ask_driver();
  }
}

void LoopCore::callback_returned(Runner& me) noexcept {
  me.blocked = false;
  me.node->phase = NodePhase::kRunning;
  living_.remove_blocked(me);
}

// Gives the free role to an idle runner, or to a new one.
void LoopCore::hand_over() {
  if (Runner* runner = idle_.first()) {
    idle_.remove(*runner);
    active_ = runner;
    fibers::reschedule(runner->task());
    return;
  }
  // Callbacks bring their variables along.
  const fibers::detail::WithoutContext none;
  Runner::start(*this, nursery_);
  runner_on_its_way_ = true;
}

bool LoopCore::conclude(Runner& me, std::exception_ptr error) {
  if (HandleNode* node = me.node) {
    if (me.blocked) callback_returned(me);
    node->phase = NodePhase::kIdle;
    if (*me.variables != nullptr) me.keep_variables(*node);
    const bool interrupt = error != nullptr && fibers::holds<fibers::KeyboardInterrupt>(error);
    if (error != nullptr && !interrupt) {
      error = reports_.try_to_report(callback_context(node, std::move(error)));
    }
    me.node = nullptr;
    ++callbacks_run_;
    returned(node);
    finish_node(node);
  }
  const bool active = active_ == &me;
  if (error != nullptr) {
    if (active) {
      end_drive(std::move(error));
    } else if (mode_ != Mode::kStopped && reports_.late_error() == nullptr &&
               !fibers::holds<fibers::Cancelled>(error)) {
      // Another runner has the role, or is about to: it ends the loop after its iteration.
      reports_.set_late_error(std::move(error));
      stop();
    } else {
      std::rethrow_exception(error);  // To the nursery.
    }
  } else if (active) {
    active_ = nullptr;  // Its incarnation ended early, for an error that has been dealt with.
  }
  return role_is_free() || keep_idle(me);
}

// Parks until there is the role to take. False if the loop is closed, or has enough idle runners.
bool LoopCore::keep_idle(Runner& me) {
  if (closed_ || idle_.size() >= kMaxIdleRunners) return false;
  idle_.push(me);
  fibers::wait_task_rescheduled(
      // The nursery's cancellation does not end the loop; close() does.
      [](const fibers::RaiseCancel&) { return fibers::Abort::kFailed; },
      {"a callback that blocks", -1, this});
  return active_ == &me;
}

}  // namespace weft::loop::detail
