// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/task.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <utility>

#include "fibers/core/current_scheduler.h"
#include "fibers/core/greenlet_block.h"
#include "fibers/core/nursery_access.h"
#include "fibers/core/sanitizers.h"
#include "fibers/core/task_locals.h"
#include "fibers/core/text.h"
#include "fibers/core/tree_values.h"

namespace weft::fibers::detail {

namespace {

// The top line of a stack belongs to the pool.
constexpr std::size_t kReservedTop = 64;
// Stacks lie at multiples of large powers of two, so all their tops would fall into the same few
// cache sets. Each task starts some lines lower than the last.
constexpr std::uint32_t kColours = 32;
constexpr std::size_t kLongestName = 256;
// What a task needs at least beyond its closure: printing a float takes 5 KB, a throw as much.
constexpr std::size_t kLeastRoom = 8 * 1024;

std::byte* align_down(std::byte* p, std::size_t alignment) {
  return reinterpret_cast<std::byte*>(reinterpret_cast<std::uintptr_t>(p) & ~(alignment - 1));
}

std::uint64_t next_task_number() {
  // Shared by all threads, so taken in blocks: a task's number costs no atomic operation.
  static std::atomic<std::uint64_t> blocks{0};
  thread_local std::uint64_t next = 0;
  constexpr std::uint64_t kBlock = 1 << 16;
  if (next % kBlock == 0) next = blocks.fetch_add(1, std::memory_order_relaxed) * kBlock + 1;
  return next++;
}

void end_with_error(TaskBlock& task, std::exception_ptr error) {
  NurseryAccess::child_failed(*task.parent, std::move(error));
}

}  // namespace

inline TaskBlock* Scheduler::pick_after_end() {
  if (turns_.spend() && !ready_.empty()) {
    running_ = ready_.pop();
  } else {
    running_ = steps_.none() ? nullptr : &steps_.end();
  }
  return running_;
}

// The stack goes back to the pool while this still runs on it: nobody can take it before the jump.
[[gnu::always_inline]] inline void Scheduler::finish(TaskBlock& me) {
  if (me.exits != nullptr) [[unlikely]]
    me.run_exits();
  if (me.parent != nullptr) {
    NurseryAccess::child_ended(*me.parent, me);
  } else {
    unlink_task(me);
  }
  watchers_.task_exits(me);
  --living_;
  const Stack stack = me.stack;
#ifdef WEFT_TSAN
  destroy_tsan_fiber(dead_tsan_fiber_);
  dead_tsan_fiber_ = me.context.tsan_fiber;
#endif
  me.state = TaskState::kDone;
  me.~TaskBlock();
  stacks_.give_back(stack);
  TaskBlock* next = pick_after_end();
  if (next == nullptr) leave_context(grave_, own_, *exceptions_);
  leave_context(grave_, next->context, *exceptions_);
}

namespace {

// While the task is still whole: destructors of the user's run here, and may wait or set others.
[[gnu::cold]] void drop_values(TaskBlock& me) {
  while (me.locals != nullptr || me.tree_values != nullptr) {
    release_locals(std::exchange(me.locals, nullptr));
    delete std::exchange(me.tree_values, nullptr);
  }
}

// The first frame of every task. It never returns: a context's entry that does ends the process.
void task_entry() {
  Scheduler& scheduler = *tls_scheduler;
  TaskBlock& me = *scheduler.running();
  arrived(me.context);
  try {
    me.run_and_destroy(me.closure);
    if (me.unheeded != 0) [[unlikely]]
      scheduler.swallowed().ended_normally(me);
  } catch (const Cancelled&) {
    me.run_exits();
    NurseryAccess::child_cancelled(*me.parent);
  } catch (...) {
    // First what the task leaves behind, such as a lock: its siblings in the nursery that wait for
    // that are to hear of it, and not of the cancellation that follows.
    me.run_exits();
    end_with_error(me, std::current_exception());
  }
  if (me.locals != nullptr || me.tree_values != nullptr) [[unlikely]]
    drop_values(me);
  scheduler.finish(me);
}

}  // namespace

[[gnu::cold]] void ReadyQueue::grow(std::size_t tasks) {
  const auto capacity =
      static_cast<std::uint32_t>(std::bit_ceil(std::max<std::size_t>(tasks * 2, 64)));
  auto ring = std::make_unique<TaskBlock*[]>(capacity);
  const std::uint32_t count = size();
  for (std::uint32_t i = 0; i < count; ++i) ring[i] = at(i);
  ring_ = std::move(ring);
  head_ = 0;
  tail_ = count;
  mask_ = capacity - 1;
}

// From the top of the stack downwards: the pool's line, the colour, the block, the closure, the
// name, the frames.
TaskBlock* Scheduler::create_task(const ClosureType& type, const TaskOptions& options,
                                  std::source_location site) {
  const std::size_t size = options.stack_size != 0 ? options.stack_size : stack_size_;
  const std::string_view name = options.name.substr(0, kLongestName);
  WEFT_REQUIRE(type.size + kLeastRoom <= size,
               "the closure does not fit on the task's stack; capture less, or ask for a larger "
               "TaskOptions::stack_size");
  ready_.reserve(living_ + 1);
  const Stack stack = stacks_.take(size);
  std::byte* at = stack.top() - kReservedTop - std::size_t{colour_++ % kColours} * 64;
  at = align_down(at - sizeof(TaskBlock), 64);
  auto* task = ::new (at) TaskBlock;
  at = align_down(at - type.size, std::max<std::size_t>(type.align, 16));
  task->closure = at;
  task->unchecked_captures = options.unchecked_captures || !checks_captures;
  // What lay here before must not pass for a capture.
  if (!type.is_copied_as_bytes && !task->unchecked_captures) std::memset(at, 0, type.size);
  if (!name.empty()) {
    at -= name.size();
    std::memcpy(at, name.data(), name.size());
    task->task_name = {reinterpret_cast<const char*>(at), name.size()};
  }
  at = align_down(at, 64);
  std::byte* const low = stack.bottom + guard_size(stack.size);
  make_context(task->context, at, static_cast<std::size_t>(at - low), &task_entry);
#ifdef WEFT_ASAN
  task->context.stack_bottom = low;
  task->context.stack_size = static_cast<std::size_t>(stack.top() - low);
#endif
#ifdef WEFT_TSAN
  task->context.tsan_fiber = create_tsan_fiber();
#endif
  task->scheduler = this;
  // The first task takes over what the caller of run() has.
  const TaskLocals* const inherited = running_ != nullptr    ? running_->locals
                                      : root_task == nullptr ? greenlet_locals_if_any()
                                                             : nullptr;
  task->locals = share_locals(const_cast<TaskLocals*>(inherited));
  task->stack = stack;
  task->stepper = options.stepper;
  task->unusual = options.stepper != nullptr ? TaskBlock::kStepped : 0;
  task->run_and_destroy = type.run_and_destroy;
  task->site = site;
  task->number = next_task_number();
  name_tsan_fiber(*task);
  peak_ = std::max(peak_, ++living_);
  return task;
}

void Scheduler::discard_task(TaskBlock* task) noexcept {
  --living_;
  const Stack stack = task->stack;
#ifdef WEFT_TSAN
  destroy_tsan_fiber(task->context.tsan_fiber);
#endif
  release_locals(task->locals);
  task->~TaskBlock();
  stacks_.give_back(stack);
}

}  // namespace weft::fibers::detail

namespace weft::fibers {

using detail::block_of;

std::string_view Task::name() const {
  const auto& block = block_of(*this);
  return block.task_name.empty() ? block.site.function_name() : block.task_name;
}

std::source_location Task::spawn_site() const {
  return block_of(*this).site;
}
TaskState Task::state() const {
  return block_of(*this).present_state();
}
Nursery* Task::parent_nursery() const {
  return block_of(*this).parent;
}
Nursery* Task::eventual_parent_nursery() const {
  return block_of(*this).eventual_parent;
}
std::uint64_t Task::id() const {
  return block_of(*this).number;
}
std::size_t Task::stack_size() const {
  return block_of(*this).stack.size;
}

std::size_t Task::stack_high_water() const {
  return detail::stack_high_water(block_of(*this).stack);
}

[[gnu::cold]] std::string Task::waiting_for() const {
  const auto& block = block_of(*this);
  if (block.state != TaskState::kWaiting) return {};
  const auto& wait = block.wait_info;
  return wait.number < 0 ? wait.what : detail::concat({wait.what, " ", wait.number});
}

std::vector<Nursery*> Task::child_nurseries() const {
  std::vector<Nursery*> nurseries;
  for (Nursery* n = block_of(*this).innermost_nursery; n != nullptr; n = NurseryAccess::next(*n)) {
    nurseries.insert(nurseries.begin(), n);
  }
  return nurseries;
}

Task& current_task() {
  return detail::current_scheduler().running_task();
}
Task& current_root_task() {
  return *detail::current_scheduler().root_task;
}
bool in_trio_run() {
  return detail::tls_scheduler != nullptr;
}
bool in_trio_task() {
  return detail::tls_scheduler != nullptr && detail::tls_scheduler->running() != nullptr;
}

}  // namespace weft::fibers
