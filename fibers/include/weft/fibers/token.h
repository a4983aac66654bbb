// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A way into a run from outside: from other threads and from signal handlers. (Trio: TrioToken.)

#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

class Task;

namespace detail {
class EntryQueue;
// What two equal idempotent calls have in common: the same address of this, which stands for the
// callable's type, and the same first bytes of it.
struct EntryType {
  std::size_t compared_bytes;
};
// A place for a callable in the queue. Small ones lie inside it.
struct EntrySlot {
  static constexpr std::size_t kInline = 48;
  EntrySlot* next = nullptr;
  void (*run_and_destroy)(EntrySlot&) = nullptr;
  void* heap = nullptr;                   // A callable too large for `storage`.
  const EntryType* idempotent = nullptr;  // Null: to be run however often it was submitted.
  alignas(16) unsigned char storage[kInline];
};
// Whether equal bytes mean the same call. (No has_unique_object_representations: to g++ a captured
// reference has none.)
template <class Fn>
inline constexpr bool kComparable =
    sizeof(Fn) <= EntrySlot::kInline&& std::is_trivially_copyable_v<Fn>;
template <class Fn>
inline constexpr EntryType kEntryType{std::is_empty_v<Fn> ? 0 : sizeof(Fn)};
EntrySlot* take_entry_slot(EntryQueue& queue);
void submit_entry(EntryQueue& queue, EntrySlot* slot, void (*destroy)(EntrySlot&));
[[noreturn]] void refuse_idempotent();
template <class Fn>
inline constexpr bool kFitsInSlot = sizeof(Fn) <= EntrySlot::kInline &&
                                    alignof(Fn) <= 16 && std::is_nothrow_move_constructible_v<Fn>;
template <class Fn>
void run_inline_entry(EntrySlot& slot) {
  Fn* f = std::launder(reinterpret_cast<Fn*>(slot.storage));
  Fn local(std::move(*f));
  f->~Fn();
  std::invoke(local);
}
class LastCall;
struct CallTarget;
}  // namespace detail

struct RunSyncSoonOptions {
  // True: of equal calls that have not begun only the first is made. Calls are equal if their
  // callables have the same type and the same bytes, so capture pointers, references, or integers
  // of one size, between which there is no padding. UsageError if `fn` is not trivially copyable or
  // is larger than 48 bytes. The dropping happens in the run: until then each takes its place.
  bool idempotent = false;
};

// A value: copy it, hand it to other threads, keep it after the run.
class Token {
 public:
  // Lets the run call `fn` soon, on its own thread, outside any task: `fn` must not wait. Calls
  // happen in the order of submission, and none that was accepted is dropped. An exception out of
  // `fn` is an InternalError of the run. Throws RunFinishedError when the run is over.
  // In a signal handler: `fn` must fit in 48 bytes and be trivially copyable; more than 256 calls
  // not yet run allocate, which a signal handler must not do.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: any, and signal handlers.
  template <class F>
  void run_sync_soon(F&& fn, const RunSyncSoonOptions& options = {}) const {
    using Fn = std::decay_t<F>;
    if (options.idempotent && !detail::kComparable<Fn>) detail::refuse_idempotent();
    // A copy where the callable's constructor is the user's, who may drop this token in it.
    using Queue = const std::shared_ptr<detail::EntryQueue>;
    std::conditional_t<std::is_trivially_copyable_v<Fn>, Queue&, Queue> queue = queue_;
    if constexpr (detail::kFitsInSlot<Fn> && std::is_nothrow_constructible_v<Fn, F>) {
      detail::EntrySlot* slot = detail::take_entry_slot(*queue);
      ::new (static_cast<void*>(slot->storage)) Fn(std::forward<F>(fn));
      slot->idempotent = options.idempotent ? &detail::kEntryType<Fn> : nullptr;
      slot->run_and_destroy = &detail::run_inline_entry<Fn>;
      detail::submit_entry(*queue, slot, [](detail::EntrySlot& s) {
        std::launder(reinterpret_cast<Fn*>(s.storage))->~Fn();
      });
    } else {
      // First of all: what throws here, or waits, holds no slot.
      auto stored = std::make_unique<Fn>(std::forward<F>(fn));
      detail::EntrySlot* slot = detail::take_entry_slot(*queue);
      slot->heap = stored.release();
      slot->idempotent = nullptr;
      slot->run_and_destroy = [](detail::EntrySlot& s) {
        const std::unique_ptr<Fn> f(static_cast<Fn*>(s.heap));
        std::invoke(*f);
      };
      detail::submit_entry(*queue, slot,
                           [](detail::EntrySlot& s) { delete static_cast<Fn*>(s.heap); });
    }
  }

  friend bool operator==(const Token&, const Token&) = default;

 private:
  friend Token current_token();
  friend class detail::LastCall;
  friend struct detail::CallTarget;
  explicit Token(std::shared_ptr<detail::EntryQueue> queue) : queue_(std::move(queue)) {}
  std::shared_ptr<detail::EntryQueue> queue_;
};

// The token of this run. Throws UsageError outside a run. (Trio: current_trio_token.)
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
Token current_token();

namespace detail {
// Whom the call of a library reaches: the task that is about to wait for it, and its run.
struct CallTarget {
  Task* task;
  Token token;
  // checkpoint_if_cancelled(), current_task() and current_token(), as one call.
  static CallTarget here();
};
// The one call of a thread that then drops its token. Has a place of its own from the beginning,
// when a lack of memory can still be told: those of the queue are for signal handlers, too.
class LastCall {
 public:
  explicit LastCall(Token token) : token_(std::move(token)), slot_(std::make_unique<EntrySlot>()) {}

  const Token& token() const { return *token_; }

  // Lets the run call `fn`, and drops the token. Gives `fn` back if the run is over. Once.
  template <class Fn>
  std::optional<Fn> make(Fn fn) noexcept {
    static_assert(kFitsInSlot<Fn> && std::is_nothrow_move_constructible_v<Fn>);
    Fn* const stored = ::new (static_cast<void*>(slot_->storage)) Fn(std::move(fn));
    slot_->run_and_destroy = &run_inline_entry<Fn>;
    if (submit()) return std::nullopt;
    std::optional<Fn> refused(std::move(*stored));
    stored->~Fn();
    return refused;
  }

 private:
  // Drops the token either way. A thread may be interrupted in between, by the very one that it has
  // woken: meanwhile whoever asks how many tokens there are waits for it.
  bool submit() noexcept;

  std::optional<Token> token_;
  std::unique_ptr<EntrySlot> slot_;
};
}  // namespace detail

}  // namespace weft::fibers
