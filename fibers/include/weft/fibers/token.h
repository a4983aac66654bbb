// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A way into a run from outside: from other threads and from signal handlers. (Trio: TrioToken.)

#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace weft::fibers {

namespace detail {
class EntryQueue;
// A place for a callable in the queue. Small ones lie inside it.
struct EntrySlot {
  static constexpr std::size_t kInline = 48;
  EntrySlot* next = nullptr;
  void (*run_and_destroy)(EntrySlot&) = nullptr;
  void* heap = nullptr;  // A callable too large for `storage`.
  alignas(16) unsigned char storage[kInline];
};
EntrySlot* take_entry_slot(EntryQueue& queue);
void submit_entry(EntryQueue& queue, EntrySlot* slot, void (*destroy)(EntrySlot&));
}  // namespace detail

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
  void run_sync_soon(F&& fn) const {
    using Fn = std::decay_t<F>;
    detail::EntrySlot* slot = detail::take_entry_slot(*queue_);
    if constexpr (sizeof(Fn) <= detail::EntrySlot::kInline && alignof(Fn) <= 16 &&
                  std::is_nothrow_constructible_v<Fn, F>) {
      ::new (static_cast<void*>(slot->storage)) Fn(std::forward<F>(fn));
      slot->run_and_destroy = [](detail::EntrySlot& s) {
        Fn* f = std::launder(reinterpret_cast<Fn*>(s.storage));
        Fn local(std::move(*f));
        f->~Fn();
        std::invoke(local);
      };
      detail::submit_entry(*queue_, slot, [](detail::EntrySlot& s) {
        std::launder(reinterpret_cast<Fn*>(s.storage))->~Fn();
      });
    } else {
      slot->heap = new Fn(std::forward<F>(fn));
      slot->run_and_destroy = [](detail::EntrySlot& s) {
        const std::unique_ptr<Fn> f(static_cast<Fn*>(s.heap));
        std::invoke(*f);
      };
      detail::submit_entry(*queue_, slot,
                           [](detail::EntrySlot& s) { delete static_cast<Fn*>(s.heap); });
    }
  }

  friend bool operator==(const Token&, const Token&) = default;

 private:
  friend Token current_token();
  explicit Token(std::shared_ptr<detail::EntryQueue> queue) : queue_(std::move(queue)) {}
  std::shared_ptr<detail::EntryQueue> queue_;
};

// The token of this run. Throws UsageError outside a run. (Trio: current_trio_token.)
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
Token current_token();

}  // namespace weft::fibers
