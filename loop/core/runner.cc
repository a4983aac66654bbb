// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/core/runner.h"

#include <optional>
#include <utility>

#include "loop/core/loop_core.h"

namespace weft::loop::detail {

void Runner::start(LoopCore& core, fibers::Nursery& nursery) {
  // Counted by the closure: the loop may be gone before the task begins.
  struct Body {
    explicit Body(LoopCore& c) noexcept : core(&c) { core->retain(); }
    Body(Body&& other) noexcept : core(std::exchange(other.core, nullptr)) {}
    Body& operator=(Body&&) = delete;
    ~Body() {
      if (core != nullptr) core->release();
    }
    void operator()() const {
      std::optional<Runner> runner;
      try {
        runner.emplace(*core);
      } catch (...) {
        return core->runner_failed(std::current_exception());
      }
      runner->live();
    }
    LoopCore* core;
  };
  nursery.start_soon(Body(core), {.name = "event loop"});
}

Runner::Runner(LoopCore& core)
    : fibers::ParkHook{[](fibers::ParkHook& hook) {
        auto& runner = static_cast<Runner&>(hook);
        if (runner.node == nullptr) return;  // The loop itself waits, between two callbacks.
        ignore_parking();
        runner.core().callback_blocks(runner);
      }},
      fibers::Stepper{[](fibers::Stepper& self, fibers::Task&) noexcept {
        auto& runner = static_cast<Runner&>(self);
        static_cast<TaskNode*>(runner.node)->task.push();
      }},
      running{.core = &core, .runner = this},
      variables(fibers::detail::place_of_own_locals()),
      task_(fibers::current_task()) {
  fibers::set_task_word(&running);
}

Runner::~Runner() {
  fibers::set_task_word(nullptr);
}

void Runner::live() {
  do {
    std::exception_ptr error = incarnate();
    if (!core().conclude(*this, std::move(error))) return;
  } while (true);
}

// The scopes are entered once for any number of callbacks: those that do not wait pay nothing.
std::exception_ptr Runner::incarnate() {
  std::exception_ptr error = running.scope.run([this] { core().run(*this); });
  ignore_parking();
  return error;
}

// From outside, too, while the loop's run is suspended.
void Runner::cancel() noexcept {
  core().run_ref().call([this] { running.scope.cancel(); });
}

}  // namespace weft::loop::detail
