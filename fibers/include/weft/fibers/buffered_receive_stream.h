// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Reading from any stream by lines, by lengths and up to delimiters.
//
//   BufferedReceiveStream in(stream);
//   while (const auto line = in.receive_line()) {
//     if (line->empty()) break;
//     ...
//   }
//   const std::string body = in.receive_exactly(content_length);

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "weft/fibers/conflict_detector.h"
#include "weft/fibers/stream.h"

namespace weft::fibers {

// The stream ended before what was asked for was complete. (AnyIO: IncompleteRead.)
class IncompleteRead : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// As much came as was allowed, without a delimiter in it. (AnyIO: DelimiterNotFound.)
class DelimiterNotFound : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Keeps what it has received and nobody has asked for yet: from now on receive through it only. One
// task at a time. Whatever a call throws, and when it is cancelled, no byte is lost: the next call
// begins where this one did. Holds no more than was asked for and 64 KiB. A resource that can be
// moved while nobody uses it. (AnyIO: BufferedByteReceiveStream. Trio has none.)
class BufferedReceiveStream final : public ReceiveStream {
 public:
  static constexpr std::size_t kDefaultLine = 65536;

  // Refers to `stream`, which has to outlive this.
  explicit BufferedReceiveStream(ReceiveStream& stream) : stream_(&stream) {}
  // Owns it.
  explicit BufferedReceiveStream(std::unique_ptr<ReceiveStream> stream);
  // The other one counts as closed.
  BufferedReceiveStream(BufferedReceiveStream&& other) noexcept;
  BufferedReceiveStream& operator=(BufferedReceiveStream&& other) noexcept;
  ~BufferedReceiveStream() override = default;

  // Exactly `count` bytes. Throws IncompleteRead at the end of the stream.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has been received.
  // Threads: the run's own only.
  std::string receive_exactly(std::size_t count);

  // All up to `delimiter`, which is taken off; `max_bytes` at most without it. Throws
  // DelimiterNotFound when more come, IncompleteRead at the end of the stream, UsageError for an
  // empty delimiter.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has been received.
  // Threads: the run's own only.
  std::string receive_until(std::string_view delimiter, std::size_t max_bytes);

  // The next line without its end, "\n" or "\r\n"; the last one may have none. Nothing at the end
  // of the stream. Throws DelimiterNotFound if it is longer than `max_bytes`.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has been received.
  // Threads: the run's own only.
  std::optional<std::string> receive_line(std::size_t max_bytes = kDefaultLine);

  // What is there already, else what comes next.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has been received.
  // Threads: the run's own only.
  std::size_t receive_some(std::span<std::byte> buffer) override;
  using ReceiveStream::receive_some;

  // Closes the stream, too, and forgets what was not asked for.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: closes at once, without manners.
  // Threads: the run's own only.
  void aclose() override;

  // What has been received and not been asked for. Valid until the next call.
  std::string_view buffer() const { return {storage_.get() + begin_, end_ - begin_}; }

 private:
  void begin_call();
  bool fill();
  enum class Search : std::uint8_t { kFound, kEnded, kTooLong };
  Search find_end(std::string_view delimiter, std::size_t max_bytes, std::size_t& at);
  std::string take(std::size_t count, std::size_t also_drop = 0);
  void drop(std::size_t count);

  std::unique_ptr<ReceiveStream> owned_;
  ReceiveStream* stream_;  // Null when moved from.
  // The bytes of storage_ from begin_ to end_ wait to be asked for.
  std::unique_ptr<char[]> storage_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool closed_ = false;
  ConflictDetector receiving_{"another task is receiving from this stream already"};
};

}  // namespace weft::fibers
