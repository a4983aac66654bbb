// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The templates of broadcast_channel.h. Each call holds the core: what an item's constructor or
// destructor does meanwhile may be the end of the last handle.

#pragma once

#include "weft/fibers/broadcast_channel.h"

namespace weft::fibers {

// The item is made before anything is looked at: its constructor may wait, or use this channel.
template <class T>
void BroadcastSendChannel<T>::send(T item) {
  detail::SharedItem shared = std::make_shared<const T>(std::move(item));
  detail::cancelled_before_closed(id_ != 0);
  const auto core = require_open();
  core->send(id_, std::move(shared));
}

template <class T>
void BroadcastSendChannel<T>::send_nowait(T item) {
  detail::SharedItem shared = std::make_shared<const T>(std::move(item));
  require_open()->send_nowait(std::move(shared));
}

template <class T>
void BroadcastSendChannel<T>::close() {
  const std::uint64_t id = std::exchange(id_, 0);
  if (id == 0) return;
  const auto core = core_;
  core->close_sender(id);
}

template <class T>
detail::SharedItem BroadcastReceiveChannel<T>::wait_for_next() {
  detail::cancelled_before_closed(reader_ != nullptr);
  const auto core = core_;
  return core->receive(require_open());
}

template <class T>
T BroadcastReceiveChannel<T>::receive() {
  const detail::SharedItem item = wait_for_next();
  if (item == nullptr) detail::throw_end_of_channel();
  return *static_cast<const T*>(item.get());
}

template <class T>
std::optional<T> BroadcastReceiveChannel<T>::next() {
  const detail::SharedItem item = wait_for_next();
  return item == nullptr ? std::nullopt : std::optional<T>(*static_cast<const T*>(item.get()));
}

template <class T>
T BroadcastReceiveChannel<T>::receive_nowait() {
  const auto core = core_;
  const detail::SharedItem item = core->receive_nowait(require_open());
  return *static_cast<const T*>(item.get());
}

template <class T>
void BroadcastReceiveChannel<T>::close() {
  const std::unique_ptr<detail::BroadcastReader> reader = std::move(reader_);
  if (reader == nullptr) return;
  const auto core = core_;
  core->close_reader(*reader);
}

}  // namespace weft::fibers
