// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/coro.h"

#include <array>
#include <cstddef>
#include <new>

#include "fibers/sys/lasting.h"
#include "loop/core/loop_core.h"
#include "loop/core/reports.h"
#include "weft/fibers/detail/sanitizers.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/log.h"
#include "weft/loop/detail/fiber_task.h"
#include "weft/loop/detail/foreign_wait.h"
#include "weft/loop/detail/task_core.h"
#include "weft/loop/event_loop.h"

namespace weft::loop::detail {

// --- Frames. ---

namespace {

// Under AddressSanitizer every frame is the heap's own, so that a use after free is seen.
#ifdef WEFT_ASAN
constexpr bool kPooled = false;
#else
constexpr bool kPooled = true;
#endif

// Frames of a few sizes. One may be freed by another thread than the one that made it.
class FramePool {
 public:
  FramePool() = default;
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;
  ~FramePool() {
    for (Class& c : classes_) {
      while (c.first != nullptr) ::operator delete(pop(c));
    }
  }

  void* take(std::size_t size) {
    const std::size_t index = index_of(size);
    if (index >= kClasses) return ::operator new(size);
    Class& c = classes_[index];
    return c.first != nullptr ? pop(c) : ::operator new((index + 1) * kUnit);
  }
  void give(void* frame, std::size_t size) noexcept {
    const std::size_t index = index_of(size);
    if (index >= kClasses || classes_[index].count == kMostKept) return ::operator delete(frame);
    Class& c = classes_[index];
    c.first = ::new (frame) Free{c.first};
    ++c.count;
  }

 private:
  static constexpr std::size_t kUnit = 64;
  static constexpr std::size_t kClasses = 32;
  static constexpr std::size_t kMostKept = 1024;  // Of each size.

  struct Free {
    Free* next;
  };
  struct Class {
    Free* first = nullptr;
    std::size_t count = 0;
  };
  static std::size_t index_of(std::size_t size) { return (size - 1) / kUnit; }
  static void* pop(Class& c) noexcept {
    --c.count;
    return std::exchange(c.first, c.first->next);
  }

  std::array<Class, kClasses> classes_{};
};

}  // namespace

void* allocate_frame(std::size_t size) {
  if (!kPooled) return ::operator new(size);
  return fibers::sys::ThreadObject<FramePool>::get().take(size);
}

void free_frame(void* frame, std::size_t size) noexcept {
  if (!kPooled) return ::operator delete(frame);
  fibers::sys::ThreadObject<FramePool>::get().give(frame, size);
}

// --- Running. ---

CoroDriver::Stop CoroDriver::resume(std::exception_ptr error) {
  error_ = std::move(error);
  do {
    transferred_ = false;
    next_.resume();
  } while (transferred_);
  return stop_;
}

void CoroDriver::throw_cancellation() {
  if (task_ != nullptr) task_->throw_cancellation();
}

void CoroDriver::rethrow_from_elsewhere() {
  if (is_cancellation()) {
    throw_cancellation();
    if (cancellation_ != nullptr) std::rethrow_exception(std::exchange(cancellation_, nullptr));
  }
  throw;
}

static void wait_for_stop(CoroDriver& driver, CoroDriver::Stop stop) {
  switch (stop) {
    case CoroDriver::Stop::kEnded:
      return;
    case CoroDriver::Stop::kAwaits:
      return driver.awaited().wait();
    case CoroDriver::Stop::kYields:
      return yield_to_loop();
    case CoroDriver::Stop::kElsewhere:
      const std::optional<fibers::RaiseCancel> cancelled = wait_in_fiber(driver.elsewhere());
      driver.set_cancellation(cancelled ? cancelled->as_exception() : nullptr);
  }
}

void drive_in_fiber(CoroDriver& driver) {
  std::exception_ptr error;
  for (;;) {
    const CoroDriver::Stop stop = driver.resume(std::exchange(error, nullptr));
    if (stop == CoroDriver::Stop::kEnded) return;
    try {
      wait_for_stop(driver, stop);
    } catch (...) {
      error = std::current_exception();
    }
  }
}

// --- A task that waits elsewhere. ---

TaskCore::Step CoroTaskCore::stay_elsewhere() noexcept {
  future().retain();
  held_ = true;
  driver_.elsewhere().set_told(
      [](void* self) noexcept {
        auto& task = *static_cast<CoroTaskCore*>(self);
        task.push();
        task.let_go();
      },
      this);
  return Step::kElsewhere;
}

void CoroTaskCore::let_go() noexcept {
  if (std::exchange(held_, false)) future().release();
}

bool CoroTaskCore::cancel_elsewhere() noexcept {
  driver_.elsewhere().request_stop();
  return false;
}

void CoroAccess::throw_cannot_reuse() {
  throw fibers::UsageError("cannot reuse already awaited coroutine; call the function again");
}

void report_never_awaited(const std::source_location& where) noexcept {
  fibers::detail::log_quietly(fibers::LogLevel::kWarning, [&where] {
    return std::string("coroutine '") + where.function_name() + "' was never awaited (from " +
           place(where) + "); co_await it, or make it a task by create_task";
  });
}

struct CancelAtEnd {
  TimerHandle timer;
  ~CancelAtEnd() { timer.cancel(); }
};

}  // namespace weft::loop::detail

namespace weft::loop {

Coro<void> sleep(fibers::Duration delay) {
  if (delay <= fibers::Duration::zero()) {
    co_await detail::YieldAwaiter{};
    co_return;
  }
  EventLoop& loop = get_running_loop();
  Future<void> future = loop.create_future<void>();
  const detail::CancelAtEnd timer{loop.call_later(delay, [future]() mutable {
    if (!future.done()) future.set_result();
  })};
  co_await future;
}

}  // namespace weft::loop
