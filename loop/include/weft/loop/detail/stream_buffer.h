// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The bytes that a StreamReader has received and nobody has read. Not for use outside weft.

#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "weft/fibers/detail/requirements.h"

namespace weft::loop::detail {

// One piece of memory, in which the bytes lie one after the other: a transport receives into its
// free end, and whoever reads sees them where they have been received. It has no memory before the
// first byte comes, and gives back large memory when the last one has been read.
class StreamBuffer {
 public:
  // `most`: how much room() offers at most.
  explicit StreamBuffer(std::size_t most) noexcept : most_(most) {}

  // What has not been read.
  std::string_view data() const { return {memory_.get() + begin_, size()}; }
  std::size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }

  // Where to receive to, never empty. It grows with what has come before, so that a busy
  // connection needs few system calls and a quiet one little memory.
  std::span<std::byte> room();
  // So many bytes of the last room() have been filled.
  void filled(std::size_t count) noexcept;
  void append(std::string_view data);

  // The first bytes have been read.
  void consume(std::size_t count) noexcept;
  void clear() noexcept { consume(size()); }

  // What data() shows stays where it is until take_back(), also after consume().
  void lend() noexcept { lent_ = true; }
  void take_back() noexcept;

 private:
  void make_room(std::size_t least);
  std::size_t free_end() const { return capacity_ - end_; }

  std::unique_ptr<char[]> memory_;
  std::unique_ptr<char[]> lent_memory_;  // Where lent bytes lie, if there is newer memory.
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t wanted_ = 0;  // By the next room().
  std::size_t most_;
  bool lent_ = false;  // Bytes in memory_ are.
};

}  // namespace weft::loop::detail
