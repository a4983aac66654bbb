// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Switching between greenlets.
//
// A greenlet that is left is suspended wherever its thread was: on its own stack or, if it has
// called run(), on that of the running task. So leaving a task leaves its whole run, and coming
// back to the greenlet is coming back to that task. What belongs to the thread and not to a stack
// is swapped: the C++ exception state, the run, and whom Ctrl-C asks.

#include "weft/fibers/greenlet.h"

#include <typeinfo>

#include "fibers/core/current_scheduler.h"
#include "fibers/core/greenlet_block.h"
#include "fibers/core/interrupt.h"
#include "fibers/core/returns.h"
#include "fibers/core/text.h"
#include "fibers/core/type_name.h"
#include "weft/fibers/exception_group.h"

namespace weft::fibers {

namespace detail {

namespace {

// The top line of a stack belongs to the pool, and tops fall into the same cache sets: see task.cc.
constexpr std::size_t kTopLine = 64;
constexpr std::uint32_t kTopColours = 32;

[[noreturn, gnu::cold]] void throw_other_thread(const GreenletBlock& to) {
  const std::lock_guard lock(to.link->mutex);
  throw GreenletError(to.link->exited
                          ? "cannot switch to a different thread (which happens to have exited)"
                          : "cannot switch to a different thread; a greenlet stays on its own");
}

[[gnu::cold, gnu::noinline]] void change_run(Scheduler* from, Scheduler* to) {
  tls_scheduler = to;
  if ((from != nullptr && from->handles_interrupt) || (to != nullptr && to->handles_interrupt)) {
    interrupt_asks(to != nullptr && to->handles_interrupt ? to : nullptr);
  }
}

// Before every jump.
[[gnu::always_inline]] inline void leave(GreenletThread& thread, GreenletBlock& origin,
                                         GreenletBlock& target) {
  origin.scheduler = tls_scheduler;
  if (origin.scheduler != target.scheduler) [[unlikely]]
    change_run(origin.scheduler, target.scheduler);
  thread.origin = &origin;
  thread.link->current.store(&target, std::memory_order_relaxed);
}

// After every jump. ASan tells on what stack the one was that has been left: a task's, maybe.
[[gnu::always_inline]] inline void arrived_from([[maybe_unused]] GreenletBlock& origin,
                                                [[maybe_unused]] Context& here) {
#ifdef WEFT_ASAN
  __sanitizer_finish_switch_fiber(here.asan_fake_stack, &origin.context.stack_bottom,
                                  &origin.context.stack_size);
  bury_dead_stack();
#endif
}

[[gnu::always_inline]] inline void go(GreenletThread& thread, GreenletBlock& origin,
                                      GreenletBlock& target) {
  leave(thread, origin, target);
  Context& from = origin.context;
  swap_exceptions(from, target.context, *thread.exceptions);
#ifdef WEFT_ASAN
  __sanitizer_start_switch_fiber(&from.asan_fake_stack, target.context.stack_bottom,
                                 target.context.stack_size);
#endif
#ifdef WEFT_TSAN
  from.tsan_fiber = __tsan_get_current_fiber();
  switch_tsan_fiber(target.context.tsan_fiber);
#endif
  jump(from, target.context.point);
  arrived_from(*thread.origin, from);
}

[[gnu::cold, gnu::noinline]] void trace(GreenletThread& thread, GreenletBlock& origin,
                                        Transfer& transfer) {
  const std::shared_ptr<GreenletTracer> tracer = thread.tracer;
  const auto event = transfer.error != nullptr ? GreenletEvent::kThrow : GreenletEvent::kSwitch;
  try {
    (*tracer)(event, GreenletBlock::handle(origin), GreenletBlock::handle(*thread.current()));
  } catch (...) {
    thread.tracer = nullptr;
    transfer.error = std::current_exception();
  }
}

// A greenlet that is dead, or that nobody refers to any more, has been left.
[[gnu::cold, gnu::noinline]] void settle(GreenletThread& thread, GreenletBlock& origin) {
  if (origin.is(GreenletState::kDead)) {
    unlist(thread, origin);
  } else if (origin.handles.load(std::memory_order_relaxed) == 0 && !origin.condemned) {
    kill_greenlet(thread, origin);
  }
}

// What there is to do beside, after some switches.
[[gnu::noinline]] void attend(GreenletThread& thread, GreenletBlock& origin, Transfer& transfer) {
  origin.use();  // The tracer's switches may be the end of it.
  GreenletBlock* const dropped = std::exchange(thread.dropped_on_arrival, nullptr);
  if (thread.tracer != nullptr) trace(thread, origin, transfer);
  if (dropped != nullptr) dropped->release();
  settle(thread, origin);
  origin.unuse();
}

// What has been brought. Taken first: whatever happens here may switch again.
[[gnu::cold, gnu::noinline]] std::any receive_slowly(GreenletThread& thread) {
  GreenletBlock& origin = *thread.origin;
  Transfer transfer{std::move(thread.transfer.value), std::move(thread.transfer.error)};
  thread.transfer.value.reset();
  if (thread.tracer != nullptr || thread.dropped_on_arrival != nullptr ||
      !origin.is(GreenletState::kStarted) || origin.handles.load(std::memory_order_relaxed) == 0) {
    attend(thread, origin, transfer);
  }
  if (transfer.error != nullptr) std::rethrow_exception(std::move(transfer.error));
  return std::move(transfer.value);
}

// The usual case, with nothing to do beside.
[[gnu::always_inline]] inline std::any receive(GreenletThread& thread) {
  const GreenletBlock& origin = *thread.origin;
  if (thread.tracer != nullptr || thread.dropped_on_arrival != nullptr ||
      thread.transfer.error != nullptr || !origin.is(GreenletState::kStarted) ||
      origin.handles.load(std::memory_order_relaxed) == 0) [[unlikely]] {
    return receive_slowly(thread);
  }
  return std::move(thread.transfer.value);  // That leaves it empty.
}

// Dies before it has begun, of an error thrown in.
void die_pending(GreenletBlock& block) {
  block.state.store(GreenletState::kDead, std::memory_order_relaxed);
  block.run = nullptr;
}

void greenlet_entry();

void prepare(GreenletThread& thread, GreenletBlock& block) {
  block.stack = thread.stacks->take(block.stack_size);
  std::byte* const top =
      block.stack.top() - kTopLine - std::size_t{thread.colour++ % kTopColours} * 64;
  std::byte* const low = block.stack.bottom + guard_size(block.stack.size);
  make_context(block.context, top, static_cast<std::size_t>(top - low), &greenlet_entry);
#ifdef WEFT_ASAN
  block.context.stack_bottom = low;
  block.context.stack_size = static_cast<std::size_t>(block.stack.top() - low);
#endif
#ifdef WEFT_TSAN
  block.context.tsan_fiber = create_tsan_fiber();
#endif
  block.state.store(GreenletState::kStarted, std::memory_order_relaxed);
  list_started(thread, block);
}

// Who a switch to `to` arrives at: itself or the next ancestor that lives. The main greenlet does.
GreenletBlock& find_target(GreenletThread& thread, GreenletBlock& to, Transfer& transfer) {
  for (GreenletBlock* block = &to;; block = block->parent) {
    if (block->is(GreenletState::kStarted)) return *block;
    if (block->is(GreenletState::kPending)) {
      if (!block->run) {
        throw GreenletError("this greenlet has no function to run; give it one with set_run()");
      }
      if (transfer.error == nullptr) {
        prepare(thread, *block);
        return *block;
      }
      die_pending(*block);
    }
    exit_becomes_value(transfer);
  }
}

// The same for one that ends: what goes wrong on the way up goes further up.
GreenletBlock& find_heir(GreenletThread& thread, GreenletBlock& dead, Transfer& transfer) {
  GreenletBlock* block = dead.parent;
  for (;;) {
    try {
      return find_target(thread, *block, transfer);
    } catch (...) {
      transfer.error = std::current_exception();
      // What failed is the first that is neither dead nor started.
      while (block->is(GreenletState::kDead)) block = block->parent;
      block = block->parent;
    }
  }
}

[[noreturn]] void finish(GreenletThread& thread, GreenletBlock& me) {
  GreenletBlock* target = nullptr;
  {
    // Closures that are destroyed on the way may switch: it is not dead yet.
    Transfer transfer{std::move(thread.transfer.value), std::move(thread.transfer.error)};
    target = &find_heir(thread, me, transfer);
    thread.transfer = std::move(transfer);
  }
  me.state.store(GreenletState::kDead, std::memory_order_relaxed);
  leave(thread, me, *target);
#ifdef WEFT_TSAN
  destroy_tsan_fiber(thread.dead_tsan_fiber);
  thread.dead_tsan_fiber = __tsan_get_current_fiber();
#endif
  // Nobody takes a stack before the jump: the target's is there.
  thread.stacks->give_back(std::exchange(me.stack, Stack{}));
  leave_context(thread.grave, target->context, *thread.exceptions);
}

// In a frame of its own, which is gone before the greenlet leaves for good.
[[gnu::noinline]] void run_body(GreenletThread& thread, GreenletBlock& me) {
  Transfer result;
  try {
    std::any values = receive(thread);
    Greenlet::Function run = std::move(me.run);
    me.run = nullptr;
    result.value = run(std::move(values));
  } catch (...) {
    result.error = std::current_exception();
  }
  exit_becomes_value(result);
  thread.transfer = std::move(result);
}

// The first frame of every greenlet. It never returns.
void greenlet_entry() {
  GreenletThread& thread = *tls_greenlets;
  GreenletBlock& me = *thread.current();
  arrived_from(*thread.origin, me.context);
  run_body(thread, me);
  finish(thread, me);
}

}  // namespace

void exit_becomes_value(Transfer& transfer) {
  if (transfer.error == nullptr) return;
  if (split(transfer.error, is_any_of<GreenletExit>()).second != nullptr) return;
  transfer.error = nullptr;
  transfer.value = GreenletExit();
}

// Inlined into each way to switch, for the sake of the guesses about its returns: see returns.h.
[[gnu::always_inline]] static inline std::any switch_inlined(GreenletBlock& to, Transfer transfer,
                                                             Greenlet* handle) {
  GreenletThread& thread = greenlet_thread();
  if (to.link != thread.link) [[unlikely]]
    throw_other_thread(to);
  if (thread.link->any_dropped.load(std::memory_order_relaxed)) [[unlikely]]
    take_dropped(thread);
  GreenletBlock* target = &to;
  if (!to.is(GreenletState::kStarted)) [[unlikely]]
    target = &find_target(thread, to, transfer);
  GreenletBlock& origin = *thread.current();
  if (target == &origin) [[unlikely]] {
    if (transfer.error != nullptr) std::rethrow_exception(std::move(transfer.error));
    return std::move(transfer.value);
  }
  // It is empty.
  if (transfer.value.has_value()) thread.transfer.value = std::move(transfer.value);
  if (transfer.error != nullptr) thread.transfer.error = std::move(transfer.error);
  if (handle != nullptr) thread.dropped_on_arrival = GreenletBlock::detach(*handle);
  WEFT_LEAVES();
  go(thread, origin, *target);
  return receive(thread);
}

WEFT_SWITCHES WEFT_RETURNS_AFTER_SWITCH std::any switch_greenlet(GreenletBlock& to,
                                                                 Transfer transfer,
                                                                 Greenlet* handle) {
  return switch_inlined(to, std::move(transfer), handle);
}

[[gnu::cold]] void throw_wrong_values(const std::type_info& wanted, const std::any& given) {
  const bool none = wanted == typeid(void);
  throw GreenletError(concat({"the greenlet's function takes ",
                              none ? "nothing" : type_name(wanted), ", but was switched to with ",
                              given.has_value() ? type_name(given.type()) : "nothing"}));
}

void describe_own_stack(Context& own) {
  describe_thread_stack(own);
#ifdef WEFT_ASAN
  if (tls_greenlets == nullptr || tls_greenlets->current()->is_main()) return;
  const Stack& stack = tls_greenlets->current()->stack;
  own.stack_bottom = stack.bottom + guard_size(stack.size);
  own.stack_size = static_cast<std::size_t>(stack.top() - stack.bottom) - guard_size(stack.size);
#endif
}

}  // namespace detail

using detail::GreenletBlock;

WEFT_SWITCHES WEFT_RETURNS_AFTER_SWITCH std::any Greenlet::do_switch(std::any value) const& {
  return detail::switch_inlined(block(), {std::move(value), nullptr}, nullptr);
}
WEFT_SWITCHES WEFT_RETURNS_AFTER_SWITCH std::any Greenlet::do_switch(std::any value) && {
  return detail::switch_inlined(block(), {std::move(value), nullptr}, this);
}

std::any Greenlet::throw_into(std::exception_ptr error) const {
  if (error == nullptr) throw GreenletError("throw_into() needs an exception");
  return detail::switch_greenlet(block(), {{}, std::move(error)});
}

void Greenlet::take_error(const std::function<void()>& unwrap, const std::exception_ptr& error) {
  try {
    unwrap();
  } catch (...) {
    if (std::current_exception() != error) throw;
  }
}

Greenlet getcurrent() {
  detail::GreenletThread& thread = detail::greenlet_thread();
  if (thread.link->any_dropped.load(std::memory_order_relaxed)) take_dropped(thread);
  return GreenletBlock::handle(*thread.current());
}

GreenletTracer settrace(GreenletTracer tracer) {
  detail::GreenletThread& thread = detail::greenlet_thread();
  GreenletTracer before = gettrace();
  thread.tracer = tracer ? std::make_shared<GreenletTracer>(std::move(tracer)) : nullptr;
  return before;
}

GreenletTracer gettrace() {
  const detail::GreenletThread& thread = detail::greenlet_thread();
  return thread.tracer != nullptr ? *thread.tracer : GreenletTracer();
}

}  // namespace weft::fibers
