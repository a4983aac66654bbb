// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A request body that a task provides piece by piece while libcurl sends it.

#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "shim/adapters/curl/src/signal.h"

namespace weft::curl {

// One piece lies in the buffer at a time. libcurl's read callback empties it, the providing task
// fills it again: whoever comes too early waits for the other.
class Upload {
 public:
  using Source = std::function<std::size_t(std::span<std::byte>)>;

  // `source` outlives it. `resume` lets the transfer go on after read() has paused it.
  Upload(const Source& source, std::function<void()> resume);
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  // For libcurl: how much it got, 0 at the end, CURL_READFUNC_PAUSE if there is nothing yet.
  std::size_t read(std::span<std::byte> room);
  bool is_paused() const { return paused_; }
  // Nothing more is wanted: read() says that this is the end.
  void stop();

  // Asks the source for piece after piece, until its end.
  //
  // Blocks: yes, until the source has ended.
  // Cancel: as the source; a piece not yet sent is dropped.
  // Threads: the run's own only.
  void provide();

 private:
  const Source& source_;
  const std::function<void()> resume_;
  std::vector<std::byte> buffer_;
  std::span<const std::byte> piece_;  // Of the buffer: what libcurl has not got yet.
  Signal empty_;
  bool ended_ = false;  // There will be no further piece.
  bool paused_ = false;
};

}  // namespace weft::curl
