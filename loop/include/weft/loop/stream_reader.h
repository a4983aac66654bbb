// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The reading side of a connection: lines, lengths, messages up to a separator.
//
//   std::string line = co_await reader.readline();            // in a coroutine
//   std::string line = await(reader.readline());              // on a stack
//   std::string_view body = co_await reader.readexactly_view(length);    // without a copy
//
// open_connection() and start_server() make one. (asyncio.StreamReader.)

#pragma once

#include <cstddef>
#include <exception>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "weft/loop/coro.h"
#include "weft/loop/detail/empty.h"
#include "weft/loop/detail/stream_reader_core.h"
#include "weft/loop/stream_errors.h"
#include "weft/loop/transport.h"

namespace weft::loop {

class EventLoop;

// A handle: copies are the same reader. One task at a time may wait for data; a second one gets a
// UsageError. What throws or is cancelled takes no data out, but for IncompleteReadError and lines
// that are too long.
//
// A reader with more than twice `limit` bytes pauses its transport, until it has `limit` or less.
// A message of readline() and readuntil() may have `limit` bytes, without its end.
//
// The _view calls are weft's own. They do not copy: what they give is valid until the next call
// that reads from this reader.
class StreamReader {
 public:
  static constexpr std::size_t kDefaultLimit = 65536;

  // One that is fed by hand. The first call that waits binds it to the running loop, as a Lock.
  explicit StreamReader(std::size_t limit = kDefaultLimit);
  // Bound from the beginning: for tasks of fibers, which have no running loop.
  explicit StreamReader(EventLoop& loop, std::size_t limit = kDefaultLimit);

  // Up to `n` bytes, as soon as there is one; none at the end of the stream. -1: all up to the end.
  //
  // Blocks: whoever awaits it, until there is something.
  // Cancel: no data is consumed; of read(-1) what has come so far.
  // Threads: the loop's own only.
  Coro<std::string> read(std::ptrdiff_t n = -1);
  // Blocks: whoever awaits it, until there is something.
  // Cancel: no data is consumed.
  // Threads: the loop's own only.
  Coro<std::string_view> read_view(std::size_t n);
  // A line with its '\n'. At the end of the stream what there is, so maybe nothing. A line that is
  // longer than the limit is LimitOverrunError, and is dropped as far as it has come. (asyncio:
  // ValueError.)
  //
  // Blocks: whoever awaits it, until the line is complete.
  // Cancel: no data is consumed.
  // Threads: the loop's own only.
  Coro<std::string> readline();
  // Blocks: whoever awaits it, until the line is complete.
  // Cancel: no data is consumed.
  // Threads: the loop's own only.
  Coro<std::string_view> readline_view();
  // Exactly `n` bytes, which may be more than the limit. Throws IncompleteReadError.
  //
  // Blocks: whoever awaits it, until they have come.
  // Cancel: no data is consumed.
  // Threads: the loop's own only.
  Coro<std::string> readexactly(std::size_t n);
  // Blocks: whoever awaits it, until they have come.
  // Cancel: no data is consumed.
  // Threads: the loop's own only.
  Coro<std::string_view> readexactly_view(std::size_t n);
  // All up to a separator, and that. Of several separators the one that ends first. Throws
  // IncompleteReadError at the end of the stream; LimitOverrunError, and then the data stay; and
  // UsageError, when called, for an empty separator.
  //
  // Blocks: whoever awaits it, until the separator has come.
  // Cancel: no data is consumed.
  // Threads: the loop's own only.
  Coro<std::string> readuntil(std::string_view separator = "\n");
  // Blocks: whoever awaits it, until a separator has come.
  // Cancel: no data is consumed.
  // Threads: the loop's own only.
  Coro<std::string> readuntil(std::span<const std::string_view> separators);
  Coro<std::string> readuntil(std::initializer_list<std::string_view> separators);
  // Blocks: whoever awaits it, until the separator has come.
  // Cancel: no data is consumed.
  // Threads: the loop's own only.
  Coro<std::string_view> readuntil_view(std::string_view separator = "\n");

  // Whether the stream has ended and everything has been read.
  bool at_eof() const { return core()->at_eof(); }
  // What the connection has broken by, or null. Every call that reads throws it.
  std::exception_ptr exception() const { return core()->exception(); }

  // --- For protocols. ---
  // What is paused while the reader is full. Throws UsageError if it has one.
  void set_transport(ReadTransport transport) { core()->set_transport(std::move(transport)); }
  // More data. Throws UsageError after feed_eof().
  void feed_data(std::string_view data) { core()->feed_data(data); }
  void feed_eof() { core()->feed_eof(); }
  void set_exception(std::exception_ptr error) { core()->set_exception(std::move(error)); }

 private:
  friend struct StreamAccess;
  explicit StreamReader(detail::Ref<detail::StreamReaderCore> core) : core_(std::move(core)) {}
  const detail::Ref<detail::StreamReaderCore>& core() const {
    if (!core_) detail::throw_moved_from("StreamReader");
    return core_;
  }
  detail::Ref<detail::StreamReaderCore> core_;
};

}  // namespace weft::loop
