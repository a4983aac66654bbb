// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/stream_reader_core.h"

#include <algorithm>
#include <utility>

#include "weft/fibers/errors.h"

namespace weft::loop {

IncompleteReadError::IncompleteReadError(std::string partial, std::optional<std::size_t> expected)
    : std::runtime_error(std::to_string(partial.size()) + " bytes read on a total of " +
                         (expected ? std::to_string(*expected) : "undefined") + " expected bytes"),
      partial_(std::move(partial)),
      expected_(expected) {}

namespace detail {

namespace {

// What one system call receives at most. (asyncio: max_size of a transport.)
constexpr std::size_t kMostRoom = 262144;

std::size_t require_limit(std::size_t limit) {
  if (limit == 0) throw fibers::UsageError("limit cannot be <= 0; leave it out to have 64 KiB");
  return limit;
}

const Separators& newline() {
  static const auto* const made = new Separators("\n");  // Used until the program ends.
  return *made;
}

}  // namespace

// --- Separators. ---

Separators::Separators(std::string_view only) : first_(only) {
  add(only);
}

Separators::Separators(std::span<const std::string_view> several) {
  if (several.empty()) {
    throw fibers::UsageError(
        "Separator should contain at least one element; say what ends a message");
  }
  first_ = several.front();
  for (const std::string_view separator : several) add(separator);
  for (const std::string_view separator : several.subspan(1)) others_.emplace_back(separator);
}

void Separators::add(std::string_view separator) {
  if (separator.empty()) {
    throw fibers::UsageError(
        "Separator should be at least one-byte string; say what ends a message, or use read()");
  }
  longest_ = std::max(longest_, separator.size());
}

std::optional<Separators::Match> Separators::find(std::string_view data, std::size_t from) const {
  std::optional<Match> found;
  const auto look = [&](std::string_view separator) {
    const std::size_t begin = data.find(separator, from);
    if (begin == std::string_view::npos) return;
    const std::size_t end = begin + separator.size();
    // Of those that end at the same place the shortest one, as asyncio has it.
    if (!found || end < found->end || (end == found->end && begin > found->begin)) {
      found = Match{begin, end};
    }
  };
  look(first_);
  for (const std::string& other : others_) look(other);
  return found;
}

// --- StreamReaderCore: feeding. ---

StreamReaderCore::StreamReaderCore(std::size_t limit)
    : buffer_(2 * std::min(require_limit(limit), kMostRoom / 2)), limit_(limit) {}

StreamReaderCore::StreamReaderCore(EventLoop& loop, std::size_t limit) : StreamReaderCore(limit) {
  binding_ = LoopBinding(loop);
}

void StreamReaderCore::set_transport(ReadTransport transport) {
  if (transport_) {
    throw fibers::UsageError("Transport already set; a StreamReader is for one connection");
  }
  transport_ = std::move(transport);
}

void StreamReaderCore::replace_transport(ReadTransport transport) noexcept {
  transport_ = std::move(transport);
  paused_ = false;
}

void StreamReaderCore::feed_data(std::string_view data) {
  if (eof_) throw fibers::UsageError("feed_data after feed_eof; the end comes last");
  buffer_.append(data);
  fed(!data.empty());
}

std::span<std::byte> StreamReaderCore::get_buffer() {
  return buffer_.room();
}

void StreamReaderCore::buffer_updated(std::size_t count) {
  buffer_.filled(count);
  fed(count > 0);
}

void StreamReaderCore::fed(bool something) {
  if (!something) return;
  wake();
  pause_if_full();
}

void StreamReaderCore::pause_if_full() {
  const bool full = buffer_.size() > limit_ && buffer_.size() - limit_ > limit_;
  if (!transport_ || paused_ || !full || gathering_ > 0) return;
  try {
    transport_.pause_reading();
    paused_ = true;
  } catch (const fibers::UsageError&) {
    transport_ = {};  // It cannot be paused: all that comes has to be kept.
  }
}

void StreamReaderCore::feed_eof() {
  eof_ = true;
  wake();
}

void StreamReaderCore::set_exception(std::exception_ptr error) {
  exception_ = std::move(error);
  wake();
}

// The wait ends, and whoever waits looks again at what there is.
void StreamReaderCore::wake() noexcept {
  Future<void> waiter = std::exchange(waiter_, {});
  if (!waiter || waiter.done()) return;
  try {
    waiter.set_result();
  } catch (const fibers::UsageError&) {
    // The loop is closed: the future is done, and no callback of the loop will hear of it.
  }
}

// --- StreamReaderCore: reading. ---

// Lies in the frame of the coroutine that waits for data.
class StreamReaderCore::Waiting {
 public:
  Waiting(StreamReaderCore& core, const char* what) : core_(core), future_(core.begin_wait(what)) {}
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() {
    if (core_.waiter_ == future_) core_.waiter_ = {};
  }
  const Future<void>& future() const { return future_; }

 private:
  StreamReaderCore& core_;
  Future<void> future_;
};

// An error counts from here on: what came before it and is complete has been given out.
Future<void> StreamReaderCore::begin_wait(const char* what) {
  if (exception_ != nullptr) std::rethrow_exception(exception_);
  require_nobody_waits(what);
  waiter_ = binding_.create_future("StreamReader");
  // Nothing would come while it is paused: more than the limit has been asked for.
  resume_transport();
  return waiter_;
}

void StreamReaderCore::require_nobody_waits(const char* what) const {
  if (!waiter_) return;
  throw fibers::UsageError(std::string(what) +
                           "() called while another coroutine is already waiting for incoming data;"
                           " let one task read, or take turns by a Lock");
}

void StreamReaderCore::resume_transport() {
  if (std::exchange(paused_, false)) transport_.resume_reading();
}

void StreamReaderCore::begin_gathering(const char* what) {
  require_nobody_waits(what);
  ++gathering_;
  resume_transport();
}

void StreamReaderCore::begin_read() {
  buffer_.take_back();
  if (exception_ != nullptr) std::rethrow_exception(exception_);
}

std::optional<std::size_t> StreamReaderCore::try_read(std::size_t most) {
  if (buffer_.empty() && !eof_ && most > 0) return std::nullopt;
  return std::min(most, buffer_.size());
}

std::optional<std::size_t> StreamReaderCore::try_readexactly(std::size_t count) {
  if (buffer_.size() >= count) return count;
  if (eof_) throw_incomplete(count);
  return std::nullopt;
}

std::optional<std::size_t> StreamReaderCore::search(const Separators& separators,
                                                    std::size_t& from) {
  if (const auto match = separators.find(data(), from)) {
    if (match->begin <= limit_) return match->end;
    throw LimitOverrunError("Separator is found, but chunk is longer than limit", match->begin);
  }
  // The first part of a separator may be there already.
  const std::size_t seen = buffer_.size() + 1;
  from = seen > separators.longest() ? seen - separators.longest() : 0;
  if (from <= limit_) return std::nullopt;
  throw LimitOverrunError("Separator is not found, and chunk exceed the limit", from);
}

std::optional<std::size_t> StreamReaderCore::try_readuntil(const Separators& separators,
                                                           std::size_t& from) {
  const std::optional<std::size_t> found = search(separators, from);
  if (!found && eof_) throw_incomplete(std::nullopt);
  return found;
}

// The end of the stream ends a line, too. One that is too long goes, as far as it has come.
std::optional<std::size_t> StreamReaderCore::try_readline(std::size_t& from) {
  try {
    const std::optional<std::size_t> found = search(newline(), from);
    return !found && eof_ ? buffer_.size() : found;
  } catch (const LimitOverrunError& error) {
    const bool ends = data().substr(error.consumed()).starts_with('\n');
    consume(ends ? error.consumed() + 1 : buffer_.size());
    throw;
  }
}

void StreamReaderCore::throw_incomplete(std::optional<std::size_t> expected) {
  throw IncompleteReadError(take(buffer_.size()), expected);
}

std::string StreamReaderCore::take(std::size_t count) {
  std::string taken(data().substr(0, count));
  consume(count);
  return taken;
}

std::string_view StreamReaderCore::lend(std::size_t count) {
  const std::string_view lent = data().substr(0, count);
  buffer_.lend();
  consume(count);
  return lent;
}

void StreamReaderCore::consume(std::size_t count) {
  buffer_.consume(count);
  resume_if_low();
}

void StreamReaderCore::resume_if_low() {
  if (buffer_.size() <= limit_) resume_transport();
}

// --- The coroutines: steps, and waits in between. ---

namespace {
template <class R>
R answer(StreamReaderCore& core, std::size_t count);
template <>
std::string answer(StreamReaderCore& core, std::size_t count) {
  return core.take(count);
}
template <>
std::string_view answer(StreamReaderCore& core, std::size_t count) {
  return core.lend(count);
}
}  // namespace

template <class R, class Try>
Coro<R> StreamReaderCore::repeat(Ref<StreamReaderCore> core, const char* what, Try attempt) {
  core->begin_read();
  for (;;) {
    if (const std::optional<std::size_t> count = attempt(*core)) co_return answer<R>(*core, *count);
    const Waiting waiting(*core, what);
    co_await waiting.future();
  }
}

template <class R>
Coro<R> StreamReaderCore::read(Ref<StreamReaderCore> core, std::size_t most) {
  return repeat<R>(std::move(core), "read",
                   [most](StreamReaderCore& reader) { return reader.try_read(most); });
}

Coro<std::string> StreamReaderCore::read_all(Ref<StreamReaderCore> core) {
  core->begin_read();
  std::string all;
  for (;;) {
    all += core->data();
    core->consume(core->data().size());
    if (core->eof_) co_return all;
    const Waiting waiting(*core, "read");
    co_await waiting.future();
  }
}

Coro<void> StreamReaderCore::wait_eof(Ref<StreamReaderCore> core, const char* what) {
  core->begin_read();
  while (!core->eof_) {
    const Waiting waiting(*core, what);
    co_await waiting.future();
  }
}

template <class R>
Coro<R> StreamReaderCore::readexactly(Ref<StreamReaderCore> core, std::size_t count) {
  return repeat<R>(std::move(core), "readexactly",
                   [count](StreamReaderCore& reader) { return reader.try_readexactly(count); });
}

template <class R>
Coro<R> StreamReaderCore::readuntil(Ref<StreamReaderCore> core, Separators separators) {
  return repeat<R>(
      std::move(core), "readuntil",
      [separators = std::move(separators), from = std::size_t{0}](
          StreamReaderCore& reader) mutable { return reader.try_readuntil(separators, from); });
}

template <class R>
Coro<R> StreamReaderCore::readline(Ref<StreamReaderCore> core) {
  return repeat<R>(std::move(core), "readline",
                   [from = std::size_t{0}](StreamReaderCore& reader) mutable {
                     return reader.try_readline(from);
                   });
}

template Coro<std::string> StreamReaderCore::read(Ref<StreamReaderCore>, std::size_t);
template Coro<std::string_view> StreamReaderCore::read(Ref<StreamReaderCore>, std::size_t);
template Coro<std::string> StreamReaderCore::readexactly(Ref<StreamReaderCore>, std::size_t);
template Coro<std::string_view> StreamReaderCore::readexactly(Ref<StreamReaderCore>, std::size_t);
template Coro<std::string> StreamReaderCore::readuntil(Ref<StreamReaderCore>, Separators);
template Coro<std::string_view> StreamReaderCore::readuntil(Ref<StreamReaderCore>, Separators);
template Coro<std::string> StreamReaderCore::readline(Ref<StreamReaderCore>);
template Coro<std::string_view> StreamReaderCore::readline(Ref<StreamReaderCore>);

}  // namespace detail
}  // namespace weft::loop
