// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/stream_buffer.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace weft::loop::detail {

namespace {
// What a connection holds on to while it is idle, and what it receives into at first.
constexpr std::size_t kSmall = 4096;
}  // namespace

std::span<std::byte> StreamBuffer::room() {
  wanted_ = std::max(wanted_, std::min(kSmall, most_));
  // Half of that will do: what is left over from the last message is mostly little.
  if (free_end() < (wanted_ + 1) / 2) make_room(wanted_);
  return std::as_writable_bytes(std::span(memory_.get() + end_, std::min(free_end(), most_)));
}

void StreamBuffer::filled(std::size_t count) noexcept {
  const bool was_full = count >= std::min(free_end(), wanted_);
  end_ += count;
  if (was_full) {
    wanted_ = std::min(most_, wanted_ * 4);
  } else if (count < wanted_ / 8) {
    wanted_ /= 2;
  }
}

void StreamBuffer::append(std::string_view data) {
  if (data.empty()) return;
  if (free_end() < data.size()) make_room(data.size());
  std::memcpy(memory_.get() + end_, data.data(), data.size());
  end_ += data.size();
}

void StreamBuffer::consume(std::size_t count) noexcept {
  begin_ += count;
  if (begin_ != end_ || lent_) return;
  begin_ = end_ = 0;
  if (capacity_ > kSmall) {
    memory_.reset();
    capacity_ = 0;
  }
}

void StreamBuffer::take_back() noexcept {
  lent_memory_.reset();
  lent_ = false;
  if (empty()) consume(0);
}

// Moves the bytes to the beginning, or to larger memory: doubled, so that each byte is moved a
// bounded number of times.
void StreamBuffer::make_room(std::size_t least) {
  const std::size_t held = size();
  if (!lent_ && capacity_ - held >= least && held <= begin_) {
    std::memmove(memory_.get(), memory_.get() + begin_, held);
  } else {
    const std::size_t capacity = std::max(held + least, held > 0 ? capacity_ * 2 : kSmall);
    std::unique_ptr<char[]> memory(new char[capacity]);
    if (held > 0) std::memcpy(memory.get(), memory_.get() + begin_, held);
    std::swap(memory_, memory);
    if (std::exchange(lent_, false)) lent_memory_ = std::move(memory);
    capacity_ = capacity;
  }
  begin_ = 0;
  end_ = held;
}

}  // namespace weft::loop::detail
