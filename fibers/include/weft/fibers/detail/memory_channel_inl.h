// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The templates of memory_channel.h.

#pragma once

#include "weft/fibers/memory_channel.h"

namespace weft::fibers {

// Only a wait that is certain not to be needed needs its own check for cancellation: one that
// happens checks by itself. Where the check suspends and a shield then lets the task go on, all may
// have changed; so it comes first, and everything is looked at after it.
template <class T>
[[gnu::always_inline]] inline void MemorySendChannel<T>::send(T item) {
  if (!this->open_state_to_wait().send_would_wait()) checkpoint_if_cancelled();
  detail::ChannelState<T>& state = this->open_state();
  if (!state.has_receivers()) [[unlikely]]
    detail::throw_no_receivers();
  if (state.has_place()) {
    state.put(std::move(item));
    return cancel_shielded_checkpoint();
  }
  detail::ChannelWaiter waiter;
  waiter.slot = &item;
  waiter.handle = this->id();
  state.wait_to_send(waiter);
}

template <class T>
void MemorySendChannel<T>::send_nowait(T&& item) {
  detail::ChannelState<T>& state = this->open_state();
  if (!state.has_receivers()) detail::throw_no_receivers();
  if (!state.has_place()) detail::throw_would_block();
  state.put(std::move(item));
}

template <class T>
[[gnu::always_inline]] inline std::optional<T> MemoryReceiveChannel<T>::next() {
  if (this->open_state_to_wait().has_item()) checkpoint_if_cancelled();
  detail::ChannelState<T>& state = this->open_state();
  std::optional<T> item;
  if (state.has_item()) {
    item.emplace(state.take());
    cancel_shielded_checkpoint();
  } else if (state.has_senders()) {
    detail::ChannelWaiter waiter;
    waiter.slot = &item;
    waiter.handle = this->id();
    state.wait_to_receive(waiter);
  } else {
    checkpoint();
  }
  return item;
}

template <class T>
[[gnu::always_inline]] inline T MemoryReceiveChannel<T>::receive() {
  std::optional<T> item = next();
  if (!item) detail::throw_end_of_channel();
  return std::move(*item);
}

template <class T>
T MemoryReceiveChannel<T>::receive_nowait() {
  detail::ChannelState<T>& state = this->open_state();
  if (state.has_item()) return state.take();
  if (!state.has_senders()) detail::throw_end_of_channel();
  detail::throw_would_block();
}

template <class T>
MemoryChannelPair<T> open_memory_channel(std::size_t capacity) {
  static_assert(
      std::is_nothrow_move_constructible_v<T>,
      "items of a memory channel must be movable without throwing; send std::unique_ptr<T>");
  auto* state = new detail::ChannelState<T>(capacity);
  MemorySendChannel<T> send(state);
  return {std::move(send), MemoryReceiveChannel<T>(state)};
}

}  // namespace weft::fibers
