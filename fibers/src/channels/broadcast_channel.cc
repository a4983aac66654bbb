// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/broadcast_channel.h"

#include <exception>
#include <new>
#include <utility>

#include "weft/fibers/detail/end_waits.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"

namespace weft::fibers::detail {

BroadcastCore::BroadcastCore(std::size_t capacity, SlowReceivers policy)
    : capacity_(capacity), policy_(policy) {
  if (capacity == 0) {
    throw UsageError(
        "a broadcast channel needs room for at least one item: several receivers do not come at "
        "the same moment");
  }
}

bool BroadcastCore::can_put() const {
  return items_.size() < capacity_ || policy_ == SlowReceivers::kDropOldest;
}

void BroadcastCore::open_reader(BroadcastReader& reader, const BroadcastReader* like) {
  reader.next = like != nullptr ? like->next : end();
  readers_.push_back(&reader);
  for (std::uint64_t i = reader.next; i < end(); ++i) ++items_[i - first_].unseen;
}

void BroadcastCore::close_reader(BroadcastReader& reader) {
  end_all_waits(reader.waiting, ChannelResult::kOwnHandleClosed);
  std::erase(readers_, &reader);
  while (reader.next < end()) pass(reader);
  if (readers_.empty()) end_all_waits(senders_, ChannelResult::kOtherSideClosed);
  make_room();
}

// Who waits has received everything.
void BroadcastCore::close_sender(std::uint64_t handle) {
  end_waits_of(senders_, handle);
  if (--open_senders_ > 0) return;
  for (BroadcastReader* reader : readers_) {
    end_all_waits(reader->waiting, ChannelResult::kOtherSideClosed);
  }
}

// A waiting task has its item put into its frame, so that nobody can come between.
void BroadcastCore::put(SharedItem&& item) {
  items_.push_back({nullptr, readers_.size()});
  items_.back().value = std::move(item);
  const SharedItem dropped = items_.size() > capacity_ ? drop_oldest() : nullptr;
  for (BroadcastReader* reader : readers_) {
    Waiter* const first = reader->waiting.front();
    if (first == nullptr) continue;
    *static_cast<SharedItem*>(static_cast<ChannelWaiter*>(first)->slot) = items_.back().value;
    wake_first(reader->waiting);
    pass(*reader);
  }
  while (!items_.empty() && items_.front().unseen == 0) pop_oldest();
}

SharedItem BroadcastCore::drop_oldest() {
  for (BroadcastReader* reader : readers_) {
    if (reader->next != first_) continue;
    ++reader->next;
    ++reader->missed;
  }
  return pop_oldest();
}

SharedItem BroadcastCore::pop_oldest() {
  SharedItem oldest = std::move(items_.front().value);
  items_.pop_front();
  ++first_;
  return oldest;
}

void BroadcastCore::pass(BroadcastReader& reader) {
  --items_[reader.next - first_].unseen;
  ++reader.next;
}

SharedItem BroadcastCore::take(BroadcastReader& reader) {
  SharedItem item = items_[reader.next - first_].value;
  pass(reader);
  make_room();
  return item;
}

// A sender is taken out of the queue before its item is, for what goes meanwhile may run code of
// the user's.
void BroadcastCore::make_room() {
  while (!items_.empty() && items_.front().unseen == 0) pop_oldest();
  while (can_put() && !senders_.empty()) {
    Waiter& sender = *senders_.pop_front();
    std::exception_ptr error;
    try {
      put(std::move(*static_cast<SharedItem*>(static_cast<ChannelWaiter&>(sender).slot)));
    } catch (const std::bad_alloc&) {
      error = std::current_exception();
    }
    error == nullptr ? reschedule(*sender.task) : reschedule(*sender.task, error);
  }
}

// The checkpoint suspends only where it throws, or where a shield rises meanwhile: so all is looked
// at again.
void BroadcastCore::send(std::uint64_t handle, SharedItem item) {
  if (readers_.empty() || can_put()) checkpoint_if_cancelled();
  if (readers_.empty()) throw_no_receivers();
  if (can_put()) {
    put(std::move(item));
    return cancel_shielded_checkpoint();
  }
  ChannelWaiter waiter;
  waiter.slot = &item;
  waiter.handle = handle;
  wait_in(senders_, waiter, {.what = "BroadcastSendChannel.send", .on = this});
  if (waiter.result != ChannelResult::kDone) throw_not_sent(waiter.result);
}

void BroadcastCore::send_nowait(SharedItem item) {
  if (readers_.empty()) throw_no_receivers();
  if (!can_put()) throw_would_block();
  put(std::move(item));
}

SharedItem BroadcastCore::receive(BroadcastReader& reader) {
  if (reader.next < end()) checkpoint_if_cancelled();
  if (reader.next < end()) {
    SharedItem item = take(reader);
    cancel_shielded_checkpoint();
    return item;
  }
  if (open_senders_ == 0) {
    checkpoint();
    return nullptr;
  }
  SharedItem item;
  ChannelWaiter waiter;
  waiter.slot = &item;
  wait_in(reader.waiting, waiter, {.what = "BroadcastReceiveChannel.receive", .on = this});
  if (waiter.result == ChannelResult::kOwnHandleClosed) throw_channel_closed();
  return item;
}

SharedItem BroadcastCore::receive_nowait(BroadcastReader& reader) {
  if (reader.next < end()) return take(reader);
  if (open_senders_ == 0) throw_end_of_channel();
  throw_would_block();
}

BroadcastChannelStatistics BroadcastCore::statistics() const {
  std::size_t receiving = 0;
  for (const BroadcastReader* reader : readers_) receiving += reader->waiting.size();
  return {.current_buffer_used = items_.size(),
          .max_buffer_size = capacity_,
          .open_send_channels = open_senders_,
          .open_receive_channels = readers_.size(),
          .tasks_waiting_send = senders_.size(),
          .tasks_waiting_receive = receiving};
}

}  // namespace weft::fibers::detail
