// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/core/runner.h"

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>

#include "fibers/sys/lasting.h"
#include "loop/core/loop_core.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/errors.h"

namespace weft::loop::detail {

namespace {

// By the task's number: its address may be another's, once a run has been given up.
using RunnerMap = std::unordered_map<std::uint64_t, Runner*>;

// This thread's runners by their tasks.
RunnerMap& runners() {
  return fibers::sys::ThreadObject<RunnerMap>::get();
}

}  // namespace

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

Runner* Runner::current() {
  return fibers::in_trio_task() ? of(fibers::current_task()) : nullptr;
}

Runner* Runner::of(const fibers::Task& task) {
  const RunnerMap& map = runners();
  const auto found = map.find(task.id());
  return found == map.end() ? nullptr : found->second;
}

Runner::Runner(LoopCore& core)
    : fibers::ParkHook{[](fibers::ParkHook& hook) {
        auto& runner = static_cast<Runner&>(hook);
        if (runner.node == nullptr) return;  // The loop itself waits, between two callbacks.
        ignore_parking();
        runner.core_.callback_blocks(runner);
      }},
      core_(core),
      task_(fibers::current_task()) {
  runners().emplace(task_.id(), this);
}

Runner::~Runner() {
  runners().erase(task_.id());
}

void Runner::live() {
  do {
    std::exception_ptr error = incarnate();
    if (!core_.conclude(*this, std::move(error))) return;
  } while (true);
}

// The scopes are entered once for any number of callbacks: those that do not wait pay nothing.
std::exception_ptr Runner::incarnate() {
  fibers::CancelScope scope({.shield = true});
  fibers::CancelScope after;
  scope_ = &scope;
  after_ = &after;
  cancellation_taken_ = false;
  std::exception_ptr error;
  try {
    scope.run([&] {
      after.run([this] { core_.run(*this); });
      // A cancellation that was taken has not been swallowed.
      if (cancellation_taken_) fibers::checkpoint_if_cancelled();
    });
  } catch (...) {
    error = std::current_exception();
    if (cancellation_taken_) error = without_cancelled_errors(error);
  }
  scope_ = nullptr;
  ignore_parking();
  return error;
}

void Runner::cancel() noexcept {
  if (scope_ == nullptr) return;
  try {
    scope_->cancel("the callback was cancelled");
  } catch (const std::bad_alloc&) {
    scope_->cancel();  // Needs no memory.
  }
}

bool Runner::cancellation_pending() const {
  return scope_ != nullptr && !cancellation_taken_ && scope_->cancel_called();
}

bool Runner::take_cancellation() {
  if (!cancellation_pending()) return false;
  after_->set_shield(true);
  // Still cancelled: by a scope inside, which wants its fibers::Cancelled.
  if (fibers::current_effective_deadline() == fibers::kLongAgo) {
    after_->set_shield(false);
    return false;
  }
  return cancellation_taken_ = true;
}

}  // namespace weft::loop::detail
