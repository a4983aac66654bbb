// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/buffered_receive_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"

namespace weft::fibers {

namespace {

constexpr std::size_t kNotFound = std::string_view::npos;
// There is always this much room to receive into.
constexpr std::size_t kLeastRoom = 4096;
// More than this is for one long message, and not kept for the next.
constexpr std::size_t kKeptCapacity = 2 * ReceiveStream::kDefaultReceive;

std::string count_of_bytes(std::size_t count) {
  return std::to_string(count) + (count == 1 ? " byte" : " bytes");
}

}  // namespace

BufferedReceiveStream::BufferedReceiveStream(std::unique_ptr<ReceiveStream> stream)
    : owned_(std::move(stream)), stream_(owned_.get()) {
  if (stream_ == nullptr) throw UsageError("a BufferedReceiveStream needs a stream");
}

BufferedReceiveStream::BufferedReceiveStream(BufferedReceiveStream&& other) noexcept
    : stream_(nullptr), closed_(true) {
  *this = std::move(other);
}

BufferedReceiveStream& BufferedReceiveStream::operator=(BufferedReceiveStream&& other) noexcept {
  if (this == &other) return *this;
  owned_ = std::move(other.owned_);
  stream_ = std::exchange(other.stream_, nullptr);
  storage_ = std::move(other.storage_);
  capacity_ = std::exchange(other.capacity_, 0);
  begin_ = std::exchange(other.begin_, 0);
  end_ = std::exchange(other.end_, 0);
  closed_ = std::exchange(other.closed_, true);
  return *this;
}

void BufferedReceiveStream::begin_call() {
  checkpoint();
  if (closed_) throw ClosedResourceError("this stream is closed");
}

// Receives more, or says that there is none. Only then does the buffer change: a cancelled wait
// leaves all as it was.
bool BufferedReceiveStream::fill() {
  if (capacity_ - end_ < kLeastRoom) {
    const std::size_t held = end_ - begin_;
    // Room for as much again, so that a long wait for a delimiter copies each byte only a few
    // times.
    const std::size_t wanted = std::clamp(held, kLeastRoom, kDefaultReceive);
    if (held + wanted > capacity_ || begin_ < held) {
      auto larger = std::make_unique<char[]>(std::max(held + wanted, capacity_ * 2));
      if (held > 0) std::memcpy(larger.get(), storage_.get() + begin_, held);
      capacity_ = std::max(held + wanted, capacity_ * 2);
      storage_ = std::move(larger);
    } else {
      std::memcpy(storage_.get(), storage_.get() + begin_, held);
    }
    begin_ = 0;
    end_ = held;
  }
  const std::size_t room = std::min(capacity_ - end_, kDefaultReceive);
  const std::span<char> free(storage_.get() + end_, room);
  const std::size_t received = stream_->receive_some(std::as_writable_bytes(free));
  if (closed_) throw ClosedResourceError("this stream was closed meanwhile");
  end_ += received;
  return received > 0;
}

void BufferedReceiveStream::drop(std::size_t count) {
  begin_ += count;
  if (begin_ != end_) return;
  begin_ = end_ = 0;
  if (capacity_ > kKeptCapacity) {
    storage_.reset();
    capacity_ = 0;
  }
}

std::string BufferedReceiveStream::take(std::size_t count, std::size_t also_drop) {
  std::string taken(buffer().substr(0, count));
  drop(count + also_drop);
  return taken;
}

std::string BufferedReceiveStream::receive_exactly(std::size_t count) {
  const ConflictDetector::Use use(receiving_);
  begin_call();
  while (buffer().size() < count) {
    if (fill()) continue;
    throw IncompleteRead("the stream ended after " + std::to_string(buffer().size()) + " of " +
                         count_of_bytes(count));
  }
  return take(count);
}

// Receives until the delimiter is there, at `at`.
BufferedReceiveStream::Search BufferedReceiveStream::find_end(std::string_view delimiter,
                                                              std::size_t max_bytes,
                                                              std::size_t& at) {
  const std::size_t size = delimiter.size();
  // Beyond the most that is allowed nothing needs to be looked at.
  const std::size_t most = max_bytes > kNotFound - size ? kNotFound : max_bytes + size;
  for (std::size_t searched = 0;;) {
    const std::string_view allowed = buffer().substr(0, most);
    at = allowed.find(delimiter, searched);
    if (at != kNotFound) return Search::kFound;
    if (allowed.size() == most) return Search::kTooLong;
    // It may have begun at the end of what is there.
    searched = allowed.size() < size ? 0 : allowed.size() - size + 1;
    if (!fill()) return Search::kEnded;
  }
}

std::string BufferedReceiveStream::receive_until(std::string_view delimiter,
                                                 std::size_t max_bytes) {
  if (delimiter.empty()) throw UsageError("receive_until() needs a delimiter of a byte at least");
  const ConflictDetector::Use use(receiving_);
  begin_call();
  std::size_t at = 0;
  switch (find_end(delimiter, max_bytes, at)) {
    case Search::kFound:
      return take(at, delimiter.size());
    case Search::kEnded:
      throw IncompleteRead("the stream ended after " + count_of_bytes(buffer().size()) +
                           " without the delimiter");
    case Search::kTooLong:
      break;
  }
  throw DelimiterNotFound("no delimiter within " + count_of_bytes(max_bytes));
}

std::optional<std::string> BufferedReceiveStream::receive_line(std::size_t max_bytes) {
  const ConflictDetector::Use use(receiving_);
  begin_call();
  // A '\r' is not part of the line, and may come on top.
  const std::size_t most = max_bytes < kNotFound ? max_bytes + 1 : max_bytes;
  std::size_t length = 0;
  const Search result = find_end("\n", most, length);
  if (result == Search::kEnded) {
    if (buffer().empty()) return std::nullopt;
    length = buffer().size();
  }
  const bool found = result == Search::kFound;
  const bool carriage_return = found && length > 0 && buffer()[length - 1] == '\r';
  if (carriage_return) --length;
  if (result == Search::kTooLong || length > max_bytes) {
    throw DelimiterNotFound("no end of the line within " + count_of_bytes(max_bytes));
  }
  return take(length, (found ? 1U : 0U) + (carriage_return ? 1U : 0U));
}

std::size_t BufferedReceiveStream::receive_some(std::span<std::byte> buffer) {
  checkpoint_if_cancelled();
  if (buffer.empty()) throw UsageError("receive_some() needs room for at least one byte");
  const ConflictDetector::Use use(receiving_);
  if (closed_) throw ClosedResourceError("this stream is closed");
  if (begin_ == end_) return stream_->receive_some(buffer);
  checkpoint();
  const std::size_t count = std::min(buffer.size(), end_ - begin_);
  std::memcpy(buffer.data(), storage_.get() + begin_, count);
  drop(count);
  return count;
}

void BufferedReceiveStream::aclose() {
  closed_ = true;
  begin_ = end_ = 0;
  if (stream_ == nullptr) return checkpoint();
  stream_->aclose();
}

}  // namespace weft::fibers
