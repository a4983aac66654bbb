// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The templates of as_safe_channel.h.

#pragma once

#include "weft/fibers/as_safe_channel.h"

namespace weft::fibers {

namespace detail {

// What the two ends share. Lives in the frame of as_safe_channel.
template <class T>
struct SafeChannel {
  MemoryChannelPair<T> ends = open_memory_channel<T>(0);
  ParkingLot producer;  // Where it waits for somebody to want an item.
  CancelScope producing;

  void wait_until_wanted() {
    while (ends.first.statistics().tasks_waiting_receive == 0) {
      producer.park({.what = "SafeSendChannel.send", .on = this});
    }
  }
};

// The producer cannot send any more: ends it by its own scope, which no error leaves. Returns only
// where the producer cannot be cancelled.
void stop_producing(CancelScope& producing);
// Of what the nursery has collected: the one error there is besides Cancelled, or all.
[[noreturn]] void throw_from_safe_channel(const BaseExceptionGroup& group);

template <class T, class Producer>
void produce(SafeChannel<T>& shared, Nursery& nursery, Producer& producer) {
  try {
    shared.producing.run([&] {
      shared.wait_until_wanted();
      SafeSendChannel<T> out(shared);
      std::invoke(producer, out);
    });
  } catch (...) {
    // First that, which cancels the body, and then the close: what the body would see the other way
    // round is the regular end.
    nursery.add_error(std::current_exception());
  }
  shared.ends.first.close();
}

}  // namespace detail

template <class T>
void SafeSendChannel<T>::send(T item) {
  try {
    shared_.ends.first.send(std::move(item));
  } catch (const BrokenResourceError&) {
    detail::stop_producing(shared_.producing);
    throw;
  }
  shared_.wait_until_wanted();
}

template <class T>
T SafeReceiveChannel<T>::receive() {
  shared_.producer.unpark();
  return shared_.ends.second.receive();
}

template <class T>
std::optional<T> SafeReceiveChannel<T>::next() {
  shared_.producer.unpark();
  return shared_.ends.second.next();
}

template <class T>
void SafeReceiveChannel<T>::close() {
  shared_.ends.second.close();
}

template <class T, class Producer, class Body>
auto as_safe_channel(Producer&& producer, Body&& body)
    -> std::invoke_result_t<Body, SafeReceiveChannel<T>&> {
  using R = std::invoke_result_t<Body, SafeReceiveChannel<T>&>;
  detail::SafeChannel<T> shared;
  SafeReceiveChannel<T> items(shared);
  std::conditional_t<std::is_void_v<R>, std::monostate, std::optional<R>> result;
  try {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { detail::produce(shared, nursery, producer); });
      if constexpr (std::is_void_v<R>) {
        std::invoke(std::forward<Body>(body), items);
      } else {
        result.emplace(std::invoke(std::forward<Body>(body), items));
      }
      nursery.cancel_scope().cancel("the body of as_safe_channel has ended");
    });
  } catch (const BaseExceptionGroup& group) {
    detail::throw_from_safe_channel(group);
  }
  if constexpr (!std::is_void_v<R>) return std::move(*result);
}

}  // namespace weft::fibers
