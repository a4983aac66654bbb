// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Streams without a network. The test controls every byte.
//
//   auto [ours, theirs] = memory_stream_pair();       // for whatever talks over a Stream
//   nursery.start_soon([&] { serve(theirs); });
//   ours.send_all("HELO\n");
//   EXPECT_EQ(ours.receive_some(), "250\n");
//
// Each end is made of a MemorySendStream and a MemoryReceiveStream. On their own these lead
// nowhere: sent data waits until the test takes it with get_data(), and the test puts in the data
// to receive. The hooks run inside the calls. They may wait, or throw what a network would throw.

#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "weft/fibers/stapled_stream.h"
#include "weft/fibers/stream.h"

namespace weft::fibers::testing {

namespace detail {
struct MemorySendState;
struct MemoryReceiveState;
}  // namespace detail

inline constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

// Keeps what is sent, without limit. A resource; it can be moved while nobody uses it. The
// destructor closes it without running the hook. (Trio: testing.MemorySendStream.)
class MemorySendStream final : public SendStream {
 public:
  using Hook = std::function<void()>;

  MemorySendStream();
  MemorySendStream(MemorySendStream&&) noexcept = default;
  MemorySendStream& operator=(MemorySendStream&& other) noexcept;
  ~MemorySendStream() override;

  // Keeps the data, then runs send_all_hook.
  //
  // Blocks: yes, always a checkpoint; as long as the hook does.
  // Cancel: before any effect, or as the hook does.
  // Threads: the run's own only.
  void send_all(std::span<const std::byte> data) override;
  using SendStream::send_all;
  // Runs its hook.
  //
  // Blocks: yes, always a checkpoint; as long as the hook does.
  // Cancel: nothing has happened.
  // Threads: the run's own only.
  void wait_send_all_might_not_block() override;

  // get_data() still returns what is left, and then the end. Runs close_hook.
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
  void aclose() override;

  // Takes out sent data, at most `max` bytes. Waits until there is some; an empty string means that
  // the stream is closed. Throws UsageError for a `max` of 0; BusyResourceError if another task
  // waits.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect.
  // Threads: the run's own only.
  std::string get_data(std::size_t max = kNoLimit);
  // The same, but throws WouldBlock instead of waiting.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  std::string get_data_nowait(std::size_t max = kNoLimit);

  Hook send_all_hook;
  Hook wait_send_all_might_not_block_hook;
  Hook close_hook;

 private:
  friend bool memory_stream_pump(MemorySendStream&, class MemoryReceiveStream&, std::size_t);
  friend std::pair<MemorySendStream, MemoryReceiveStream> memory_stream_one_way_pair();
  std::shared_ptr<detail::MemorySendState> state_;
};

// Returns what was put in. A resource; it can be moved while nobody uses it. The destructor closes
// it without running the hook. (Trio: testing.MemoryReceiveStream.)
class MemoryReceiveStream final : public ReceiveStream {
 public:
  using Hook = std::function<void()>;

  MemoryReceiveStream();
  MemoryReceiveStream(MemoryReceiveStream&&) noexcept = default;
  MemoryReceiveStream& operator=(MemoryReceiveStream&& other) noexcept;
  ~MemoryReceiveStream() override;

  // Runs receive_some_hook first, then waits for data.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has been received.
  // Threads: the run's own only.
  std::size_t receive_some(std::span<std::byte> buffer) override;
  using ReceiveStream::receive_some;

  // Drops what has not been received, and runs close_hook.
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
  void aclose() override;

  // Adds data to receive. Throws ClosedResourceError after close() and after put_eof().
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void put_data(std::string_view data);
  // Puts in the end. Idempotent.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void put_eof();

  Hook receive_some_hook;
  Hook close_hook;

 private:
  friend bool memory_stream_pump(MemorySendStream&, MemoryReceiveStream&, std::size_t);
  friend std::pair<MemorySendStream, MemoryReceiveStream> memory_stream_one_way_pair();
  std::shared_ptr<detail::MemoryReceiveState> state_;
};

// Moves sent data, at most `max` bytes, or the end, from one stream to the other. Returns false if
// there was nothing to move. Throws BrokenResourceError if the receiving stream is closed.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
bool memory_stream_pump(MemorySendStream& from, MemoryReceiveStream& to,
                        std::size_t max = kNoLimit);

// Two connected streams: send_all_hook and close_hook of the first pump into the second. Assign
// other hooks to make trouble.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
std::pair<MemorySendStream, MemoryReceiveStream> memory_stream_one_way_pair();

// Two ends of a connection. Their halves are `send_stream` and `receive_stream`.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
using MemoryStream = StapledStream<MemorySendStream, MemoryReceiveStream>;
std::pair<MemoryStream, MemoryStream> memory_stream_pair();

}  // namespace weft::fibers::testing
