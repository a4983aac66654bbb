// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of a memory channel that does not know its items' type: who waits, how many handles are
// open, what happens when they close. Not for use outside weft: see memory_channel.h.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/fibers/detail/item_list.h"
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
  // While an item moves the channel stays, whoever drops its last handle.
  void begin_move() { ++handles_; }
  void end_move() noexcept { drop_handle(); }
  // The same for an item on its way in, for which receivers wait although the last sender closes.
  void begin_sending() { ++open_senders_, ++handles_; }
  void end_sending() {
    if (--open_senders_ == 0) [[unlikely]]
      end_receiving();
    drop_handle();
  }
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
  // The last sender is gone.
  void end_receiving();

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

// Moving an item runs code of the user's, which may wait or use this very channel. So whoever is to
// give or get an item is taken out of its queue first, and a place is reserved before it is filled.
template <class T>
class ChannelState final : public ChannelCore {
  using Place = typename ItemList<T>::Place;

 public:
  using ChannelCore::ChannelCore;

  // Whether put() and take() may be called.
  bool has_place() const { return !receivers_.empty() || used_ < capacity_; }
  bool has_item() const { return !items_.empty() || !senders_.empty(); }
  bool send_would_wait() const { return has_receivers() && !has_place(); }

  void put(T&& item) {
    const Moving<&ChannelCore::begin_sending, &ChannelCore::end_sending> moving(*this);
    if (Waiter* const receiver = receivers_.pop_front()) return hand_over(*receiver, item);
    Place* const place = items_.take_place();
    if (++used_ > peak_) peak_ = used_;
    place->item.emplace(std::move(item));
    if constexpr (kMovesQuietly) {
      items_.link(place);
    } else {
      settle(place);
    }
  }

  T take() {
    const Moving<&ChannelCore::begin_move, &ChannelCore::end_move> moving(*this);
    if (items_.empty()) return take_from(*senders_.pop_front());
    Place* const place = items_.unlink_first();
    T item = std::move(*place->item);
    place->item.reset();
    if (refill(place)) settle(place);
    return item;
  }

 private:
  // Nothing happens in between where nobody's code runs.
  static constexpr bool kMovesQuietly =
      std::is_trivially_move_constructible_v<T> && std::is_trivially_destructible_v<T>;

  template <auto kBegin, auto kEnd>
  class Moving {
   public:
    explicit Moving(ChannelState& state) : state_(state) {
      if constexpr (!kMovesQuietly) (state.*kBegin)();
    }
    Moving(const Moving&) = delete;
    Moving& operator=(const Moving&) = delete;
    ~Moving() {
      if constexpr (!kMovesQuietly) (state_.*kEnd)();
    }

   private:
    ChannelState& state_;
  };

  // Both get a waiter that has been taken out of its queue.
  static void hand_over(Waiter& receiver, T& item) {
    static_cast<std::optional<T>*>(static_cast<ChannelWaiter&>(receiver).slot)
        ->emplace(std::move(item));
    wake(receiver);
  }
  static T take_from(Waiter& sender) {
    T item = std::move(*static_cast<T*>(static_cast<ChannelWaiter&>(sender).slot));
    wake(sender);
    return item;
  }
  // An item has been put into its place. Receivers may have come meanwhile, or all have closed.
  void settle(Place* place) {
    do {
      if (receivers_.empty() && has_receivers()) return items_.link(place);
      if (Waiter* const receiver = receivers_.pop_front()) hand_over(*receiver, *place->item);
      place->item.reset();
    } while (refill(place));
  }
  // An empty place goes to the sender that has waited longest. False if none waits.
  bool refill(Place* place) {
    Waiter* const sender = senders_.pop_front();
    if (sender == nullptr) {
      --used_;
      items_.give_back(place);
      return false;
    }
    place->item.emplace(std::move(*static_cast<T*>(static_cast<ChannelWaiter*>(sender)->slot)));
    wake(*sender);
    return true;
  }
  std::size_t buffered() const override { return used_; }
  // An item's destructor may use the channel: it finds the item gone.
  void clear_buffer() override {
    const Moving<&ChannelCore::begin_move, &ChannelCore::end_move> moving(*this);
    while (!items_.empty()) {
      Place* const place = items_.unlink_first();
      --used_;
      place->item.reset();
      items_.give_back(place);
    }
  }

  ItemList<T> items_;
  std::size_t used_ = 0;  // Places of items, also of those that are on their way in or out.
};

}  // namespace weft::fibers::detail
