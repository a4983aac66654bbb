// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/src/runner.h"

#include <unordered_map>
#include <utility>

#include "loop/src/loop_core.h"

namespace weft::loop::detail {

namespace {

using RunnerMap = std::unordered_map<const fibers::Task*, Runner*>;

// This thread's runners by their tasks. Not destroyed before the thread's last run.
RunnerMap& runners() {
  thread_local RunnerMap map;
  return map;
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
    void operator()() const { Runner(*core).live(); }
    LoopCore* core;
  };
  nursery.start_soon(Body(core), {.name = "event loop"});
}

Runner* Runner::current() {
  if (!fibers::in_trio_task()) return nullptr;
  const RunnerMap& map = runners();
  const auto found = map.find(&fibers::current_task());
  return found == map.end() ? nullptr : found->second;
}

Runner::Runner(LoopCore& core)
    : fibers::ParkHook{[](fibers::ParkHook& hook) {
        ignore_parking();
        auto& runner = static_cast<Runner&>(hook);
        runner.core_.callback_blocks(runner);
      }},
      core_(core),
      task_(fibers::current_task()) {
  runners().emplace(&task_, this);
}

Runner::~Runner() {
  runners().erase(&task_);
}

void Runner::live() {
  do {
    std::exception_ptr error = incarnate();
    if (!core_.conclude(*this, std::move(error))) return;
  } while (true);
}

// The scope is entered once for any number of callbacks: those that do not wait pay nothing for it.
std::exception_ptr Runner::incarnate() {
  fibers::CancelScope scope({.shield = true});
  scope_ = &scope;
  std::exception_ptr error;
  try {
    scope.run([this] { core_.run(*this); });
  } catch (...) {
    error = std::current_exception();
  }
  scope_ = nullptr;
  ignore_parking();
  return error;
}

void Runner::cancel() {
  if (scope_ != nullptr) scope_->cancel("the callback was cancelled");
}

}  // namespace weft::loop::detail
