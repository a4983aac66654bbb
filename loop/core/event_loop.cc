// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/event_loop.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "loop/core/loop_core.h"
#include "weft/fibers/errors.h"
#include "weft/loop/detail/call_graph_core.h"

namespace weft::loop {

using detail::LoopCore;
using fibers::FdDirection;

EventLoop::EventLoop(fibers::Nursery& nursery) : LoopSendfile(new LoopCore(*this, nursery)) {}

EventLoop::~EventLoop() {
  core_->lose_facade();
}

void EventLoop::main_loop() {
  core_->drive(LoopCore::Mode::kRunning, nullptr);
}
void EventLoop::start(std::source_location site) {
  core_->start(site);
}
void EventLoop::drain() {
  core_->drive(LoopCore::Mode::kDraining, nullptr);
}
void EventLoop::stop() {
  core_->require_own_thread();
  core_->stop();
}
bool EventLoop::is_running() const {
  return core_->is_running();
}
bool EventLoop::is_closed() const {
  return core_->is_closed();
}
void EventLoop::close() {
  core_->close();
}
bool EventLoop::synchronize() {
  return core_->synchronize();
}
void EventLoop::wait_stopped() {
  core_->wait_stopped();
}

void EventLoop::cancel_blocked() {
  core_->living().cancel_blocked();
}
void EventLoop::wait_blocked() {
  core_->living().wait_blocked();
}

fibers::Instant LoopScheduling::time() const {
  return core_->now();
}

Handle LoopDescriptors::watch_node(int fd, FdDirection direction, detail::HandleNode* node) {
  ++node->refs;
  Handle handle = HandleAccess::wrap(node);
  core_->fds().add(fd, direction, node);
  return handle;
}
bool LoopDescriptors::remove_reader(int fd) {
  return core_->fds().remove(fd, FdDirection::kRead);
}
bool LoopDescriptors::remove_writer(int fd) {
  return core_->fds().remove(fd, FdDirection::kWrite);
}

Handle LoopSignals::add_signal_node(int signal, detail::HandleNode* node) {
  ++node->refs;
  Handle handle = HandleAccess::wrap(node);
  core_->signals().add(signal, node);
  return handle;
}
bool LoopSignals::remove_signal_handler(int signal) {
  return core_->signals().remove(signal);
}

PrepareHandle LoopScheduling::add_prepare_node(detail::HandleNode* node) {
  ++node->refs;
  PrepareHandle handle = HandleAccess::wrap<PrepareHandle>(node);
  core_->add_prepare(node);
  return handle;
}

void EventLoop::set_exception_handler(ExceptionHandler handler) {
  core_->reports().exception_handler = std::move(handler);
}
const ExceptionHandler& EventLoop::get_exception_handler() const {
  return core_->reports().exception_handler;
}
void EventLoop::call_exception_handler(const ExceptionContext& context) {
  core_->reports().report(context);
}
void EventLoop::default_exception_handler(const ExceptionContext& context) {
  core_->reports().report_by_default(context);
}
void EventLoop::set_default_exception_handler(ExceptionHandler owner) {
  core_->reports().default_exception_handler = std::move(owner);
}

void EventLoop::set_needed_handler(std::function<void()> owner) {
  core_->attachments().needed_handler = std::move(owner);
}

void EventLoop::set_debug(bool enabled) {
  core_->set_debug(enabled);
}
bool EventLoop::get_debug() const {
  return core_->debug();
}
fibers::Duration EventLoop::slow_callback_duration() const {
  return core_->reports().slow_callback_duration;
}
void EventLoop::set_slow_callback_duration(fibers::Duration duration) {
  core_->reports().slow_callback_duration = duration;
}

void EventLoop::set_slow_callback_handler(SlowCallbackHandler handler) {
  core_->reports().slow_callback_handler = std::move(handler);
}

LoopStatistics EventLoop::statistics() const {
  return core_->statistics();
}

LoopCore& LoopAccess::core(const LoopScheduling& loop) {
  return *loop.core_;
}
void LoopAccess::set_batch_host(EventLoop& loop, detail::BatchHost* host) {
  loop.core_->set_batch_host(host);
}

EventLoop* running_loop() {
  if (const detail::Running* running = detail::Running::here()) return running->core->facade();
  const LoopCore* const hosted = LoopCore::hosted();
  return hosted == nullptr ? nullptr : hosted->facade();
}

TaskBase current_task() {
  const detail::Running* const running = detail::Running::here();
  if (running == nullptr || running->task == nullptr) return {};
  detail::FutureCore& core = running->task->future();
  core.retain();
  return TaskAccess::wrap(&core);
}

std::vector<TaskBase> all_tasks(const EventLoop& loop) {
  std::vector<TaskBase> tasks;
  const detail::TaskCore* task = TaskAccess::first_of(loop);
  for (; task != nullptr; task = task->next_of_loop()) {
    task->future().retain();
    tasks.push_back(TaskAccess::wrap(&task->future()));
  }
  std::ranges::reverse(tasks);
  return tasks;
}

detail::TaskCore* TaskAccess::first_of(const EventLoop& loop) {
  return loop.core_->living().tasks();
}

void TaskAccess::begin(detail::TaskCore& task, const TaskOptions& options) {
  if (!options.name.empty()) task.set_name(std::string(options.name));
  if (options.context != nullptr) {
    task.set_context(fibers::detail::share_locals(fibers::ContextAccess::locals(*options.context)));
  }
  options.eager_start ? task.start_eagerly() : task.start();
}

void TaskAccess::begin_by_factory(detail::TaskCore& task, const TaskOptions& options) {
  if (task.loop().attachments().task_factory == nullptr) [[likely]]
    return begin(task, options);
  TaskOptions chosen = options;
  try {
    // It may put another in its place.
    const TaskFactory factory = task.loop().attachments().task_factory;
    task.future().retain();
    factory(task.future().event_loop(), wrap(&task.future()), chosen);
  } catch (...) {
    task.discard();
    throw;
  }
  begin(task, chosen);
}

void LoopTasks::set_task_factory(TaskFactory factory) {
  core_->attachments().task_factory = std::move(factory);
}
const TaskFactory& LoopTasks::get_task_factory() const {
  return core_->attachments().task_factory;
}

namespace detail {

GeneratorList& generators_of(LoopCore& core) noexcept {
  return core.attachments().generators;
}

EventLoop* open_loop_of(LoopCore& core) noexcept {
  return core.is_closed() ? nullptr : core.facade();
}

std::vector<EventLoop*> loops_of_thread() {
  std::vector<EventLoop*> loops;
  for (const LoopLink* link = LoopLink::first(); link != nullptr; link = link->next()) {
    if (EventLoop* const loop = link->loop().facade()) loops.push_back(loop);
  }
  std::ranges::reverse(loops);
  return loops;
}

}  // namespace detail

EventLoop& get_running_loop() {
  if (EventLoop* loop = running_loop()) return *loop;
  throw fibers::UsageError("no running event loop: this is not called from a callback of one");
}

}  // namespace weft::loop
