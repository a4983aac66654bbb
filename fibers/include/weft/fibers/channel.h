// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What all channels of objects have in common, for functions that take any of them:
//
//   void crawl(const Url& from, SendChannel<Page>& pages);   // a memory channel, a broadcast,
//   yours
//
// The classes of weft are final: who calls one by its own name pays for no virtual call. (Trio:
// abc.SendChannel, ReceiveChannel, Channel.)

#pragma once

#include <cstddef>
#include <iterator>
#include <optional>

#include "weft/fibers/async_resource.h"
#include "weft/fibers/detail/item_iterator.h"
#include "weft/fibers/errors.h"

namespace weft::fibers {

// The sending end.
template <class T>
class SendChannel : public virtual AsyncResource {
 public:
  // Throws ClosedResourceError if this end is closed, BrokenResourceError if nobody can receive any
  // more.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; the item has not been sent, and is destroyed.
  // Threads: the run's own only.
  virtual void send(T item) = 0;
};

// The receiving end.
template <class T>
class ReceiveChannel : public virtual AsyncResource {
 public:
  using Iterator = detail::ItemIterator<T, ReceiveChannel>;

  // Throws ClosedResourceError if this end is closed, EndOfChannel when no more can come,
  // BrokenResourceError if something has gone wrong with what they come from.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; no item is lost.
  // Threads: the run's own only.
  virtual T receive() = 0;
  // receive(), with nothing in place of EndOfChannel: `while (auto item = channel.next())`. Calls
  // that, unless a channel has a shorter way.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; no item is lost.
  // Threads: the run's own only.
  virtual std::optional<T> next() {
    try {
      return receive();
    } catch (const EndOfChannel&) {
      return std::nullopt;
    }
  }

  // `for (T& item : channel)`: each step is a next().
  //
  // Blocks: yes, each step is a checkpoint.
  // Cancel: before any effect; no item is lost.
  // Threads: the run's own only.
  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() const { return {}; }
};

// Both: what is sent goes to somebody else, and not to the same channel's receive().
template <class T>
class Channel : public SendChannel<T>, public ReceiveChannel<T> {};

}  // namespace weft::fibers
