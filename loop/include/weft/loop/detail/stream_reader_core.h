// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a StreamReader is inside. Not for use outside weft.

#pragma once

#include <cstddef>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weft/loop/coro.h"
#include "weft/loop/detail/counted.h"
#include "weft/loop/detail/stream_buffer.h"
#include "weft/loop/detail/waiters.h"
#include "weft/loop/stream_errors.h"
#include "weft/loop/transport.h"

namespace weft::loop::detail {

// What ends a message. Copied: the coroutine that looks for it begins later.
class Separators {
 public:
  // Throws UsageError if there is none, or an empty one.
  explicit Separators(std::string_view only);
  explicit Separators(std::span<const std::string_view> several);

  struct Match {
    std::size_t begin;
    std::size_t end;
  };
  // The one that ends first, at `from` or later.
  std::optional<Match> find(std::string_view data, std::size_t from) const;
  std::size_t longest() const { return longest_; }

 private:
  void add(std::string_view separator);
  std::string first_;
  std::vector<std::string> others_;
  std::size_t longest_ = 0;
};

// The state machine: data and the end are fed in, and taken out by steps that never wait. Each of
// the try_ functions says how many bytes the answer has, which are then the first of data(); or
// nothing, if more has to come first. They throw what the coroutines below throw.
class StreamReaderCore final : public Counted {
 public:
  // Throws UsageError if the limit is 0.
  explicit StreamReaderCore(std::size_t limit);
  StreamReaderCore(EventLoop& loop, std::size_t limit);

  std::size_t limit() const { return limit_; }
  std::string_view data() const { return buffer_.data(); }
  bool at_eof() const { return eof_ && buffer_.empty(); }
  bool eof() const { return eof_; }
  const std::exception_ptr& exception() const { return exception_; }
  // Whether data has been held up.
  bool paused() const { return paused_; }
  // Whether somebody waits for data.
  bool waited_for() const { return waiter_.operator bool(); }

  // --- For who feeds it. ---
  // What is paused while the reader is full. Throws UsageError if it has one.
  void set_transport(ReadTransport transport);
  // The connection goes on by another one, or has ended: then it is empty.
  void replace_transport(ReadTransport transport) noexcept;
  void feed_data(std::string_view data);
  // The same without a copy: receive into the first, and say how much.
  std::span<std::byte> get_buffer();
  void buffer_updated(std::size_t count);
  void feed_eof();
  void set_exception(std::exception_ptr error);

  // --- For who reads. ---
  // Comes first. Throws the exception, if there is one.
  void begin_read();
  // What ends when something has been fed. Throws the exception; UsageError if somebody waits
  // already. `what` names the call.
  Future<void> begin_wait(const char* what);
  std::optional<std::size_t> try_read(std::size_t most);
  std::optional<std::size_t> try_readexactly(std::size_t count);
  // `from`: where to look on; 0 at first.
  std::optional<std::size_t> try_readuntil(const Separators& separators, std::size_t& from);
  std::optional<std::size_t> try_readline(std::size_t& from);
  // The answer: the first bytes, which are then gone from data().
  std::string take(std::size_t count);
  // Where they lie, until the next begin_read().
  std::string_view lend(std::size_t count);

  // While it is gathering it takes whatever comes, however much: two readers of one peer can so be
  // waited for one after the other. Throws UsageError if somebody waits for data. Counted.
  void begin_gathering(const char* what);
  void end_gathering() { --gathering_; }  // What comes next pauses it, if it is full.
  // Waits for the end of the stream, and takes nothing.
  static Coro<void> wait_eof(Ref<StreamReaderCore> core, const char* what);

  // R is std::string, or std::string_view for lend().
  template <class R>
  static Coro<R> read(Ref<StreamReaderCore> core, std::size_t most);
  static Coro<std::string> read_all(Ref<StreamReaderCore> core);
  template <class R>
  static Coro<R> readexactly(Ref<StreamReaderCore> core, std::size_t count);
  template <class R>
  static Coro<R> readuntil(Ref<StreamReaderCore> core, Separators separators);
  template <class R>
  static Coro<R> readline(Ref<StreamReaderCore> core);

 private:
  class Waiting;
  template <class R, class Try>
  static Coro<R> repeat(Ref<StreamReaderCore> core, const char* what, Try attempt);
  void fed(bool something);
  void wake() noexcept;
  void require_nobody_waits(const char* what) const;
  void pause_if_full();
  void resume_transport();
  std::optional<std::size_t> search(const Separators& separators, std::size_t& from);
  void consume(std::size_t count);
  void resume_if_low();
  [[noreturn]] void throw_incomplete(std::optional<std::size_t> expected);

  LoopBinding binding_;
  StreamBuffer buffer_;
  std::size_t limit_;
  ReadTransport transport_;  // Empty: none, or one that cannot be paused.
  Future<void> waiter_;      // Of who waits for data; empty if nobody does.
  std::exception_ptr exception_;
  int gathering_ = 0;
  bool eof_ = false;
  bool paused_ = false;
};

}  // namespace weft::loop::detail
