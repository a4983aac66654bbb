// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/memory_channel.h"

#include "weft/fibers/detail/end_waits.h"
#include "weft/fibers/errors.h"

namespace weft::fibers::detail {

static void end_wait(Waiter& waiter, ChannelResult result) {
  static_cast<ChannelWaiter&>(waiter).result = result;
  waiter.queue->remove(waiter);
  reschedule(*waiter.task);
}

void end_waits_of(WaitQueue& queue, std::uint64_t handle) {
  for (Waiter* waiter = queue.front(); waiter != nullptr;) {
    Waiter* next = waiter->next;
    if (static_cast<ChannelWaiter*>(waiter)->handle == handle) {
      end_wait(*waiter, ChannelResult::kOwnHandleClosed);
    }
    waiter = next;
  }
}

void end_all_waits(WaitQueue& queue, ChannelResult result) {
  while (Waiter* first = queue.front()) end_wait(*first, result);
}

void ChannelCore::close_sender(std::uint64_t handle) {
  --open_senders_;
  end_waits_of(senders_, handle);
  if (open_senders_ == 0) end_receiving();
}

// Receivers wait only while the buffer is empty, so there is nothing left that they could get.
void ChannelCore::end_receiving() {
  end_all_waits(receivers_, ChannelResult::kOtherSideClosed);
}

void ChannelCore::close_receiver(std::uint64_t handle) {
  --open_receivers_;
  end_waits_of(receivers_, handle);
  if (open_receivers_ > 0) return;
  end_all_waits(senders_, ChannelResult::kOtherSideClosed);
  clear_buffer();
}

MemoryChannelStatistics ChannelCore::statistics() const {
  return {.current_buffer_used = buffered(),
          .max_buffer_size = capacity_,
          .peak_buffer_used = peak_,
          .open_send_channels = open_senders_,
          .open_receive_channels = open_receivers_,
          .tasks_waiting_send = senders_.size(),
          .tasks_waiting_receive = receivers_.size()};
}

void throw_channel_closed() {
  throw ClosedResourceError("this handle of the channel is closed");
}
void throw_not_sent(ChannelResult result) {
  if (result == ChannelResult::kOwnHandleClosed) throw_channel_closed();
  throw_no_receivers();
}
void throw_no_receivers() {
  throw BrokenResourceError("nobody can receive: all receiving handles of the channel are closed");
}
void throw_end_of_channel() {
  throw EndOfChannel();
}
void throw_would_block() {
  throw WouldBlock();
}

}  // namespace weft::fibers::detail
