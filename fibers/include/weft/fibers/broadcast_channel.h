// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A channel of which every receiver gets every item.
//
//   auto [prices, first] = open_broadcast_channel<Price>(16);
//   nursery.start_soon([all = prices.subscribe()]() mutable { for (Price& p : all) log(p); });
//   prices.send(price);
//
// A memory channel gives each item to one receiver; this one gives it to all that there are when it
// is sent. (Asked for in Trio's tracker, which has none; the names are those of MemoryChannel.)

#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include "weft/fibers/channel.h"
#include "weft/fibers/detail/broadcast_core.h"
#include "weft/fibers/detail/channel_core.h"
#include "weft/fibers/detail/item_iterator.h"
#include "weft/fibers/lowlevel.h"

namespace weft::fibers {

// What happens when an item is sent while `capacity` items wait for some receiver.
enum class SlowReceivers : std::uint8_t {
  kWait,        // send() waits: the slowest receiver sets the pace of all. Nothing is lost.
  kDropOldest,  // The oldest item goes; who had not received it misses it, and is told how many.
};

struct BroadcastChannelStatistics {
  std::size_t current_buffer_used = 0;  // Items that somebody has not received.
  std::size_t max_buffer_size = 0;
  std::size_t open_send_channels = 0;
  std::size_t open_receive_channels = 0;
  std::size_t tasks_waiting_send = 0;
  std::size_t tasks_waiting_receive = 0;
};

template <class T>
class BroadcastReceiveChannel;

// The sending end. A value: a copy is another handle of the same channel, closed on its own; the
// destructor closes. Several tasks may use one handle.
template <class T>
class BroadcastSendChannel final : public SendChannel<T> {
 public:
  BroadcastSendChannel(const BroadcastSendChannel& other)
      : SendChannel<T>(other), core_(other.core_), id_(other.another_handle()) {}
  // What is left behind is a closed handle, which has to know of what.
  BroadcastSendChannel(BroadcastSendChannel&& other) noexcept
      // NOLINTNEXTLINE(performance-move-constructor-init)
      : SendChannel<T>(other),
        // NOLINTNEXTLINE(performance-move-constructor-init)
        core_(other.core_),
        id_(std::exchange(other.id_, 0)) {}
  BroadcastSendChannel& operator=(BroadcastSendChannel other) noexcept {
    std::swap(core_, other.core_);
    std::swap(id_, other.id_);
    return *this;
  }
  ~BroadcastSendChannel() override { close(); }

  // Throws ClosedResourceError if this handle is closed, BrokenResourceError if no receiver is
  // open. Allocates: one item for all.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; nobody gets the item.
  // Threads: the run's own only.
  void send(T item) override;
  // Throws WouldBlock where send() would wait for a slow receiver.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void send_nowait(T item);

  BroadcastSendChannel clone() const { return *this; }
  // A new receiver, which gets what is sent from now on.
  BroadcastReceiveChannel<T> subscribe() const {
    require_open();
    return BroadcastReceiveChannel<T>(core_, nullptr);
  }

  // Closes this handle; tasks that wait by it get ClosedResourceError. When the last one is closed,
  // receivers get what is left and then EndOfChannel. Idempotent.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void close();
  // The same, then a checkpoint.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: after closing.
  // Threads: the run's own only.
  void aclose() override {
    close();
    checkpoint();
  }

  BroadcastChannelStatistics statistics() const { return core_->statistics(); }

 private:
  template <class U>
  friend std::pair<BroadcastSendChannel<U>, BroadcastReceiveChannel<U>> open_broadcast_channel(
      std::size_t capacity, SlowReceivers policy);
  explicit BroadcastSendChannel(std::shared_ptr<detail::BroadcastCore> core)
      : core_(std::move(core)), id_(core_->open_sender()) {}
  // Holds the core: what code of the user's does while a call uses it may be the end of the last
  // handle.
  std::shared_ptr<detail::BroadcastCore> require_open() const {
    if (id_ == 0) detail::throw_channel_closed();
    return core_;
  }
  std::uint64_t another_handle() const { return require_open()->open_sender(); }

  std::shared_ptr<detail::BroadcastCore> core_;
  std::uint64_t id_;  // 0: closed.
};

// The receiving end: likewise a value. A copy gets, from where this one is, every item as well. Of
// several tasks that use one handle each item goes to one.
template <class T>
class BroadcastReceiveChannel final : public ReceiveChannel<T> {
 public:
  using Iterator = detail::ItemIterator<T, BroadcastReceiveChannel>;

  BroadcastReceiveChannel(const BroadcastReceiveChannel& other)
      : BroadcastReceiveChannel(other.core_, &other.require_open()) {}
  // What is left behind is a closed handle, which has to know of what.
  BroadcastReceiveChannel(BroadcastReceiveChannel&& other) noexcept
      // NOLINTNEXTLINE(performance-move-constructor-init)
      : ReceiveChannel<T>(other), core_(other.core_), reader_(std::move(other.reader_)) {}
  BroadcastReceiveChannel& operator=(BroadcastReceiveChannel other) noexcept {
    std::swap(core_, other.core_);
    std::swap(reader_, other.reader_);
    return *this;
  }
  ~BroadcastReceiveChannel() override { close(); }

  // A copy of the next item. Throws ClosedResourceError if this handle is closed, EndOfChannel when
  // no more can come. An item whose copy constructor throws counts as received.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; no item is lost.
  // Threads: the run's own only.
  T receive() override;
  // Throws WouldBlock if there is none at present.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  T receive_nowait();
  // receive(), with nothing in place of EndOfChannel.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; no item is lost.
  // Threads: the run's own only.
  std::optional<T> next() override;

  BroadcastReceiveChannel clone() const { return *this; }

  // How many items this handle has missed since the last call, by being slow under kDropOldest.
  std::size_t take_missed() { return std::exchange(require_open().missed, 0); }

  // `for (T& item : channel)`: each step is a next().
  //
  // Blocks: yes, each step is a checkpoint.
  // Cancel: before any effect; no item is lost.
  // Threads: the run's own only.
  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

  // Closes this handle; tasks that wait by it get ClosedResourceError. What it alone had not
  // received is destroyed. When the last one is closed, senders get BrokenResourceError, until
  // there is another one. Idempotent.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void close();
  // The same, then a checkpoint.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: after closing.
  // Threads: the run's own only.
  void aclose() override {
    close();
    checkpoint();
  }

  BroadcastChannelStatistics statistics() const { return core_->statistics(); }

 private:
  friend class BroadcastSendChannel<T>;
  template <class U>
  friend std::pair<BroadcastSendChannel<U>, BroadcastReceiveChannel<U>> open_broadcast_channel(
      std::size_t capacity, SlowReceivers policy);
  BroadcastReceiveChannel(std::shared_ptr<detail::BroadcastCore> core,
                          const detail::BroadcastReader* like)
      : core_(std::move(core)), reader_(std::make_unique<detail::BroadcastReader>()) {
    core_->open_reader(*reader_, like);
  }
  detail::BroadcastReader& require_open() const {
    if (reader_ == nullptr) detail::throw_channel_closed();
    return *reader_;
  }
  detail::SharedItem wait_for_next();

  std::shared_ptr<detail::BroadcastCore> core_;
  std::unique_ptr<detail::BroadcastReader> reader_;  // Null: closed.
};

// A new channel with room for `capacity` items, at least one, or kUnbounded of them: under kWait a
// slow receiver then means memory without limit. Throws UsageError for 0. T must be copyable.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
template <class T>
std::pair<BroadcastSendChannel<T>, BroadcastReceiveChannel<T>> open_broadcast_channel(
    std::size_t capacity, SlowReceivers policy = SlowReceivers::kWait) {
  const auto core = std::make_shared<detail::BroadcastCore>(capacity, policy);
  return {BroadcastSendChannel<T>(core), BroadcastReceiveChannel<T>(core, nullptr)};
}

}  // namespace weft::fibers

#include "weft/fibers/detail/broadcast_channel_inl.h"  // IWYU pragma: export
