// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The life of greenlets and of the references to them; the end of a thread that has some.

#include <cstdio>
#include <utility>

#include "fibers/core/check.h"
#include "fibers/core/greenlet_block.h"
#include "fibers/core/overflow.h"
#include "fibers/core/text.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/log.h"

namespace weft::fibers {

namespace detail {

constinit thread_local GreenletThread* tls_greenlets = nullptr;

namespace {

GreenletBlock* take_list(GreenletLink& link) {
  link.dropped_end = &link.dropped;
  return std::exchange(link.dropped, nullptr);
}

void release_list(GreenletBlock* first) {
  while (first != nullptr) {
    GreenletBlock* const block = std::exchange(first, first->next_dropped);
    block->next_dropped = nullptr;
    block->release();
  }
}

constinit thread_local bool tls_ended = false;

// A thread's greenlets, from its first use of one to its end.
class ThreadLife {
 public:
  ThreadLife() {
    thread_.link = std::make_shared<GreenletLink>();
    thread_.exceptions = thread_exception_state();
    thread_.stacks = &thread_stack_pool();  // Outlives this, as it was made before.
    install_overflow_handler();
    thread_.main = new GreenletBlock;
    thread_.main->link = thread_.link;
    thread_.main->state = GreenletState::kStarted;
    thread_.main->retain();
    thread_.link->current = thread_.main;
    tls_greenlets = &thread_;
  }
  ThreadLife(const ThreadLife&) = delete;
  ThreadLife& operator=(const ThreadLife&) = delete;
  ~ThreadLife() {
    take_dropped(thread_);
    // Unless exit() was called on a greenlet: from there one cannot come back.
    if (thread_.current() == thread_.main) unwind_all();
    tls_greenlets = nullptr;
    tls_ended = true;
    thread_.main->state = GreenletState::kDead;
    GreenletBlock* dropped = nullptr;
    {
      const std::lock_guard lock(thread_.link->mutex);
      thread_.link->exited = true;
      dropped = take_list(*thread_.link);
    }
    release_list(dropped);
    thread_.main->release();
#ifdef WEFT_TSAN
    destroy_tsan_fiber(thread_.dead_tsan_fiber);
#endif
  }

 private:
  // Their stacks go with the thread, so their frames have to go now, whoever refers to them.
  void unwind_all() {
    for (GreenletBlock* block = thread_.started; block != nullptr;) {
      if (block->condemned) {
        block = block->next;
        continue;
      }
      block->use();
      kill_greenlet(thread_, *block);
      block->condemned = true;  // Whether it is dead or has stored a reference to itself.
      block->unuse();
      block = thread_.started;  // Others may have come and gone.
    }
  }

  GreenletThread thread_;
};

[[gnu::cold, gnu::noinline]] void begin_thread() {
  if (tls_ended) {
    throw GreenletError("this thread is at its end; its greenlets have been unwound already");
  }
  static thread_local ThreadLife life;
  static_cast<void>(life);
}

bool is_own(const GreenletBlock& block) {
  return tls_greenlets != nullptr && tls_greenlets->link == block.link;
}

// Leaves the last reference to the thread that the greenlet belongs to. False if that has ended.
bool leave_to_owner(GreenletBlock& block) {
  GreenletLink& link = *block.link;
  const std::lock_guard lock(link.mutex);
  if (link.exited) return false;
  *std::exchange(link.dropped_end, &block.next_dropped) = &block;
  link.any_dropped.store(true, std::memory_order_release);
  return true;
}

void report_lost(const std::exception_ptr& error) noexcept {
  log_quietly(LogLevel::kError, [&] {
    return concat({"a greenlet that was dropped threw ", describe_exception(error),
                   "; let the GreenletExit pass that is thrown into it"});
  });
}

}  // namespace

GreenletThread& greenlet_thread() {
  if (tls_greenlets == nullptr) [[unlikely]]
    begin_thread();
  return *tls_greenlets;
}

void list_started(GreenletThread& thread, GreenletBlock& block) noexcept {
  block.use();
  block.listed = true;
  block.next = thread.started;
  block.previous = nullptr;
  if (block.next != nullptr) block.next->previous = &block;
  thread.started = &block;
}

void unlist(GreenletThread& thread, GreenletBlock& block) noexcept {
  if (!block.listed) return;
  block.listed = false;
  if (block.next != nullptr) block.next->previous = block.previous;
  (block.previous != nullptr ? block.previous->next : thread.started) = block.next;
  block.unuse();
}

// For its time the dropper is the parent, so that the greenlet's end comes back here.
void kill_greenlet(GreenletThread& thread, GreenletBlock& block) noexcept {
  const Greenlet keep = GreenletBlock::handle(block);
  GreenletBlock* const parent = block.parent;
  const bool kept = block.keeps_parent;
  parent->use();
  if (kept) parent->retain();
  block.set_parent(thread.current(), false);
  try {
    switch_greenlet(block, {{}, std::make_exception_ptr(GreenletExit())});
  } catch (...) {
    report_lost(std::current_exception());
  }
  block.set_parent(parent, kept);
  if (kept) parent->release();
  parent->unuse();
  // It may have stored a reference to itself, and live on.
  if (block.is(GreenletState::kDead) || block.handles.load(std::memory_order_relaxed) > 1) return;
  block.condemned = true;
  log_quietly(LogLevel::kError, [] {
    return "a greenlet that was dropped swallowed its GreenletExit and switched away: what is on "
           "its stack is never destroyed";
  });
}

void take_dropped(GreenletThread& thread) noexcept {
  GreenletBlock* dropped = nullptr;
  {
    const std::lock_guard lock(thread.link->mutex);
    dropped = take_list(*thread.link);
    thread.link->any_dropped.store(false, std::memory_order_relaxed);
  }
  release_list(dropped);
}

void GreenletBlock::retain() noexcept {
  if (handles.fetch_add(1, std::memory_order_relaxed) == 0) use();
}

void GreenletBlock::release() noexcept {
  const bool own = is_own(*this);
  std::uint32_t present = handles.load(std::memory_order_relaxed);
  for (;;) {
    if (!own && present == 1 && leave_to_owner(*this)) return;
    if (handles.compare_exchange_weak(present, present - 1, std::memory_order_acq_rel)) break;
  }
  if (present != 1) return;
  if (own && is(GreenletState::kStarted) && !condemned && this != tls_greenlets->current()) {
    kill_greenlet(*tls_greenlets, *this);
  }
  unuse();
}

void GreenletBlock::unuse() noexcept {
  if (uses.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  set_parent(nullptr, false);
  delete this;
}

void GreenletBlock::set_parent(GreenletBlock* to, bool kept) noexcept {
  if (to != nullptr) kept ? to->retain() : to->use();
  GreenletBlock* const before = std::exchange(parent, to);
  const bool kept_before = std::exchange(keeps_parent, kept);
  if (before != nullptr) kept_before ? before->release() : before->unuse();
}

TaskLocals*& greenlet_locals() {
  GreenletBlock& me = *greenlet_thread().current();
  if (me.locals == nullptr) me.locals = std::make_shared<ContextCell>();
  return me.locals->locals;
}

const TaskLocals* greenlet_locals_if_any() {
  if (tls_greenlets == nullptr) return nullptr;
  const GreenletBlock& me = *tls_greenlets->current();
  return me.locals != nullptr ? me.locals->locals : nullptr;
}

}  // namespace detail

using detail::GreenletBlock;
using detail::GreenletState;

Greenlet::Greenlet(GreenletOptions options) {
  detail::GreenletThread& thread = detail::greenlet_thread();
  if (thread.link->any_dropped.load(std::memory_order_relaxed)) take_dropped(thread);
  block_ = new GreenletBlock;
  block_->link = thread.link;
  block_->stack_size = options.stack_size;
  block_->locals = std::move(options.context.cell_);
  block_->set_parent(thread.current(), false);
  block_->retain();
}

Greenlet::Greenlet(GreenletBlock* block) noexcept : block_(block) {
  block_->retain();
}
Greenlet::Greenlet(const Greenlet& other) noexcept : block_(other.block_) {
  if (block_ != nullptr) block_->retain();
}
Greenlet::~Greenlet() {
  if (block_ != nullptr) block_->release();
}

GreenletBlock& Greenlet::block() const {
  WEFT_REQUIRE(block_ != nullptr, "this Greenlet is empty; the main greenlet has no parent");
  return *block_;
}

void Greenlet::do_set_run(Function run) const {
  if (!block().is(GreenletState::kPending)) {
    throw GreenletError("a greenlet that has started cannot be given another function");
  }
  block().run = std::move(run);
}

bool Greenlet::has_run() const {
  return static_cast<bool>(block().run);
}

Greenlet Greenlet::parent() const& {
  GreenletBlock* parent = block().parent;
  return parent != nullptr ? Greenlet(parent) : Greenlet(nullptr);
}
Greenlet Greenlet::parent() && {
  const Greenlet me = std::move(*this);
  return me.parent();
}

void Greenlet::set_parent(const Greenlet& parent) const {
  GreenletBlock& me = block();
  if (me.is_main()) throw GreenletError("cannot set the parent of a main greenlet");
  if (me.link != parent.block().link) {
    throw GreenletError("parent cannot be on a different thread");
  }
  for (const GreenletBlock* b = parent.block_; b != nullptr; b = b->parent) {
    if (b == block_) throw GreenletError("cyclic parent chain");
  }
  me.set_parent(parent.block_, true);
}

bool Greenlet::started() const {
  return block_ != nullptr && !block_->is(GreenletState::kPending);
}
// Also one that has never started, or that swallowed the GreenletExit of its thread's end: nobody
// can switch to it any more.
bool Greenlet::dead() const {
  if (block_ == nullptr || block_->is(GreenletState::kDead)) return true;
  if (detail::tls_greenlets != nullptr && detail::tls_greenlets->link == block_->link) return false;
  const std::lock_guard lock(block_->link->mutex);
  return block_->link->exited;
}

namespace {
void require_context_free(const GreenletBlock& block) {
  if (block.link->current.load(std::memory_order_relaxed) != &block) return;
  const bool own = detail::tls_greenlets != nullptr && detail::tls_greenlets->link == block.link;
  if (own || block.is(GreenletState::kDead)) return;
  throw GreenletError("the greenlet is running in a different thread");
}
}  // namespace

GreenletContext Greenlet::context() const {
  require_context_free(block());
  return GreenletContext(block().locals);
}

void Greenlet::set_context(GreenletContext context) const {
  require_context_free(block());
  block().locals = std::move(context.cell_);
}

[[gnu::cold]] std::string Greenlet::repr() const {
  if (block_ == nullptr) return "<Greenlet none>";
  char address[32];
  std::snprintf(address, sizeof address, "%p", static_cast<const void*>(block_));
  std::string_view thread;
  const bool own = detail::tls_greenlets != nullptr && detail::tls_greenlets->link == block_->link;
  {
    const std::lock_guard lock(block_->link->mutex);
    if (block_->link->exited) thread = " (thread exited)";
  }
  std::string_view state;
  std::string_view main;
  if (block_->is(GreenletState::kPending)) {
    state = " pending";
  } else if (dead()) {
    state = " dead";
  } else {
    const bool current = own && detail::tls_greenlets->current() == block_;
    state = current ? " current active started" : " suspended active started";
    if (block_->is_main()) main = " main";
  }
  return detail::concat({"<Greenlet ", address, thread, state, main, ">"});
}

// The values of a context are looked at from inside it.
GreenletContext::GreenletContext(Context values) : cell_(std::make_shared<detail::ContextCell>()) {
  values.run([this] { cell_->locals = detail::share_own_locals(); });
}

Context GreenletContext::copy() const {
  if (cell_ == nullptr) return {};
  detail::TaskLocals* const own = detail::exchange_locals(detail::share_locals(cell_->locals));
  Context values = copy_context();
  detail::release_locals(detail::exchange_locals(own));
  return values;
}

}  // namespace weft::fibers
