// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How a block of open_loop ends: the steps from kLetStart to kDrain, in their order.

#include <chrono>
#include <exception>
#include <iterator>
#include <list>
#include <new>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "shim/src/loop_block.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/detail/generator_list.h"
#include "weft/loop/detail/living.h"
#include "weft/loop/future.h"
#include "weft/loop/task.h"

namespace weft::shim {

static constexpr fibers::Duration kCloseHookTime = std::chrono::seconds(5);

// Not synchronize(), which gives up when the loop stops: here it will run again.
void LoopBlock::let_start() {
  if (!keeper_here_ || loop_->is_closed()) return;
  fibers::Event begun;
  loop::Handle marker = loop_->call_soon([&begun] { begun.set(); });
  const absl::Cleanup forget = [&marker] { marker.cancel(); };
  begun.wait();
}

void LoopBlock::cancel_all() {
  tasks_->cancel_scope().cancel("the block of open_loop has ended");
  loop::detail::wind_up(*core_, loop::detail::WindUp::kServers);
  end_living();
}

// Whoever lives is cancelled, once, and may start others to clean up, who are left alone until all
// that were cancelled have ended; then these others are the next round. T's scope is cancelled for
// good, so its tasks are of every round. One more Ctrl-C begins a round now: what cleans up is
// cancelled again.
void LoopBlock::end_living() {
  int lacks_of_memory = 0;
  while (calls_ > 0 || loop::detail::any_living(*core_)) {
    try {
      loop::detail::cancel_living(*core_);
      loop::detail::wait_for_cancelled(*core_);
      wait_for_calls();
      let_start();
    } catch (const fibers::KeyboardInterrupt&) {
      errors().add_error(std::current_exception());
    } catch (const std::bad_alloc&) {
      if (++lacks_of_memory == kMostLacksOfMemory) throw;
      errors().add_error(std::current_exception());
    }
  }
}

void LoopBlock::call_ended() noexcept {
  if (--calls_ == 0 && calls_waiter_ != nullptr) {
    fibers::reschedule(*std::exchange(calls_waiter_, nullptr));
  }
  if (calls_ == 0) std::exchange(kept_, nullptr).reset();  // Maybe the last that refers to this.
}

void LoopBlock::wait_for_calls() {
  if (calls_ == 0) return;
  calls_waiter_ = &fibers::current_task();
  const absl::Cleanup forget = [this] { calls_waiter_ = nullptr; };
  fibers::wait_task_rescheduled(
      [this](const fibers::RaiseCancel&) {
        calls_waiter_ = nullptr;
        return fibers::Abort::kSucceeded;
      },
      {"the tasks of run_trio", -1, this});
}

// The first step of each is shielded: so that it hears of a cancellation that is there already
// where it waits, as asyncio's code does.
void LoopBlock::close_generators() {
  enter(Phase::kCloseGenerators);
  loop::detail::GeneratorList& generators = loop::detail::generators_of(*core_);
  generators.shut_down = true;
  if (generators.first == nullptr || loop_->is_closed()) return;
  loop::Task<void> closed;
  bool interrupted = true;
  while (std::exchange(interrupted, false)) {
    try {
      fibers::CancelScope shield({.shield = true});
      shield.run([&] {
        if (!closed) closed = loop_->create_task(loop_->shutdown_asyncgens());
        let_start();
        let_start();
      });
      loop::wait(closed);  // What it throws goes to the exception handler.
    } catch (const fibers::KeyboardInterrupt&) {
      interrupted = true;
      errors().add_error(std::current_exception());
    } catch (...) {
      errors().add_error(std::current_exception());
    }
  }
}

// First the tasks that generators have left behind.
void LoopBlock::close_resources() {
  end_living();
  while (!close_hooks_.empty()) {
    std::list<absl::AnyInvocable<void()>> hook;
    hook.splice(hook.begin(), close_hooks_, std::prev(close_hooks_.end()));
    try {
      fibers::move_on_after(kCloseHookTime, [&] { hook.front()(); });
    } catch (...) {
      loop_nursery_->add_error(std::current_exception());
    }
  }
  end_living();
}

void LoopBlock::close_transports() {
  loop::detail::wind_up(*core_, loop::detail::WindUp::kTransports);
  let_start();
  end_living();
}

void LoopBlock::stop_loop() {
  stop_wanted_ = true;  // It runs: nothing is idle since wind_down().
  while (loop_->is_running()) {
    loop_->stop();
    try {
      loop_->wait_stopped();
    } catch (...) {
      // Ctrl-C: the loop has to be stopped all the same before anybody hears of it.
      loop_nursery_->add_error(std::current_exception());
    }
  }
}

// A callback that throws a KeyboardInterrupt ends it early; what is left runs all the same.
void LoopBlock::drain() {
  int lacks_of_memory = 0;
  while (!loop_->is_closed()) {
    try {
      return loop_->drain();
    } catch (const std::bad_alloc&) {
      loop_nursery_->add_error(std::current_exception());
      if (++lacks_of_memory == kMostLacksOfMemory) return;
    } catch (...) {
      loop_nursery_->add_error(std::current_exception());
    }
  }
}

}  // namespace weft::shim
