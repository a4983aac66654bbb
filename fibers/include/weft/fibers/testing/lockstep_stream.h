// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Streams without any buffer. They find code that relies on a buffer: send_all() returns only when
// the other side has received everything.
//
//   auto [ours, theirs] = lockstep_stream_pair();
//   ours.send_all("x");                               // waits for theirs.receive_some()

#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "weft/fibers/stapled_stream.h"
#include "weft/fibers/stream.h"

namespace weft::fibers::testing {

namespace detail {
class LockstepQueue;
}

// A resource that can be moved while nobody uses it; the destructor closes.
class LockstepSendStream final : public SendStream {
 public:
  LockstepSendStream(LockstepSendStream&&) noexcept = default;
  LockstepSendStream& operator=(LockstepSendStream&& other) noexcept;
  ~LockstepSendStream() override { close(); }

  // Blocks: yes, until all has been received.
  // Cancel: data that has not been received yet is lost.
  // Threads: the run's own only.
  void send_all(std::span<const std::byte> data) override;
  using SendStream::send_all;
  // Blocks: yes, until somebody receives.
  // Cancel: nothing has happened.
  // Threads: the run's own only.
  void wait_send_all_might_not_block() override;

  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void close() noexcept;
  // Blocks: yes, always a checkpoint.
  // Cancel: after closing.
  // Threads: the run's own only.
  void aclose() override;

 private:
  friend std::pair<LockstepSendStream, class LockstepReceiveStream> lockstep_stream_one_way_pair();
  explicit LockstepSendStream(std::shared_ptr<detail::LockstepQueue> queue);
  std::shared_ptr<detail::LockstepQueue> queue_;
};

// A resource that can be moved while nobody uses it; the destructor closes.
class LockstepReceiveStream final : public ReceiveStream {
 public:
  LockstepReceiveStream(LockstepReceiveStream&&) noexcept = default;
  LockstepReceiveStream& operator=(LockstepReceiveStream&& other) noexcept;
  ~LockstepReceiveStream() override { close(); }

  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has been received.
  // Threads: the run's own only.
  std::size_t receive_some(std::span<std::byte> buffer) override;
  using ReceiveStream::receive_some;

  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void close() noexcept;
  // Blocks: yes, always a checkpoint.
  // Cancel: after closing.
  // Threads: the run's own only.
  void aclose() override;

 private:
  friend std::pair<LockstepSendStream, LockstepReceiveStream> lockstep_stream_one_way_pair();
  explicit LockstepReceiveStream(std::shared_ptr<detail::LockstepQueue> queue);
  std::shared_ptr<detail::LockstepQueue> queue_;
};

// Two connected streams.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
std::pair<LockstepSendStream, LockstepReceiveStream> lockstep_stream_one_way_pair();

// Two ends of a connection. Their halves are `send_stream` and `receive_stream`.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
using LockstepStream = StapledStream<LockstepSendStream, LockstepReceiveStream>;
std::pair<LockstepStream, LockstepStream> lockstep_stream_pair();

}  // namespace weft::fibers::testing
