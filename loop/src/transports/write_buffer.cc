// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/src/transports/write_buffer.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace weft::loop::detail {

WriteBuffer::~WriteBuffer() {
  clear();
  ::operator delete(spare_);
}

WriteBuffer::Chunk* WriteBuffer::make_chunk(std::size_t size) {
  if (spare_ != nullptr && size <= spare_->capacity) return std::exchange(spare_, nullptr);
  const std::size_t capacity = std::max(size, kChunk);
  void* const memory = ::operator new(sizeof(Chunk) + capacity);
  return ::new (memory) Chunk{.next = nullptr, .begin = 0, .end = 0, .capacity = capacity};
}

void WriteBuffer::drop(Chunk* chunk) noexcept {
  if (spare_ == nullptr && chunk->capacity == kChunk) {
    *chunk = {.next = nullptr, .begin = 0, .end = 0, .capacity = kChunk};
    spare_ = chunk;
  } else {
    ::operator delete(chunk);
  }
}

void WriteBuffer::append(std::span<const std::string_view> pieces, std::size_t skip) {
  std::size_t total = 0;
  for (const std::string_view piece : pieces) total += piece.size();
  total -= skip;
  const std::size_t room = last_ == nullptr ? 0 : last_->capacity - last_->end;
  Chunk* const added = total > room ? make_chunk(total - room) : nullptr;
  const auto put = [](Chunk* chunk, std::string_view& data) {
    if (chunk == nullptr) return;
    const std::size_t count = std::min(data.size(), chunk->capacity - chunk->end);
    std::memcpy(chunk->bytes() + chunk->end, data.data(), count);
    chunk->end += count;
    data.remove_prefix(count);
  };
  for (std::string_view piece : pieces) {
    const std::size_t skipped = std::min(skip, piece.size());
    piece.remove_prefix(skipped);
    skip -= skipped;
    if (piece.empty()) continue;
    put(last_, piece);
    if (!piece.empty()) put(added, piece);
  }
  if (added != nullptr) {
    (last_ == nullptr ? first_ : last_->next) = added;
    last_ = added;
  }
  size_ += total;
}

std::size_t WriteBuffer::front(std::span<iovec> slots) const noexcept {
  std::size_t used = 0;
  for (Chunk* chunk = first_; chunk != nullptr && used < slots.size(); chunk = chunk->next) {
    slots[used++] = {.iov_base = chunk->bytes() + chunk->begin,
                     .iov_len = chunk->end - chunk->begin};
  }
  return used;
}

void WriteBuffer::consume(std::size_t count) noexcept {
  size_ -= count;
  while (count > 0) {
    const std::size_t here = std::min(count, first_->end - first_->begin);
    first_->begin += here;
    count -= here;
    if (first_->begin < first_->end) return;
    Chunk* const done = first_;
    first_ = done->next;
    if (first_ == nullptr) last_ = nullptr;
    drop(done);
  }
}

void WriteBuffer::clear() noexcept {
  consume(size_);
}

}  // namespace weft::loop::detail
