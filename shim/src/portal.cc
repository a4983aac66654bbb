// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/shim/portal.h"

#include <new>
#include <thread>

#include "shim/src/cancelled_parts.h"
#include "weft/fibers/detail/sanitizers.h"
#include "weft/fibers/no_suspend.h"
#include "weft/fibers/task.h"
#include "weft/loop/errors.h"

namespace weft::shim {

namespace {

std::atomic<std::uint64_t> extra_calls{0};
std::atomic<std::uint64_t> late_calls{0};

// Its address tells threads apart without a system call.
thread_local const char kThreadMark = 0;

// Runs `cancel`, which must not wait. On the scheduler's own stack, where a deadline fires, a wait
// is refused anyway.
CancelResult run_cancel(detail::CallCancel call, void* cancel) {
  if (!fibers::in_trio_task()) return call(cancel);
  const fibers::NoSuspend guard("the cancel function of wait_for_callback");
  return call(cancel);
}

}  // namespace

PortalStatistics portal_statistics() {
  return {extra_calls.load(std::memory_order_relaxed), late_calls.load(std::memory_order_relaxed)};
}

namespace detail {

namespace {

// The blocks of cells that are over, for the next ones of this thread. Nothing that has to be
// looked up or initialised when it is used; ~Emptying gives the blocks back when the thread ends.
struct SpareCells {
  static constexpr std::size_t kBlock = 256;  // Bytes: a cell whose value has up to 100.
  static constexpr std::uint32_t kMost = 64;
  struct Block {
    Block* next;
  };

  Block* first;
  std::uint32_t count;
  bool ended;  // Blocks are kept no more.
};
constinit thread_local SpareCells spare{.first = nullptr, .count = 0, .ended = false};

struct Emptying {
  Emptying() = default;
  Emptying(const Emptying&) = delete;
  Emptying& operator=(const Emptying&) = delete;
  ~Emptying() {
    spare.ended = true;
    while (spare.first != nullptr) {
      ::operator delete(std::exchange(spare.first, spare.first->next));
    }
  }
};

void* take_new_block() {
  static thread_local const Emptying at_the_end;
  static_cast<void>(at_the_end);
  return ::operator new(SpareCells::kBlock);
}

#ifdef WEFT_ASAN
constexpr bool kKeepsBlocks = false;  // So that a use after free is seen.
#else
constexpr bool kKeepsBlocks = true;
#endif

}  // namespace

// NOLINTNEXTLINE(misc-new-delete-overloads): as above.
void* PortalCore::operator new(std::size_t size) {
  if (!kKeepsBlocks || size > SpareCells::kBlock) return ::operator new(size);
  if (spare.first == nullptr) return take_new_block();
  --spare.count;
  return std::exchange(spare.first, spare.first->next);
}

void PortalCore::operator delete(void* cell, std::size_t size) noexcept {
  if (!kKeepsBlocks || size > SpareCells::kBlock || spare.ended ||
      spare.count == SpareCells::kMost) {
    return ::operator delete(cell);
  }
  ++spare.count;
  spare.first = ::new (cell) SpareCells::Block{spare.first};
}

PortalCore::PortalCore() : thread_(&kThreadMark), target_(fibers::detail::CallTarget::here()) {}

// RaiseCancel throws.
void PortalCore::raise() const {
  if (cancel_acknowledged_) (*raise_)();
  std::rethrow_exception(error_);
}

fibers::Abort PortalCore::abort(const fibers::RaiseCancel& raise, CallCancel call_cancel,
                                void* cancel) {
  raise_.emplace(raise);
  if (settling_) return fibers::Abort::kFailed;  // The outcome is being stored.
  state_ = PortalState::kCancelling;
  // The library may call inside cancel: what to do about the task is decided afterwards.
  parked_ = false;
  CancelResult result = CancelResult::kAbandoned;
  try {
    result = run_cancel(call_cancel, cancel);
  } catch (...) {
    // Also instead of what the library has said inside it.
    state_ = PortalState::kFinished;
    cancel_acknowledged_ = false;
    error_ = std::current_exception();
  }
  if (state_ == PortalState::kFinished) {
    if (cancel_acknowledged_) return fibers::Abort::kSucceeded;
    fibers::reschedule(*target_.task);
    return fibers::Abort::kFailed;
  }
  if (result == CancelResult::kWillComplete) {
    parked_ = true;
    return fibers::Abort::kFailed;
  }
  abandon();
  return fibers::Abort::kSucceeded;
}

bool PortalCore::accept() {
  check_thread();
  if (is_open()) [[likely]] {
    const bool early = state_ == PortalState::kStarted;
    state_ = early ? PortalState::kCompletedEarly : PortalState::kFinished;
    return settling_ = true;
  }
  if (state_ == PortalState::kAbandoned) {
    count_late();
  } else {
    extra_calls.fetch_add(1, std::memory_order_relaxed);
  }
  return false;
}

void PortalCore::settle() {
  settling_ = false;
  if (std::exchange(parked_, false)) fibers::reschedule(*target_.task);
}

void PortalCore::settle_with_error(std::exception_ptr error) {
  error_ = std::move(error);
  settle();
}

void PortalCore::settle_with_raised(const std::exception_ptr& error) {
  const CancelledParts parts = split_cancelled(error);
  if (parts.rest != nullptr) {
    settle_with_error(parts.rest);
  } else {
    settle_cancelled(nullptr);
  }
  if (parts.cancelled != nullptr) std::rethrow_exception(parts.cancelled);
}

void PortalCore::acknowledge_cancel(std::exception_ptr otherwise) {
  if (accept()) settle_cancelled(std::move(otherwise));
}

void PortalCore::settle_cancelled(std::exception_ptr otherwise) {
  if (raise_) {
    cancel_acknowledged_ = true;
    settle();
  } else {
    settle_with_error(otherwise != nullptr ? std::move(otherwise)
                                           : std::make_exception_ptr(loop::CancelledError()));
  }
}

void PortalCore::end_with_raised(const std::exception_ptr& error) {
  const CancelledParts parts = split_cancelled(error);
  // Of a task that is cancelled, CancelledErrors are the translation.
  std::exception_ptr rest = parts.rest;
  if (rest != nullptr && (raise_ || fibers::holds<loop::CancelledError>(rest))) {
    rest = loop::without_cancelled_errors(rest);
  }
  if (rest == nullptr) {
    acknowledge_cancel(parts.rest);
  } else if (accept()) {
    settle_with_error(std::move(rest));
  }
  if (parts.cancelled != nullptr) std::rethrow_exception(parts.cancelled);
}

void PortalCore::check_thread() const {
  if (thread_ == &kThreadMark) return;
  throw fibers::UsageError(
      "a Completion was called on a thread that is not its run's; use complete_threadsafe()");
}

void PortalCore::count_late() {
  late_calls.fetch_add(1, std::memory_order_relaxed);
}

// For a destructor. Without memory for it, the std::bad_alloc.
static std::exception_ptr dropped_error() noexcept {
  try {
    return std::make_exception_ptr(fibers::BrokenResourceError(
        "the last Completion of a wait_for_callback was destroyed without having been called"));
  } catch (...) {
    return std::current_exception();
  }
}

void PortalCore::dropped() {
  if (!is_open()) return;
  if (raise_) {
    acknowledge_cancel(nullptr);
  } else if (accept()) {
    settle_with_error(dropped_error());
  }
}

// From another thread. False if there is no memory for it at the moment.
bool PortalCore::tell_dropped() {
  struct Side {
    PortalCore* cell;
    explicit Side(PortalCore* c) noexcept : cell(c) {
      cell->sides_.fetch_add(1, std::memory_order_relaxed);
    }
    Side(Side&& other) noexcept : cell(std::exchange(other.cell, nullptr)) {}
    Side& operator=(Side&&) = delete;
    ~Side() {
      if (cell != nullptr) cell->release();
    }
  };
  try {
    target_.token.run_sync_soon([side = Side(this)] { side.cell->dropped(); });
  } catch (const fibers::RunFinishedError&) {
    // Then nobody waits either.
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

// Whoever finds itself alone needs no atomic write: nobody is left who could add to the count.
void PortalCore::drop_holder() {
  const bool last = holders_.load(std::memory_order_acquire) == 1 ||
                    holders_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  if (!last) return;
  if (thread_ == &kThreadMark) {
    if (state_ != PortalState::kFinished) dropped();
    // No Completion is left, so all who count sides are on this thread.
    const std::uint32_t others = sides_.load(std::memory_order_relaxed) - 1;
    sides_.store(others, std::memory_order_relaxed);
    if (others == 0) delete this;
    return;
  }
  // The task would wait for ever, so that a lack of memory is waited out.
  while (sides_.load(std::memory_order_acquire) > 1 && !tell_dropped()) std::this_thread::yield();
  release();
}

void PortalCore::release() {
  if (sides_.load(std::memory_order_acquire) == 1 ||
      sides_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    delete this;
  }
}

}  // namespace detail
}  // namespace weft::shim
