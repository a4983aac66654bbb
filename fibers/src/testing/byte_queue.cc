// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/src/testing/byte_queue.h"

#include <algorithm>
#include <cstring>

#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"

namespace weft::fibers::testing::detail {

void ByteQueue::put(std::string_view data) {
  if (closed_) throw ClosedResourceError("this memory stream is closed");
  data_ += data;
  waiting_.unpark_all();
}

void ByteQueue::close() {
  closed_ = true;
  waiting_.unpark_all();
}

void ByteQueue::close_and_drop() {
  drop(left());
  close();
}

void ByteQueue::wait_until_ready() {
  if (ready()) return checkpoint();
  waiting_.park({.what = "memory stream", .on = this});
}

void ByteQueue::drop(std::size_t count) {
  taken_ += count;
  if (taken_ == data_.size()) {
    data_.clear();
    taken_ = 0;
  } else if (taken_ > data_.size() / 2) {
    data_.erase(0, taken_);
    taken_ = 0;
  }
}

std::string ByteQueue::take(std::size_t max) {
  std::string taken = data_.substr(taken_, max);
  drop(taken.size());
  return taken;
}

std::string ByteQueue::get_nowait(std::size_t max) {
  if (max == 0) throw UsageError("ask a memory stream for at least one byte");
  const ConflictDetector::Use use(fetching_);
  if (!ready()) throw WouldBlock();
  return take(max);
}

std::string ByteQueue::get(std::size_t max) {
  if (max == 0) throw UsageError("ask a memory stream for at least one byte");
  const ConflictDetector::Use use(fetching_);
  wait_until_ready();
  return take(max);
}

std::size_t ByteQueue::get(std::span<std::byte> buffer) {
  const ConflictDetector::Use use(fetching_);
  wait_until_ready();
  const std::size_t count = std::min(buffer.size(), left());
  if (count > 0) std::memcpy(buffer.data(), data_.data() + taken_, count);
  drop(count);
  return count;
}

}  // namespace weft::fibers::testing::detail
