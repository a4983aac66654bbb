// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "shim/src/loop_block.h"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string>

#include "fibers/sys/sys.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/lone_error.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/task.h"
#include "weft/loop/future.h"

namespace weft::shim {

namespace {

thread_local LoopBlock* open_blocks = nullptr;

constinit fibers::ContextVar<std::shared_ptr<LoopBlock>> current_block("weft current_loop");

// Without a copy of the pointer: it is counted by atomics.
LoopBlock* block_of_task() {
  const std::shared_ptr<LoopBlock>* block = current_block.find();
  return block == nullptr ? nullptr : block->get();
}

LoopBlock* find_block(const loop::EventLoop* loop, LoopBlock* LoopBlock::*next) {
  LoopBlock* block = open_blocks;
  while (block != nullptr && block->loop() != loop) block = block->*next;
  return block;
}

[[noreturn]] void throw_too_late() {
  throw fibers::UsageError(
      "the loop is being shut down; nothing can be registered with it any more");
}

}  // namespace

void LoopBlock::enter(Phase next) {
  if (next <= phase_) throw fibers::InternalError("open_loop: a phase came twice, or too late");
  phase_ = next;
}

// What a nursery of the block has thrown, for whoever is told of it.
std::exception_ptr LoopBlock::caught() const noexcept {
  std::exception_ptr error = std::current_exception();
  if (strict_) return error;
  try {
    return fibers::lone_error(error, {.nested = false});
  } catch (const std::bad_alloc&) {
    return error;
  }
}

void LoopBlock::run(const std::function<void(loop::EventLoop&)>& body) {
  std::exception_ptr failed;
  try {
    fibers::open_nursery([&](fibers::Nursery& nursery) { live_in(nursery, body); });
  } catch (...) {
    failed = caught();
  }
  storage_.reset();
  enter(Phase::kClosed);
  if (failed != nullptr) std::rethrow_exception(std::move(failed));
}

// What is inside L.
void LoopBlock::live_in(fibers::Nursery& loop_nursery,
                        const std::function<void(loop::EventLoop&)>& body) {
  make_loop(loop_nursery);
  std::exception_ptr failed;  // L hears of it later: that cancels L, but no generator is to notice.
  try {
    fibers::open_nursery([&](fibers::Nursery& tasks) { live_with_tasks(tasks, body); });
  } catch (...) {
    failed = caught();
  }
  tasks_ = nullptr;
  close_generators();
  if (failed != nullptr) loop_nursery.add_error(std::move(failed));
  step(Phase::kCloseResources, loop_nursery, [&] { close_resources(); });
  step(Phase::kCloseTransports, loop_nursery, [&] { close_transports(); });
  step(Phase::kStopLoop, loop_nursery, [&] { stop_loop(); });
  step(Phase::kDrain, loop_nursery, [&] { drain(); });
  step(Phase::kCloseLoop, loop_nursery, [&] { close_loop(); });
  enter(Phase::kReraise);
  if (body_cancelled_) fibers::checkpoint_if_cancelled();
  // A cancellation that the body has not seen is not seen by the last tasks that go home either.
  loop_nursery.cancel_scope().set_shield(true);
}

// What is inside T.
void LoopBlock::live_with_tasks(fibers::Nursery& tasks,
                                const std::function<void(loop::EventLoop&)>& body) {
  enter(Phase::kShieldTasks);
  tasks_ = &tasks;
  tasks.cancel_scope().set_shield(true);
  try {
    start_loop();
    run_body(body);
  } catch (...) {
    tasks.add_error(std::current_exception());
  }
  end_forwarder();
  step(Phase::kLetStart, tasks, [&] { let_start(); });
  step(Phase::kCancel, tasks, [&] { cancel_all(); });
  enter(Phase::kCloseTasks);
}

void LoopBlock::step(Phase phase, fibers::Nursery& errors, const std::function<void()>& fn) {
  enter(phase);
  try {
    fibers::CancelScope shield({.shield = true});
    shield.run(fn);
  } catch (...) {
    errors.add_error(std::current_exception());
  }
}

void LoopBlock::make_loop(fibers::Nursery& loop_nursery) {
  enter(Phase::kMakeLoop);
  loop_nursery_ = &loop_nursery;
  loop_ = &storage_.emplace(loop_nursery);
  core_ = &loop::FutureAccess::core(loop_->create_future<void>()).loop();
  loop_->set_default_exception_handler(
      [this](loop::EventLoop&, const loop::ExceptionContext& context) {
        end_with_unhandled(context);
      });
  loop_->set_needed_handler([this] { need_loop(); });
  before_ = current_block.get_or(nullptr);
  current_block.set(shared_from_this());
  // Nothing below fails: whoever finds the block finds a whole one.
  join_open_blocks();
}

void LoopBlock::join_open_blocks() noexcept {
  open_ = true;
  next_ = std::exchange(open_blocks, this);
}

void LoopBlock::leave_open_blocks() noexcept {
  LoopBlock** at = &open_blocks;
  while (*at != this) at = &(*at)->next_;
  *at = next_;
  open_ = false;
}

void LoopBlock::start_loop() {
  enter(Phase::kStartLoop);
  loop_nursery_->start([this](fibers::TaskStatus<void>& status) { keep_loop(status); },
                       {.name = "event loop"});
}

// The loop's task. A loop that stops early, by hand or with an error, runs again when it is needed.
void LoopBlock::keep_loop(fibers::TaskStatus<void>& status) {
  // A start() that Ctrl-C has cancelled keeps the task, and waits for its end.
  fibers::checkpoint_if_cancelled();
  status.started();
  keeper_here_ = true;
  int lacks_of_memory = 0;
  while (!stop_wanted_ && !loop_->is_closed()) {
    needed_ = false;
    try {
      if (loop_->is_running()) {  // By somebody else, who has called main_loop().
        fibers::CancelScope shield({.shield = true});
        shield.run([&] { loop_->wait_stopped(); });
      } else {
        loop_->main_loop();
      }
    } catch (const std::bad_alloc&) {
      loop_nursery_->add_error(std::current_exception());
      if (++lacks_of_memory == kMostLacksOfMemory) loop_->close();
      continue;
    } catch (...) {
      loop_nursery_->add_error(std::current_exception());
    }
    lacks_of_memory = 0;
    wait_until_needed();
  }
  keeper_here_ = false;
}

void LoopBlock::wait_until_needed() {
  if (needed_ || winding_down_ || stop_wanted_ || loop_->is_closed()) return;
  idle_keeper_ = &fibers::current_task();
  fibers::wait_task_rescheduled(
      // The cancellation of L winds the block down, by way of the forwarder.
      [](const fibers::RaiseCancel&) { return fibers::Abort::kFailed; },
      {"a stopped loop to be needed again", -1, this});
}

void LoopBlock::need_loop() {
  needed_ = true;
  if (idle_keeper_ != nullptr) fibers::reschedule(*std::exchange(idle_keeper_, nullptr));
}

void LoopBlock::wind_down() {
  winding_down_ = true;
  need_loop();
}

void LoopBlock::run_body(const std::function<void(loop::EventLoop&)>& body) {
  fibers::CancelScope scope;
  scope.run([&] {
    body_scope_ = &scope;
    body_task_ = &fibers::current_task();
    start_forwarder();
    enter(Phase::kBody);
    body(*loop_);
  });
  body_cancelled_ = scope.cancelled_caught();
}

void LoopBlock::start_forwarder() {
  enter(Phase::kForward);
  loop_nursery_->start([this](fibers::TaskStatus<void>& status) { forward(status); },
                       {.name = "open_loop's forwarder"});
}

// Lives in L, so a cancellation from outside arrives here. It never takes effect here: the wait
// ends when the body does.
void LoopBlock::forward(fibers::TaskStatus<void>& status) {
  fibers::checkpoint_if_cancelled();  // As in keep_loop().
  status.started();
  forwarder_ = &fibers::current_task();
  fibers::wait_task_rescheduled(
      [this](const fibers::RaiseCancel&) {
        wind_down();
        if (body_scope_ != nullptr) body_scope_->cancel("what is around open_loop was cancelled");
        return fibers::Abort::kFailed;
      },
      {"the end of open_loop's body", -1, this});
}

void LoopBlock::end_forwarder() {
  enter(Phase::kBodyEnded);
  body_scope_ = nullptr;
  wind_down();
  if (forwarder_ != nullptr) fibers::reschedule(*std::exchange(forwarder_, nullptr));
}

void LoopBlock::close_loop() {
  resources_.clear();
  if (!loop_->is_closed()) close_marked();
  loop_->close();
  leave_open_blocks();
  current_block.set(std::move(before_));  // May lack memory.
}

void LoopBlock::end_with_unhandled(const loop::ExceptionContext& context) {
  if (context.exception != nullptr) return fail(context.exception);
  try {
    throw std::runtime_error(context.message.empty() ? "unhandled error in the event loop"
                                                     : context.message);
  } catch (...) {
    fail(std::current_exception());
  }
}

void LoopBlock::fail(std::exception_ptr error) noexcept {
  wind_down();
  errors().add_error(std::move(error));
}

void LoopBlock::at_close(absl::AnyInvocable<void()> fn) {
  if (phase_ > Phase::kCloseResources) throw_too_late();
  close_hooks_.push_back(std::move(fn));
}

void LoopBlock::autoclose(int fd) {
  if (phase_ > Phase::kCloseResources) throw_too_late();
  if (std::ranges::find(autoclose_, fd) == autoclose_.end()) autoclose_.push_back(fd);
}

void LoopBlock::no_autoclose(int fd) {
  if (std::erase(autoclose_, fd) == 0) {
    throw fibers::UsageError(
        "this descriptor is not marked: no_autoclose() takes back what autoclose() has done");
  }
}

void LoopBlock::close_marked() noexcept {
  for (const int fd : autoclose_) {
    const bool read = loop_->remove_reader(fd);
    const bool written = loop_->remove_writer(fd);
    if (read || written) fibers::sys::close(fd);
  }
}

std::shared_ptr<void> LoopBlock::find_resource(const void* key) const {
  const auto found =
      std::ranges::find(resources_, key, [](const auto& entry) { return entry.first; });
  return found == resources_.end() ? nullptr : found->second;
}

void LoopBlock::keep_resource(const void* key, std::shared_ptr<void> resource) {
  resources_.emplace_back(key, std::move(resource));
}

// A callback, too, may open a loop: what its body calls belongs to that one, and what its hooks do.
LoopBlock* LoopBlock::around_body() {
  if (!fibers::in_trio_task()) return nullptr;
  const fibers::Task* const here = &fibers::current_task();
  LoopBlock* block = open_blocks;
  while (block != nullptr && block->body_task_ != here) block = block->next_;
  return block;
}

LoopBlock* LoopBlock::current() {
  if (const loop::EventLoop* running = loop::running_loop()) {
    LoopBlock* const own = around_body();
    return own != nullptr ? own : find_block(running, &LoopBlock::next_);
  }
  return of_task();
}

LoopBlock* LoopBlock::of_task() {
  if (!fibers::in_trio_task()) return nullptr;
  // The task's variables keep it alive.
  LoopBlock* block = block_of_task();
  return block != nullptr && block->open_ ? block : nullptr;
}

void LoopBlock::make_current() {
  if (block_of_task() != this) current_block.set(shared_from_this());
}

LoopBlock& LoopBlock::of(loop::EventLoop& loop) {
  LoopBlock* block = find_block(&loop, &LoopBlock::next_);
  if (block == nullptr) {
    throw fibers::UsageError(
        "this event loop is not one of open_loop's, or has been closed; open it with open_loop");
  }
  return *block;
}

}  // namespace weft::shim
