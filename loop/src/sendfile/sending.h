// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What both ways of sending a file have in common, and the native one.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "weft/loop/coro.h"
#include "weft/loop/future.h"
#include "weft/loop/loop_sendfile.h"

namespace weft::loop::detail {

// How much has been sent of what. At the end, however that comes, the file's position says so.
class Progress {
 public:
  Progress(SendfileSource& source, const SendfileOptions& options)
      : source_(source), offset_(options.offset), count_(options.count) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() {
    if (sent_ > 0) source_.set_position(position());
  }
  std::int64_t position() const { return offset_ + sent_; }
  std::size_t sent() const { return static_cast<std::size_t>(sent_); }
  // At most `most` bytes are to be sent next; 0: it is done.
  std::size_t next(std::size_t most) const;
  void add(std::size_t count) { sent_ += static_cast<std::int64_t>(count); }

 private:
  SendfileSource& source_;
  const std::int64_t offset_;
  const std::optional<std::int64_t> count_;
  std::int64_t sent_ = 0;
};

// Where to, for send_native().
struct SendfileTarget {
  std::function<int()> fd;             // The socket; throws if it is closed.
  std::function<Future<void>()> room;  // Done when it can be written to again.
};

// Throws UsageError.
void check_sendfile_options(const SendfileOptions& options);

// By sendfile(2). Throws SendfileNotAvailableError before anything is sent, std::system_error.
Coro<std::size_t> send_native(std::shared_ptr<SendfileSource> source, SendfileOptions options,
                              SendfileTarget target);

// The next piece of the file, of `size` bytes at most, read by the default executor into `buffer`,
// which it keeps.
Future<std::size_t> read_piece(EventLoop& loop, std::shared_ptr<SendfileSource> source,
                               std::int64_t offset, std::shared_ptr<std::byte[]> buffer,
                               std::size_t size);

// Over a transport that has no socket to give: by its write().
Coro<std::size_t> send_by_writing(EventLoop& loop, Transport transport,
                                  std::shared_ptr<SendfileSource> source, SendfileOptions options);

}  // namespace weft::loop::detail
