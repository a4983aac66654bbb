// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Passing values between tasks.
//
//   auto [send, receive] = open_memory_channel<Page>(0);
//   nursery.start_soon([send = std::move(send)]() mutable {      // closes it when it ends
//     for (Page& page : read_pages()) send.send(std::move(page));
//   });
//   for (Page& page : receive) print(page);                      // until the last sender is closed
//
// Capacity 0: send() waits until somebody receives. kUnbounded: send() never waits, and a slow
// receiver means memory without limit. Every item sent is received once; who waits longest is
// served first. Moving an item may run code of yours that waits: an item on its way arrives,
// whoever is cancelled or closes meanwhile. (Trio: open_memory_channel, MemorySendChannel,
// MemoryReceiveChannel.)

#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/fibers/channel.h"
#include "weft/fibers/detail/channel_core.h"
#include "weft/fibers/detail/item_iterator.h"

namespace weft::fibers {

inline constexpr std::size_t kUnbounded = std::numeric_limits<std::size_t>::max();

struct MemoryChannelStatistics {
  std::size_t current_buffer_used = 0;
  std::size_t max_buffer_size = 0;
  std::size_t peak_buffer_used = 0;
  std::size_t open_send_channels = 0;
  std::size_t open_receive_channels = 0;
  std::size_t tasks_waiting_send = 0;
  std::size_t tasks_waiting_receive = 0;
};

template <class T>
class MemorySendChannel;
template <class T>
class MemoryReceiveChannel;
template <class T>
using MemoryChannelPair = std::pair<MemorySendChannel<T>, MemoryReceiveChannel<T>>;

namespace detail {
template <class T, bool kSends>
using ChannelEnd = std::conditional_t<kSends, SendChannel<T>, ReceiveChannel<T>>;

// What both handles have in common. Copying makes another handle; each is closed on its own.
template <class T, bool kSends>
class ChannelHandle : public ChannelEnd<T, kSends> {
 public:
  ChannelHandle(const ChannelHandle& other)
      : ChannelEnd<T, kSends>(other), state_(&other.open_state()), id_(open(*state_)) {}
  ChannelHandle(ChannelHandle&& other) noexcept
      // NOLINTNEXTLINE(performance-move-constructor-init): there is nothing in it to move.
      : ChannelEnd<T, kSends>(other),
        state_(std::exchange(other.state_, nullptr)),
        id_(std::exchange(other.id_, 0)) {}
  ChannelHandle& operator=(const ChannelHandle& other) {
    if (this == &other) return *this;
    ChannelState<T>& state = other.open_state();
    take(&state, open(state));
    return *this;
  }
  ChannelHandle& operator=(ChannelHandle&& other) noexcept {
    take(std::exchange(other.state_, nullptr), std::exchange(other.id_, 0));
    return *this;
  }
  ~ChannelHandle() override { take(nullptr, 0); }

  // Closes this handle. Tasks that wait by it get ClosedResourceError. When the last sending handle
  // is closed, receivers get what is left and then EndOfChannel; when the last receiving one is
  // closed, senders get BrokenResourceError and what was left is destroyed. Idempotent.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void close() {
    const std::uint64_t id = std::exchange(id_, 0);
    if (id == 0) return;
    if constexpr (kSends) {
      state_->close_sender(id);
    } else {
      state_->close_receiver(id);
    }
  }
  // The same, then a checkpoint.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: after closing.
  // Threads: the run's own only.
  void aclose() final {
    close();
    checkpoint();
  }

  // Throws ClosedResourceError on a handle that was moved from.
  MemoryChannelStatistics statistics() const {
    if (state_ == nullptr) throw_channel_closed();
    return state_->statistics();
  }

 protected:
  explicit ChannelHandle(ChannelState<T>* state) : state_(state), id_(open(*state)) {}
  ChannelState<T>& open_state() const {
    if (id_ == 0) throw_channel_closed();
    return *state_;
  }
  ChannelState<T>& open_state_to_wait() const {
    cancelled_before_closed(id_ != 0);
    return open_state();
  }
  std::uint64_t id() const { return id_; }

 private:
  static std::uint64_t open(ChannelState<T>& state) {
    return kSends ? state.open_sender() : state.open_receiver();
  }
  // In place of what is held so far.
  void take(ChannelState<T>* state, std::uint64_t id) {
    ChannelState<T>* const before = state_;
    if (before != nullptr) close();
    state_ = state;
    id_ = id;
    if (before != nullptr) before->drop_handle();
  }

  ChannelState<T>* state_;
  std::uint64_t id_;  // 0: closed.
};
}  // namespace detail

// The sending end. A value: a copy is another handle of the same channel, which stays open until
// the last is closed; the destructor closes. Copying a closed one throws ClosedResourceError.
// Several tasks may use one handle.
template <class T>
class MemorySendChannel final : public detail::ChannelHandle<T, true> {
 public:
  // Throws ClosedResourceError if this handle is closed, BrokenResourceError if nobody can receive.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; the item has not been sent, and is destroyed.
  // Threads: the run's own only.
  void send(T item) override;
  // Throws WouldBlock if there is no room; `item` then still holds its value.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void send_nowait(T&& item);
  void send_nowait(const T& item) requires std::is_copy_constructible_v<T> { send_nowait(T(item)); }

  MemorySendChannel clone() const { return *this; }

 private:
  using detail::ChannelHandle<T, true>::ChannelHandle;
  template <class U>
  friend MemoryChannelPair<U> open_memory_channel(std::size_t capacity);
};

// The receiving end: likewise a value.
template <class T>
class MemoryReceiveChannel final : public detail::ChannelHandle<T, false> {
 public:
  using Iterator = detail::ItemIterator<T, MemoryReceiveChannel>;

  // Throws ClosedResourceError if this handle is closed, EndOfChannel when no more can come.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; no item is lost.
  // Threads: the run's own only.
  T receive() override;
  // Throws WouldBlock if there is no item.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  T receive_nowait();
  // receive(), with nothing in place of EndOfChannel: `while (auto item = channel.next())`.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; no item is lost.
  // Threads: the run's own only.
  std::optional<T> next() override;

  MemoryReceiveChannel clone() const { return *this; }

  // `for (T& item : channel)`: each step is a next().
  //
  // Blocks: yes, each step is a checkpoint.
  // Cancel: before any effect; no item is lost.
  // Threads: the run's own only.
  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  using detail::ChannelHandle<T, false>::ChannelHandle;
  template <class U>
  friend MemoryChannelPair<U> open_memory_channel(std::size_t capacity);
};

// A new channel with room for `capacity` items. T must be movable without throwing: an item in
// flight has nowhere to go back to.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
template <class T>
MemoryChannelPair<T> open_memory_channel(std::size_t capacity);

}  // namespace weft::fibers

#include "weft/fibers/detail/memory_channel_inl.h"  // IWYU pragma: export
