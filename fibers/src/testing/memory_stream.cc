// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/memory_stream.h"

#include <functional>
#include <memory>
#include <utility>

#include "fibers/src/testing/byte_queue.h"
#include "weft/fibers/conflict_detector.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"

namespace weft::fibers::testing {

namespace detail {

struct MemoryReceiveState {
  ByteQueue incoming;
  ConflictDetector receiving{"another task is receiving from this stream already"};
  bool closed = false;

  void close() {
    closed = true;
    incoming.close_and_drop();
  }
};

struct MemorySendState {
  ByteQueue outgoing;
  ConflictDetector sending{"another task is sending on this stream already"};
  // Whom the destructor tells.
  std::shared_ptr<MemoryReceiveState> connected = nullptr;
};

namespace {

bool pump(MemorySendState& from, MemoryReceiveState& to, std::size_t max) {
  std::string data;
  try {
    data = from.outgoing.get_nowait(max);
  } catch (const WouldBlock&) {
    return false;
  }
  if (data.empty()) {
    to.incoming.close();
  } else if (to.incoming.closed()) {
    throw BrokenResourceError("the receiving memory stream is closed");
  } else {
    to.incoming.put(data);
  }
  return true;
}

template <class State>
State& open(const std::shared_ptr<State>& state) {
  if (state == nullptr) throw ClosedResourceError("this memory stream was moved away");
  return *state;
}

// Twice, so that another task has every chance to collide with this one.
void long_checkpoint() {
  checkpoint();
  checkpoint();
}

// A copy, for a hook may put another one in its place, or end its stream.
void call_hook(const std::function<void()>& hook) {
  if (!hook) return;
  const std::function<void()> copy = hook;
  copy();
}

void destroyed(const std::shared_ptr<MemorySendState>& state) noexcept {
  if (state == nullptr || state->outgoing.closed()) return;
  state->outgoing.close();
  try {
    while (state->connected != nullptr && !state->connected->incoming.closed()) {
      pump(*state, *state->connected, kNoLimit);
    }
  } catch (...) {
    // Out of memory: the peer never hears of it, which a test will notice.
  }
}

void destroyed(const std::shared_ptr<MemoryReceiveState>& state) noexcept {
  if (state != nullptr) state->close();
}

}  // namespace
}  // namespace detail

using detail::open;

MemorySendStream::MemorySendStream() : state_(std::make_shared<detail::MemorySendState>()) {}

MemorySendStream& MemorySendStream::operator=(MemorySendStream&& other) noexcept {
  if (this == &other) return *this;
  detail::destroyed(state_);
  state_ = std::move(other.state_);
  send_all_hook = std::move(other.send_all_hook);
  wait_send_all_might_not_block_hook = std::move(other.wait_send_all_might_not_block_hook);
  close_hook = std::move(other.close_hook);
  return *this;
}

MemorySendStream::~MemorySendStream() {
  detail::destroyed(state_);
}

void MemorySendStream::send_all(std::span<const std::byte> data) {
  checkpoint_if_cancelled();
  const ConflictDetector::Use use(open(state_).sending);
  detail::long_checkpoint();
  state_->outgoing.put(
      {static_cast<const char*>(static_cast<const void*>(data.data())), data.size()});
  detail::call_hook(send_all_hook);
}

void MemorySendStream::wait_send_all_might_not_block() {
  checkpoint_if_cancelled();
  const ConflictDetector::Use use(open(state_).sending);
  detail::long_checkpoint();
  state_->outgoing.put("");  // Throws if closed.
  detail::call_hook(wait_send_all_might_not_block_hook);
}

void MemorySendStream::close() {
  if (state_ == nullptr) return;
  state_->outgoing.close();
  detail::call_hook(close_hook);
}

void MemorySendStream::aclose() {
  close();
  checkpoint();
}

std::string MemorySendStream::get_data(std::size_t max) {
  checkpoint_if_cancelled();
  return open(state_).outgoing.get(max);
}
std::string MemorySendStream::get_data_nowait(std::size_t max) {
  return open(state_).outgoing.get_nowait(max);
}

MemoryReceiveStream::MemoryReceiveStream()
    : state_(std::make_shared<detail::MemoryReceiveState>()) {}

MemoryReceiveStream& MemoryReceiveStream::operator=(MemoryReceiveStream&& other) noexcept {
  if (this == &other) return *this;
  detail::destroyed(state_);
  state_ = std::move(other.state_);
  receive_some_hook = std::move(other.receive_some_hook);
  close_hook = std::move(other.close_hook);
  return *this;
}

MemoryReceiveStream::~MemoryReceiveStream() {
  detail::destroyed(state_);
}

std::size_t MemoryReceiveStream::receive_some(std::span<std::byte> buffer) {
  checkpoint_if_cancelled();
  if (buffer.empty()) throw UsageError("receive_some() needs room for at least one byte");
  detail::MemoryReceiveState& state = open(state_);
  const ConflictDetector::Use use(state.receiving);
  detail::long_checkpoint();
  if (state.closed) throw ClosedResourceError("this memory stream is closed");
  detail::call_hook(receive_some_hook);
  const std::size_t count = state.incoming.get(buffer);
  if (state.closed) throw ClosedResourceError("this memory stream was closed meanwhile");
  return count;
}

void MemoryReceiveStream::close() {
  if (state_ == nullptr) return;
  state_->close();
  detail::call_hook(close_hook);
}

void MemoryReceiveStream::aclose() {
  close();
  checkpoint();
}

void MemoryReceiveStream::put_data(std::string_view data) {
  open(state_).incoming.put(data);
}
void MemoryReceiveStream::put_eof() {
  open(state_).incoming.close();
}

bool memory_stream_pump(MemorySendStream& from, MemoryReceiveStream& to, std::size_t max) {
  return detail::pump(open(from.state_), open(to.state_), max);
}

std::pair<MemorySendStream, MemoryReceiveStream> memory_stream_one_way_pair() {
  std::pair<MemorySendStream, MemoryReceiveStream> pair;
  auto& [send, receive] = pair;
  send.state_->connected = receive.state_;
  // By their states, which stay where they are when the streams are moved. The sending one owns its
  // state, and with it the hooks: not the other way round.
  const auto pump_all = [from = std::weak_ptr(send.state_), to = receive.state_] {
    if (const auto state = from.lock()) detail::pump(*state, *to, kNoLimit);
  };
  send.send_all_hook = pump_all;
  send.close_hook = pump_all;
  return pair;
}

std::pair<MemoryStream, MemoryStream> memory_stream_pair() {
  auto [to_right, from_left] = memory_stream_one_way_pair();
  auto [to_left, from_right] = memory_stream_one_way_pair();
  return {MemoryStream(std::move(to_right), std::move(from_right)),
          MemoryStream(std::move(to_left), std::move(from_left))};
}

}  // namespace weft::fibers::testing
