// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the system has not taken yet, in chunks: each byte is copied once, and what has been sent
// goes without moving the rest.

#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <string_view>

namespace weft::loop::detail {

class WriteBuffer {
 public:
  WriteBuffer() = default;
  WriteBuffer(const WriteBuffer&) = delete;
  WriteBuffer& operator=(const WriteBuffer&) = delete;
  ~WriteBuffer();

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  // All of `pieces` but for the first `skip` bytes. Strong: on std::bad_alloc nothing has changed.
  void append(std::span<const std::string_view> pieces, std::size_t skip = 0);
  // The first bytes, for a sendmsg(). Returns how many of `slots` are in use.
  std::size_t front(std::span<iovec> slots) const noexcept;
  void consume(std::size_t count) noexcept;
  void clear() noexcept;

 private:
  // Followed by its bytes.
  struct Chunk {
    Chunk* next;
    std::size_t begin;
    std::size_t end;
    std::size_t capacity;
    char* bytes() { return static_cast<char*>(static_cast<void*>(this + 1)); }
  };
  static constexpr std::size_t kChunk = (std::size_t{16} << 10) - sizeof(Chunk);

  Chunk* make_chunk(std::size_t size);
  void drop(Chunk* chunk) noexcept;

  Chunk* first_ = nullptr;
  Chunk* last_ = nullptr;
  Chunk* spare_ = nullptr;  // One that is empty, so that steady use allocates nothing.
  std::size_t size_ = 0;
};

}  // namespace weft::loop::detail
