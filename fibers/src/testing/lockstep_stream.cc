// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/lockstep_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "weft/fibers/conflict_detector.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/parking_lot.h"

namespace weft::fibers::testing {

namespace detail {

// What the two sides share. The data stays where the sender has it: nothing is ever buffered.
class LockstepQueue {
 public:
  void send_all(std::span<const std::byte> data);
  void wait_for_receiver();
  std::size_t receive_some(std::span<std::byte> buffer);
  void close_sender() noexcept;
  void close_receiver() noexcept;

 private:
  template <class Done>
  void wait_until(Done&& done, const char* what);
  void need_sender() const {
    if (sender_closed_) throw ClosedResourceError("this lockstep stream is closed");
  }
  void need_receiver() const {
    if (receiver_closed_) throw ClosedResourceError("this lockstep stream is closed");
  }

  std::span<const std::byte> data_;  // Not yet received, of the send_all() that waits.
  bool receiver_waits_ = false;
  bool sender_closed_ = false;
  bool receiver_closed_ = false;
  ParkingLot waiting_;
  ConflictDetector sending_{"another task is sending on this stream already"};
  ConflictDetector receiving_{"another task is receiving from this stream already"};
};

// During the checkpoint the other side may give up: what was there is gone again.
template <class Done>
void LockstepQueue::wait_until(Done&& done, const char* what) {
  do {
    while (!done()) waiting_.park({.what = what, .on = this});
    checkpoint();
  } while (!done());
}

void LockstepQueue::send_all(std::span<const std::byte> data) {
  checkpoint_if_cancelled();
  const ConflictDetector::Use use(sending_);
  need_sender();
  if (receiver_closed_) throw BrokenResourceError("the receiving lockstep stream is closed");
  // Whatever ends the wait, nobody may look at the caller's data afterwards.
  struct Offer {
    std::span<const std::byte>& data;
    ~Offer() { data = {}; }
  } const offer{data_};
  data_ = data;
  waiting_.unpark_all();
  wait_until([&] { return data_.empty() || sender_closed_ || receiver_closed_; },
             "LockstepSendStream.send_all");
  need_sender();
  if (!data_.empty()) throw BrokenResourceError("the receiving lockstep stream is closed");
}

void LockstepQueue::wait_for_receiver() {
  checkpoint_if_cancelled();
  const ConflictDetector::Use use(sending_);
  need_sender();
  wait_until([&] { return receiver_waits_ || sender_closed_ || receiver_closed_; },
             "LockstepSendStream.wait_send_all_might_not_block");
  need_sender();
}

std::size_t LockstepQueue::receive_some(std::span<std::byte> buffer) {
  checkpoint_if_cancelled();
  if (buffer.empty()) throw UsageError("receive_some() needs room for at least one byte");
  const ConflictDetector::Use use(receiving_);
  need_receiver();
  {
    struct Waiting {
      bool& flag;
      ~Waiting() { flag = false; }
    } const waiting{receiver_waits_};
    receiver_waits_ = true;
    waiting_.unpark_all();
    wait_until([&] { return !data_.empty() || sender_closed_ || receiver_closed_; },
               "LockstepReceiveStream.receive_some");
  }
  need_receiver();
  const std::size_t count = std::min(buffer.size(), data_.size());
  if (count > 0) std::memcpy(buffer.data(), data_.data(), count);
  data_ = data_.subspan(count);
  waiting_.unpark_all();
  return count;
}

void LockstepQueue::close_sender() noexcept {
  sender_closed_ = true;
  waiting_.unpark_all();
}
void LockstepQueue::close_receiver() noexcept {
  receiver_closed_ = true;
  waiting_.unpark_all();
}

namespace {
LockstepQueue& open(const std::shared_ptr<LockstepQueue>& queue) {
  if (queue == nullptr) checkpoint_if_cancelled();
  if (queue == nullptr) throw ClosedResourceError("this lockstep stream was moved away");
  return *queue;
}
}  // namespace
}  // namespace detail

using detail::open;

LockstepSendStream::LockstepSendStream(std::shared_ptr<detail::LockstepQueue> queue)
    : queue_(std::move(queue)) {}
LockstepSendStream& LockstepSendStream::operator=(LockstepSendStream&& other) noexcept {
  if (this == &other) return *this;
  close();
  queue_ = std::move(other.queue_);
  return *this;
}
void LockstepSendStream::send_all(std::span<const std::byte> data) {
  open(queue_).send_all(data);
}
void LockstepSendStream::wait_send_all_might_not_block() {
  open(queue_).wait_for_receiver();
}
void LockstepSendStream::close() noexcept {
  if (queue_ != nullptr) queue_->close_sender();
}
void LockstepSendStream::aclose() {
  close();
  checkpoint();
}

LockstepReceiveStream::LockstepReceiveStream(std::shared_ptr<detail::LockstepQueue> queue)
    : queue_(std::move(queue)) {}
LockstepReceiveStream& LockstepReceiveStream::operator=(LockstepReceiveStream&& other) noexcept {
  if (this == &other) return *this;
  close();
  queue_ = std::move(other.queue_);
  return *this;
}
std::size_t LockstepReceiveStream::receive_some(std::span<std::byte> buffer) {
  return open(queue_).receive_some(buffer);
}
void LockstepReceiveStream::close() noexcept {
  if (queue_ != nullptr) queue_->close_receiver();
}
void LockstepReceiveStream::aclose() {
  close();
  checkpoint();
}

std::pair<LockstepSendStream, LockstepReceiveStream> lockstep_stream_one_way_pair() {
  auto queue = std::make_shared<detail::LockstepQueue>();
  return {LockstepSendStream(queue), LockstepReceiveStream(queue)};
}

std::pair<LockstepStream, LockstepStream> lockstep_stream_pair() {
  auto [to_right, from_left] = lockstep_stream_one_way_pair();
  auto [to_left, from_right] = lockstep_stream_one_way_pair();
  return {LockstepStream(std::move(to_right), std::move(from_right)),
          LockstepStream(std::move(to_left), std::move(from_left))};
}

}  // namespace weft::fibers::testing
