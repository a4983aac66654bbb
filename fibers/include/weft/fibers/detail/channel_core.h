// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of a memory channel that does not know its items' type: who waits, how many handles are
// open, what happens when they close. Not for use outside weft: see memory_channel.h.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "weft/fibers/detail/wait_queue.h"

namespace weft::fibers {
struct MemoryChannelStatistics;
}

namespace weft::fibers::detail {

// How a wait on a channel ended. Written by whoever takes the waiter out of its queue.
enum class ChannelResult : std::uint8_t { kDone, kOwnHandleClosed, kOtherSideClosed };

[[noreturn]] void throw_channel_closed();
// For a call that may suspend, of a handle that may be closed: Cancelled comes first.
inline void cancelled_before_closed(bool open) {
  if (!open) [[unlikely]]
    checkpoint_if_cancelled();
}
[[noreturn]] void throw_not_sent(ChannelResult result);
[[noreturn]] void throw_no_receivers();
[[noreturn]] void throw_end_of_channel();
[[noreturn]] void throw_would_block();

// A task in send() or receive(). `slot` is the sender's T or the receiver's std::optional<T>, in
// the frame of that call; the other side moves the item straight from or to it.
struct ChannelWaiter : Waiter {
  void* slot = nullptr;
  std::uint64_t handle = 0;  // By which handle it waits.
  ChannelResult result = ChannelResult::kDone;
};

// Items in order. Grows to what has been needed at once and stays there, so that a channel in
// steady use allocates nothing.
template <class T>
class ItemRing {
 public:
  std::size_t size() const { return size_; }
  void push_back(T&& item) {
    if (size_ == allocated_) grow();
    items_[wrapped(first_ + size_)].emplace(std::move(item));
    ++size_;
  }
  T pop_front() {
    std::optional<T>& first = items_[first_];
    T item = std::move(*first);
    first.reset();
    first_ = wrapped(first_ + 1);
    --size_;
    return item;
  }

 private:
  std::size_t wrapped(std::size_t i) const { return i & (allocated_ - 1); }
  void grow() {
    const std::size_t wanted = allocated_ == 0 ? 4 : 2 * allocated_;
    auto larger = std::make_unique<std::optional<T>[]>(wanted);
    for (std::size_t i = 0; i < size_; ++i) larger[i] = std::move(items_[wrapped(first_ + i)]);
    items_ = std::move(larger);
    allocated_ = wanted;
    first_ = 0;
  }

  std::unique_ptr<std::optional<T>[]> items_;
  std::size_t allocated_ = 0;  // A power of two.
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

// Shared by all handles, open or closed; deletes itself with the last.
class ChannelCore {
 public:
  explicit ChannelCore(std::size_t capacity) : capacity_(capacity) {}
  ChannelCore(const ChannelCore&) = delete;
  ChannelCore& operator=(const ChannelCore&) = delete;

  bool has_senders() const { return open_senders_ > 0; }
  bool has_receivers() const { return open_receivers_ > 0; }

  // A new handle, as a number that no other handle of this channel has.
  std::uint64_t open_sender() { return ++open_senders_, ++handles_, ++last_handle_; }
  std::uint64_t open_receiver() { return ++open_receivers_, ++handles_, ++last_handle_; }
  void close_sender(std::uint64_t handle);
  void close_receiver(std::uint64_t handle);
  // The handle itself is gone, closed before.
  void drop_handle() noexcept {
    if (--handles_ == 0) delete this;
  }

  // Waits in send(), until the item has been taken; throws if it has not been.
  void wait_to_send(ChannelWaiter& waiter) {
    wait_in(senders_, waiter, {.what = "MemorySendChannel.send", .on = this});
    if (waiter.result != ChannelResult::kDone) [[unlikely]]
      throw_not_sent(waiter.result);
  }
  // Waits in receive(), until there is an item or there will be no more.
  void wait_to_receive(ChannelWaiter& waiter) {
    wait_in(receivers_, waiter, {.what = "MemoryReceiveChannel.receive", .on = this});
    if (waiter.result == ChannelResult::kOwnHandleClosed) [[unlikely]]
      throw_channel_closed();
  }

  MemoryChannelStatistics statistics() const;

 protected:
  virtual ~ChannelCore() = default;
  virtual std::size_t buffered() const = 0;
  virtual void clear_buffer() = 0;

  std::size_t capacity_;
  std::size_t peak_ = 0;
  WaitQueue senders_;
  WaitQueue receivers_;

 private:
  std::uint32_t open_senders_ = 0;
  std::uint32_t open_receivers_ = 0;
  std::uint32_t handles_ = 0;
  std::uint64_t last_handle_ = 0;
};

template <class T>
class ChannelState final : public ChannelCore {
 public:
  using ChannelCore::ChannelCore;

  // Whether put() and take() may be called.
  bool has_place() const { return !receivers_.empty() || ring_.size() < capacity_; }
  bool has_item() const { return ring_.size() > 0 || !senders_.empty(); }
  bool send_would_wait() const { return has_receivers() && !has_place(); }

  void put(T&& item) {
    if (Waiter* first = receivers_.front()) {
      static_cast<std::optional<T>*>(static_cast<ChannelWaiter*>(first)->slot)
          ->emplace(std::move(item));
      wake_first(receivers_);
      return;
    }
    ring_.push_back(std::move(item));
    if (ring_.size() > peak_) peak_ = ring_.size();
  }

  T take() {
    if (ring_.size() == 0) return take_from_sender();
    T item = ring_.pop_front();
    // Its place goes to the sender that has waited longest.
    if (!senders_.empty()) ring_.push_back(take_from_sender());
    return item;
  }

 private:
  T take_from_sender() {
    T item = std::move(*static_cast<T*>(static_cast<ChannelWaiter*>(senders_.front())->slot));
    wake_first(senders_);
    return item;
  }
  std::size_t buffered() const override { return ring_.size(); }
  void clear_buffer() override {
    // The items' destructors may use the channel: they see it empty already.
    const ItemRing<T> cleared = std::exchange(ring_, ItemRing<T>());
  }

  ItemRing<T> ring_;
};

}  // namespace weft::fibers::detail
