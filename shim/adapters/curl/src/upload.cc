// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "shim/adapters/curl/src/upload.h"

#include <curl/curl.h>

#include <algorithm>
#include <utility>

#include "weft/curl/curl.h"
#include "weft/fibers/errors.h"

namespace weft::curl {

Upload::Upload(const Source& source, std::function<void()> resume)
    : source_(source), resume_(std::move(resume)), buffer_(kStreamBuffer) {}

std::size_t Upload::read(std::span<std::byte> room) {
  if (piece_.empty()) {
    if (ended_) return 0;
    paused_ = true;
    return CURL_READFUNC_PAUSE;
  }
  const std::size_t size = std::min(room.size(), piece_.size());
  std::ranges::copy(piece_.first(size), room.begin());
  piece_ = piece_.subspan(size);
  if (piece_.empty()) empty_.notify();
  return size;
}

void Upload::stop() {
  ended_ = true;
  paused_ = false;
  piece_ = {};
  empty_.notify();
}

void Upload::provide() {
  while (!ended_) {
    const std::size_t size = source_(buffer_);
    if (size > buffer_.size()) {
      throw fibers::UsageError("Options::upload says that it wrote more than its buffer holds");
    }
    if (ended_) return;  // Stopped meanwhile.
    piece_ = std::span(buffer_).first(size);
    ended_ = size == 0;
    if (std::exchange(paused_, false)) resume_();
    while (!piece_.empty()) empty_.wait();
  }
}

}  // namespace weft::curl
