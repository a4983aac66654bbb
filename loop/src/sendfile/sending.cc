// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/src/sendfile/sending.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "fibers/sys/sys.h"
#include "weft/fibers/detail/write_without_signal.h"
#include "weft/fibers/errors.h"
#include "weft/loop/event_loop.h"

namespace weft::loop::detail {

namespace sys = fibers::sys;

std::size_t Progress::next(std::size_t most) const {
  if (!count_) return most;
  return std::min(most, static_cast<std::size_t>(*count_ - sent_));
}

void check_sendfile_options(const SendfileOptions& options) {
  if (options.count && *options.count <= 0) {
    throw fibers::UsageError("count must be a positive integer (got " +
                             std::to_string(*options.count) + ")");
  }
  if (options.offset < 0) {
    throw fibers::UsageError("offset must be a non-negative integer (got " +
                             std::to_string(options.offset) + ")");
  }
}

// Anything else has no size, and asyncio takes that for an empty file.
static std::size_t size_of_regular_file(int file) {
  struct stat about {};
  if (file < 0 || sys::fstat(file, &about) != 0 || !S_ISREG(about.st_mode)) {
    throw SendfileNotAvailableError("not a regular file");
  }
  return static_cast<std::size_t>(about.st_size);
}

// An error before the first byte means that this file, or this socket, is none for sendfile(2).
[[noreturn]] static void throw_failed(int error, bool sent_something) {
  if (!sent_something) throw SendfileNotAvailableError("os.sendfile call failed");
  throw std::system_error(error, std::generic_category(),
                          error == ENOTCONN ? "socket is not connected" : "sendfile");
}

Coro<std::size_t> send_native(std::shared_ptr<SendfileSource> source, SendfileOptions options,
                              SendfileTarget target) {
  constexpr int kCallsInTurn = 16;  // Then others have theirs.
  const int file = source->fileno();
  const std::size_t size = size_of_regular_file(file);
  if (size == 0 && !options.count) co_return 0;
  Progress progress(*source, options);
  for (int calls = 1;; ++calls) {
    const std::size_t block = progress.next(options.count ? SIZE_MAX : size);
    if (block == 0) break;
    const std::ptrdiff_t count =
        fibers::detail::sendfile_without_signal(target.fd(), file, progress.position(), block);
    if (count == 0) break;  // The end of the file.
    if (count > 0) {
      progress.add(static_cast<std::size_t>(count));
      if (calls % kCallsInTurn == 0) co_await sleep(fibers::Duration::zero());
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      const Future<void> room = target.room();
      co_await room;
    } else if (errno != EINTR) {
      throw_failed(errno, progress.sent() > 0);
    }
  }
  co_return progress.sent();
}

Future<std::size_t> read_piece(EventLoop& loop, std::shared_ptr<SendfileSource> source,
                               std::int64_t offset, std::shared_ptr<std::byte[]> buffer,
                               std::size_t size) {
  return loop.run_in_executor(
      nullptr, [source = std::move(source), offset, buffer = std::move(buffer), size] {
        return source->read(offset, {buffer.get(), size});
      });
}

}  // namespace weft::loop::detail
