// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/entry_queue.h"

#include <cstring>

#include "fibers/core/current_scheduler.h"
#include "weft/fibers/errors.h"

namespace weft::fibers::detail {

namespace {

constexpr std::uint32_t kNone = ~std::uint32_t{0};

std::uint64_t pack(std::uint64_t changes, std::uint32_t index) {
  return changes << 32 | index;
}

}  // namespace

[[gnu::cold]] EntryQueue::EntryQueue() : free_head_(pack(0, 0)) {
  for (std::uint32_t i = 0; i < kSlots; ++i) next_free_[i] = i + 1 < kSlots ? i + 1 : kNone;
}

[[gnu::cold]] EntryQueue::~EntryQueue() = default;

bool EntryQueue::is_pooled(const EntrySlot* slot) const {
  return slot >= slots_.data() && slot < slots_.data() + slots_.size();
}

EntrySlot* EntryQueue::take_slot() {
  std::uint64_t head = free_head_.load();
  for (;;) {
    const auto index = static_cast<std::uint32_t>(head);
    if (index == kNone) return new EntrySlot;
    const std::uint64_t next = pack((head >> 32) + 1, next_free_[index].load());
    if (free_head_.compare_exchange_weak(head, next)) return &slots_[index];
  }
}

void EntryQueue::give_slot_back(EntrySlot* slot) noexcept {
  if (!is_pooled(slot)) {
    delete slot;
    return;
  }
  const auto index = static_cast<std::uint32_t>(slot - slots_.data());
  std::uint64_t head = free_head_.load();
  do {
    next_free_[index].store(static_cast<std::uint32_t>(head));
  } while (!free_head_.compare_exchange_weak(head, pack((head >> 32) + 1, index)));
}

bool EntryQueue::submit(EntrySlot* slot) noexcept {
  EntrySlot* head = head_.load();
  do {
    if (head == &closed_) return false;
    slot->next = head;
  } while (!head_.compare_exchange_weak(head, slot));
  wakeup_.wake();
  return true;
}

// Others only push, and what has been pushed stays until this thread takes it.
std::size_t EntryQueue::size() const {
  const EntrySlot* newest = head_.load();
  if (newest == &closed_) newest = remaining_;
  std::size_t calls = 0;
  for (const EntrySlot* list : std::array<const EntrySlot*, 3>{newest, later_, batch_}) {
    for (const EntrySlot* slot = list; slot != nullptr; slot = slot->next) ++calls;
  }
  return calls;
}

// In order.
EntrySlot* EntryQueue::take_new() noexcept {
  EntrySlot* newest = std::exchange(remaining_, nullptr);
  if (newest == nullptr && head_.load() != &closed_) newest = head_.exchange(nullptr);
  EntrySlot* oldest = nullptr;
  while (newest != nullptr) {
    EntrySlot* next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  return oldest;
}

static EntrySlot** end_of(EntrySlot*& list) {
  EntrySlot** end = &list;
  while (*end != nullptr) end = &(*end)->next;
  return end;
}

EntrySlot* EntryQueue::take_all() noexcept {
  EntrySlot* all = std::exchange(later_, nullptr);
  *end_of(all) = take_new();
  return all;
}

// Of everything submitted up to now. A repeat that comes when `first` has begun counts again.
[[gnu::cold]] void EntryQueue::drop_repeats(const EntrySlot& first) noexcept {
  *end_of(later_) = take_new();
  drop_repeats(first, batch_);
  drop_repeats(first, later_);
}

[[gnu::cold]] void EntryQueue::drop_repeats(const EntrySlot& first, EntrySlot*& list) noexcept {
  for (EntrySlot** at = &list; *at != nullptr;) {
    EntrySlot* slot = *at;
    if (slot->idempotent == first.idempotent &&
        std::memcmp(slot->storage, first.storage, first.idempotent->compared_bytes) == 0) {
      *at = slot->next;
      give_slot_back(slot);
    } else {
      at = &slot->next;
    }
  }
}

void EntryQueue::close() noexcept {
  if (EntrySlot* const head = head_.exchange(&closed_); head != &closed_) remaining_ = head;
}

EntrySlot* take_entry_slot(EntryQueue& queue) {
  return queue.take_slot();
}

void refuse_idempotent() {
  throw UsageError(
      "an idempotent call of Token::run_sync_soon is compared by its bytes: let it capture only "
      "pointers, references and integers, 48 bytes of them at most");
}

bool LastCall::submit() noexcept {
  const std::shared_ptr<std::atomic<int>> leaving = token_->queue_->leaving();
  leaving->fetch_add(1, std::memory_order_relaxed);
  const bool accepted = token_->queue_->submit(slot_.get());
  if (accepted) static_cast<void>(slot_.release());  // The queue deletes what is not of its own.
  token_.reset();
  leaving->fetch_sub(1, std::memory_order_release);
  return accepted;
}

void submit_entry(EntryQueue& queue, EntrySlot* slot, void (*destroy)(EntrySlot&)) {
  if (queue.submit(slot)) return;
  destroy(*slot);
  queue.give_slot_back(slot);
  throw RunFinishedError();
}

}  // namespace weft::fibers::detail

namespace weft::fibers {

Token current_token() {
  return Token(detail::current_scheduler().entries());
}

}  // namespace weft::fibers
