// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/loop_sendfile.h"

#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "fibers/sys/sendfile.h"
#include "fibers/sys/sys.h"
#include "loop/src/sendfile/sending.h"
#include "loop/src/transports/socket_transport.h"
#include "weft/fibers/errors.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {

namespace sys = fibers::sys;
using detail::SendfileMode;
using detail::SocketTransport;

namespace {

// A descriptor's file. Its position counts only for what has none to read at, as a pipe.
class DescriptorSource final : public SendfileSource {
 public:
  explicit DescriptorSource(int fd) : fd_(fd) {}
  int fileno() override { return fd_; }
  std::size_t read(std::int64_t offset, std::span<std::byte> buffer) override {
    ssize_t count =
        sys::uninterrupted([&] { return sys::pread(fd_, buffer.data(), buffer.size(), offset); });
    if (count < 0 && errno == ESPIPE) {
      count = sys::uninterrupted([&] { return sys::read(fd_, buffer.data(), buffer.size()); });
    }
    if (count < 0) throw std::system_error(errno, std::generic_category(), "read of a file");
    return static_cast<std::size_t>(count);
  }
  void set_position(std::int64_t offset) noexcept override { sys::lseek(fd_, offset, SEEK_SET); }

 private:
  const int fd_;
};

void require_stream(int sock) {
  int type = 0;
  socklen_t size = sizeof type;
  if (sys::getsockopt(sock, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM) return;
  throw fibers::UsageError("only SOCK_STREAM type sockets are supported");
}

// Ends the wait for a socket, however that ends.
struct Watching {
  explicit Watching(Handle watched) : handle(std::move(watched)) {}
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;
  ~Watching() { handle.cancel(); }
  Handle handle;
};

// The future of the next time that `sock` has room. `watching` has the registration.
Future<void> room_of(EventLoop& loop, int sock, std::optional<Watching>& watching) {
  Future<void> room = loop.create_future<void>();
  watching.emplace(loop.add_writer(sock, [room, &watching]() mutable {
    if (!room.done()) room.set_result();
    watching.reset();
  }));
  return room;
}

// Nothing is read meanwhile, and nobody else writes.
class Exclusive {
 public:
  explicit Exclusive(const Transport& transport) : transport_(transport), socket_(of(transport)) {
    was_reading_ = socket_.is_reading();
    empty_ = socket_.begin_sendfile();
    socket_.pause_reading();
  }
  Exclusive(const Exclusive&) = delete;
  Exclusive& operator=(const Exclusive&) = delete;
  ~Exclusive() {
    socket_.end_sendfile();
    if (was_reading_) socket_.resume_reading();
  }
  static SocketTransport& of(const Transport& transport) {
    return static_cast<SocketTransport&>(TransportAccess::core(transport));
  }
  // Done when what was written before has been sent.
  const Future<void>& empty() const { return empty_; }
  detail::SendfileTarget target() {
    return {.fd = [this] { return socket_.fd_to_send_by(); },
            .room = [this] { return socket_.wait_for_room(); }};
  }

 private:
  Transport transport_;
  SocketTransport& socket_;
  Future<void> empty_;
  bool was_reading_ = false;
};

Coro<std::size_t> send_over_socket_transport(Transport transport,
                                             std::shared_ptr<SendfileSource> file,
                                             SendfileOptions options) {
  Exclusive exclusive(transport);
  const Future<void> empty = exclusive.empty();
  co_await empty;
  Coro<std::size_t> sending = detail::send_native(std::move(file), options, exclusive.target());
  const std::size_t sent = co_await std::move(sending);
  co_return sent;
}

Coro<std::size_t> send_over_socket(EventLoop& loop, int sock, std::shared_ptr<SendfileSource> file,
                                   SendfileOptions options) {
  std::optional<Watching> watching;
  detail::SendfileTarget target{.fd = [sock] { return sock; },
                                .room = [&] { return room_of(loop, sock, watching); }};
  Coro<std::size_t> sending = detail::send_native(std::move(file), options, std::move(target));
  const std::size_t sent = co_await std::move(sending);
  co_return sent;
}

Coro<std::size_t> send_by_sendall(EventLoop& loop, int sock, std::shared_ptr<SendfileSource> file,
                                  SendfileOptions options) {
  constexpr std::size_t kPiece = std::size_t{256} << 10;  // SENDFILE_FALLBACK_READBUFFER_SIZE
  const std::shared_ptr<std::byte[]> buffer(new std::byte[kPiece]);
  detail::Progress progress(*file, options);
  for (;;) {
    const std::size_t size = progress.next(kPiece);
    if (size == 0) break;
    const Future<std::size_t> reading =
        detail::read_piece(loop, file, progress.position(), buffer, size);
    const std::size_t count = co_await reading;
    if (count == 0) break;
    const void* const bytes = buffer.get();
    co_await loop.sock_sendall(sock, {static_cast<const char*>(bytes), count});
    progress.add(count);
  }
  co_return progress.sent();
}

// Awaits the native way. Empty if that is not available and need not be.
Coro<std::optional<std::size_t>> try_native(Coro<std::size_t> native, bool fallback) {
  try {
    co_return co_await std::move(native);
  } catch (const SendfileNotAvailableError&) {
    if (!fallback) throw;
  }
  co_return std::nullopt;
}

}  // namespace

Coro<std::size_t> LoopSendfile::sock_sendfile(int sock, int file, SendfileOptions options) {
  return sock_sendfile(sock, std::make_shared<DescriptorSource>(file), options);
}

Coro<std::size_t> LoopSendfile::sock_sendfile(int sock, std::shared_ptr<SendfileSource> file,
                                              SendfileOptions options) {
  EventLoop& loop = detail::facade_of(*core_);
  require_nonblocking(sock);
  require_stream(sock);
  detail::check_sendfile_options(options);
  Coro<std::size_t> native = send_over_socket(loop, sock, file, options);
  const std::optional<std::size_t> sent = co_await try_native(std::move(native), options.fallback);
  if (sent) co_return *sent;
  Coro<std::size_t> sending = send_by_sendall(loop, sock, std::move(file), options);
  co_return co_await std::move(sending);
}

Coro<std::size_t> LoopSendfile::sendfile(Transport transport, int file, SendfileOptions options) {
  return sendfile(std::move(transport), std::make_shared<DescriptorSource>(file), options);
}

Coro<std::size_t> LoopSendfile::sendfile(Transport transport, std::shared_ptr<SendfileSource> file,
                                         SendfileOptions options) {
  EventLoop& loop = detail::facade_of(*core_);
  if (transport.is_closing()) throw fibers::UsageError("Transport is closing");
  detail::check_sendfile_options(options);
  const detail::TransportCore& core = TransportAccess::core(transport);
  const std::string kind = core.kind();
  if (core.sendfile_mode() == SendfileMode::kUnsupported) {
    throw fibers::UsageError("sendfile is not supported for transport " + kind);
  }
  if (core.sendfile_mode() == SendfileMode::kTryNative) {
    Coro<std::size_t> native = send_over_socket_transport(transport, file, options);
    const std::optional<std::size_t> sent =
        co_await try_native(std::move(native), options.fallback);
    if (sent) co_return *sent;
  }
  if (!options.fallback) {
    throw fibers::UsageError(
        "fallback is disabled and native sendfile is not supported for transport " + kind);
  }
  Coro<std::size_t> sending =
      detail::send_by_writing(loop, std::move(transport), std::move(file), options);
  co_return co_await std::move(sending);
}

}  // namespace weft::loop
