// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The callback portal: wait, in a straight line, for a library that calls back once.
//
//   int status = wait_for_callback<int>(
//       [&](Completion<int> done) {                       // start it, and say how it ends
//         lib_query(conn, "...", [](int s, void* p) { Completion<int>::take_pointer(p)(s); },
//                   std::move(done).into_pointer());
//       },
//       [&] {                                             // the task is cancelled meanwhile
//         lib_cancel(conn);
//         return CancelResult::kWillComplete;
//       });
//
// What both sides share lies in a cell that outlives either: the library may call before `start`
// returns, inside `cancel`, long after the task has gone, twice, or never.

#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/fibers/outcome.h"
#include "weft/shim/detail/portal_cell.h"

namespace weft::shim {

// What a cancel function has achieved.
enum class CancelResult : std::uint8_t {
  // It is over: the library will neither call nor touch anything any more. The wait throws.
  kDone,
  // The library will call, soon: the task stays until then. If the call brings a value or an error,
  // that is what the wait gives; if it only says that the operation was cancelled, use
  // Completion::cancelled(), and the wait throws Cancelled.
  kWillComplete,
  // Nothing can stop it. The task leaves at once; the operation may still take effect, its result
  // is
  // dropped. What the library writes to must not lie on this task's stack.
  kAbandoned,
};

// Of this process, since it began. Calls that had no effect.
struct PortalStatistics {
  std::uint64_t extra_calls = 0;  // After the one that counted.
  std::uint64_t late_calls = 0;   // After the task had gone.
};
PortalStatistics portal_statistics();

// The library's end: a value, copied at will. The first call counts. When the last copy goes
// without one the wait throws BrokenResourceError, or Cancelled if it is being cancelled.
template <class R>
class Completion {
 public:
  // Ends the wait with a value: done(), done(value), done(what R is made from). UsageError on
  // another thread.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  template <class... V>
  void operator()(V&&... value) const {
    static_assert(std::is_void_v<R> ? sizeof...(V) == 0 : std::is_constructible_v<Stored, V...>);
    complete(fibers::Outcome<R>::value(Stored(std::forward<V>(value)...)));
  }
  // Ends it with an error.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void fail(std::exception_ptr error) const {
    complete(fibers::Outcome<R>::error(std::move(error)));
  }
  // "It was cancelled": the wait throws Cancelled if its task is, else `otherwise`, or
  // loop::CancelledError.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void cancelled(std::exception_ptr otherwise = nullptr) const {
    cell_->acknowledge_cancel(std::move(otherwise));
  }
  // In a handler, in a callback: ends it with what asyncio-flavoured code has thrown.
  // CancelledErrors in that are taken as cancelled(); a fibers::Cancelled is thrown on, to the
  // callback's own scope.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void raised() const { cell_->end_with_raised(std::current_exception()); }
  // With a value whose constructor throws, the wait ends with what that throws.
  void complete(fibers::Outcome<R> outcome) const {
    if constexpr (std::is_trivially_move_constructible_v<Stored>) {
      if (cell_->accept()) cell_->settle_with(std::move(outcome));
    } else {
      const Completion kept(*this);  // The constructor may wait, and this be destroyed meanwhile.
      if (kept.cell_->accept()) kept.cell_->settle_with(std::move(outcome));
    }
  }

  // The same from a library's own thread. Also when the run is over: then it has no effect.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: any.
  template <class... V>
  void complete_threadsafe(V&&... value) const {
    post(fibers::Outcome<R>::value(Stored(std::forward<V>(value)...)));
  }
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: any.
  void fail_threadsafe(std::exception_ptr error) const {
    post(fibers::Outcome<R>::error(std::move(error)));
  }

  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: any.
  void cancelled_threadsafe(std::exception_ptr otherwise = nullptr) const {
    cell_->post([done = *this, otherwise = std::move(otherwise)]() mutable {
      done.cancelled(std::move(otherwise));
    });
  }

  // For a callback with a `void*`: the pointer stands for one copy. take_pointer() makes that copy
  // of it again, once; copy_pointer(), for libraries that call more often, another one.
  void* into_pointer() && { return std::exchange(cell_, nullptr); }
  static Completion take_pointer(void* pointer) { return Completion(static_cast<Cell*>(pointer)); }
  static Completion copy_pointer(void* pointer) {
    auto* cell = static_cast<Cell*>(pointer);
    cell->add_holder();
    return Completion(cell);
  }

  Completion(const Completion& other) : cell_(other.cell_) {
    if (cell_ != nullptr) cell_->add_holder();
  }
  Completion(Completion&& other) noexcept : cell_(std::exchange(other.cell_, nullptr)) {}
  Completion& operator=(Completion other) noexcept {
    std::swap(cell_, other.cell_);
    return *this;
  }
  ~Completion() {
    if (cell_ != nullptr) cell_->drop_holder();
  }

 private:
  using Cell = detail::PortalCell<R>;
  using Stored = std::conditional_t<std::is_void_v<R>, std::monostate, R>;
  template <class T, class Start, class Cancel>
  friend T wait_for_callback(Start&& start, Cancel&& cancel);
  // Takes over one count.
  explicit Completion(Cell* cell) : cell_(cell) {}
  void post(fibers::Outcome<R> outcome) const {
    if constexpr (std::is_nothrow_move_constructible_v<Stored>) {
      cell_->post([done = *this, outcome = std::move(outcome)]() mutable {
        done.complete(std::move(outcome));
      });
    } else {
      // What throws on its way through the run's queue would end the run.
      auto kept = std::make_unique<fibers::Outcome<R>>(std::move(outcome));
      cell_->post([done = *this, kept = std::move(kept)] { done.complete(std::move(*kept)); });
    }
  }

  Cell* cell_;
};

// Calls `start(Completion<R>)` and waits until the completion is called; returns its value or
// throws its error. What `start` throws comes out as it is. If the task is cancelled meanwhile,
// `cancel()` is called, once, and says what happens; it must not wait, and may run on another
// task's stack. What it throws ends the wait, also if the library has called meanwhile.
//
// Blocks: yes, always a checkpoint.
// Cancel: before `start`: nothing is started. Afterwards as `cancel` says; a value that comes is
// returned.
// Threads: the run's own only.
template <class R, class Start, class Cancel>
[[gnu::always_inline]] inline R wait_for_callback(Start&& start, Cancel&& cancel) {
  static_assert(std::is_invocable_r_v<CancelResult, Cancel&>,
                "the cancel function of wait_for_callback returns a CancelResult");
  const std::unique_ptr<detail::PortalCell<R>, detail::ReleaseCell> cell(new detail::PortalCell<R>);
  try {
    std::forward<Start>(start)(Completion<R>(cell.get()));
  } catch (...) {
    cell->abandon();
    throw;
  }
  auto call_cancel = [&]() -> CancelResult { return cancel(); };
  cell->await(call_cancel);
  return cell->take();
}

}  // namespace weft::shim

namespace weft {
using shim::CancelResult;
using shim::Completion;
using shim::wait_for_callback;
}  // namespace weft
