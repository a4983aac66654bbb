// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Calls handed to a run from other threads and from signal handlers. Outlives the run: tokens share
// it.

#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <utility>

#include "fibers/core/wakeup.h"
#include "weft/fibers/token.h"

namespace weft::fibers::detail {

class EntryQueue {
 public:
  EntryQueue();
  ~EntryQueue();

  // --- Any thread, and signal handlers. ---
  EntrySlot* take_slot();
  void give_slot_back(EntrySlot* slot) noexcept;
  // False if the run is over.
  bool submit(EntrySlot* slot) noexcept;
  Wakeup& wakeup() { return wakeup_; }
  // How many threads are between their last call and the end of their token.
  const std::shared_ptr<std::atomic<int>>& leaving() const { return leaving_; }

  // --- The run's thread. ---
  bool empty() const {
    return head_.load(std::memory_order_relaxed) == nullptr && later_ == nullptr;
  }
  // Whether a call has come since the last drain(). Not relaxed: see Wakeup::about_to_wait().
  bool anything_new() const { return head_.load() != nullptr; }
  // How many calls have not run. Walks them: for reports.
  std::size_t size() const;
  // Runs what has been submitted so far, in order. What those calls throw goes to `on_error`.
  template <class OnError>
  void drain(OnError&& on_error) {
    for (batch_ = take_all(); batch_ != nullptr;) {
      EntrySlot* slot = std::exchange(batch_, batch_->next);
      if (slot->idempotent != nullptr) [[unlikely]]
        drop_repeats(*slot);
      try {
        slot->run_and_destroy(*slot);
      } catch (...) {
        on_error(std::current_exception());
      }
      give_slot_back(slot);
    }
  }
  // From here on submit() is refused; what was accepted is still there to drain.
  void close() noexcept;

 private:
  static constexpr std::uint32_t kSlots = 256;

  EntrySlot* take_new() noexcept;
  EntrySlot* take_all() noexcept;
  void drop_repeats(const EntrySlot& first) noexcept;
  void drop_repeats(const EntrySlot& first, EntrySlot*& list) noexcept;
  bool is_pooled(const EntrySlot* slot) const;

  // A stack, newest first; take_new() turns it round. The sentinel &closed_ means closed.
  std::atomic<EntrySlot*> head_{nullptr};
  EntrySlot closed_;
  EntrySlot* remaining_ = nullptr;  // Accepted before close().
  // In order: what is left of the present drain, and what has been looked at for the next.
  EntrySlot* batch_ = nullptr;
  EntrySlot* later_ = nullptr;

  std::array<EntrySlot, kSlots> slots_;
  // The free slots, as a stack of indices. The upper half of the head counts changes, so that a
  // slot taken and given back in between does not deceive a compare-and-swap.
  std::array<std::atomic<std::uint32_t>, kSlots> next_free_;
  std::atomic<std::uint64_t> free_head_;

  Wakeup wakeup_;
  const std::shared_ptr<std::atomic<int>> leaving_ = std::make_shared<std::atomic<int>>(0);
};

}  // namespace weft::fibers::detail
