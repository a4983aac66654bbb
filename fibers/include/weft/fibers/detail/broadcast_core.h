// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of a broadcast channel that does not know its items' type. Not for use outside weft: see
// broadcast_channel.h.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "weft/fibers/detail/wait_queue.h"

namespace weft::fibers {
enum class SlowReceivers : std::uint8_t;
struct BroadcastChannelStatistics;
}  // namespace weft::fibers

namespace weft::fibers::detail {

// An item, shared by all who have not received it yet. Never null but for "no more".
using SharedItem = std::shared_ptr<const void>;

// One receiving handle's place in the stream of items.
struct BroadcastReader {
  std::uint64_t next = 0;  // The number of the item that it receives next.
  std::size_t missed = 0;
  WaitQueue waiting;  // Only while it has received everything.
};

// Shared by all handles, open or closed.
class BroadcastCore {
 public:
  // Throws UsageError for a capacity of 0.
  BroadcastCore(std::size_t capacity, SlowReceivers policy);
  BroadcastCore(const BroadcastCore&) = delete;
  BroadcastCore& operator=(const BroadcastCore&) = delete;

  // A handle, as a number. Not 0.
  std::uint64_t open_sender() { return ++open_senders_, ++last_handle_; }
  void close_sender(std::uint64_t handle);
  // `reader` joins at the place of `like`, or, if that is null, after the last item.
  void open_reader(BroadcastReader& reader, const BroadcastReader* like);
  void close_reader(BroadcastReader& reader);

  void send(std::uint64_t handle, SharedItem item);
  void send_nowait(SharedItem item);
  // Null: no more will come.
  SharedItem receive(BroadcastReader& reader);
  SharedItem receive_nowait(BroadcastReader& reader);

  BroadcastChannelStatistics statistics() const;

 private:
  struct Item {
    SharedItem value;
    std::size_t unseen;  // By how many readers.
  };

  std::uint64_t end() const { return first_ + items_.size(); }
  bool can_put() const;
  // Takes the item only when there is memory for it.
  void put(SharedItem&& item);
  SharedItem take(BroadcastReader& reader);
  // Takes the item away that `reader` is at, which it will not look at again.
  void pass(BroadcastReader& reader);
  // Takes away what everybody has seen; what waiting senders have then has room.
  void make_room();
  SharedItem drop_oldest();
  // An item's destructor may use the channel: so it goes only when the channel is whole again.
  SharedItem pop_oldest();

  const std::size_t capacity_;
  const SlowReceivers policy_;
  std::deque<Item> items_;
  std::uint64_t first_ = 0;  // The number of the oldest of them.
  std::vector<BroadcastReader*> readers_;
  WaitQueue senders_;
  std::uint32_t open_senders_ = 0;
  std::uint64_t last_handle_ = 0;
};

}  // namespace weft::fibers::detail
