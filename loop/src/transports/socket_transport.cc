// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/src/transports/socket_transport.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string>
#include <system_error>

#include "fibers/sys/sys.h"
#include "loop/src/transports/transport_errors.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/loop/detail/tell.h"
#include "weft/loop/event_loop.h"

namespace weft::loop::detail {

using fibers::FdDirection;
using fibers::SocketAddress;
namespace sys = fibers::sys;

SocketTransport::SocketTransport(LoopCore& loop, SocketGiven& given)
    : TransportCore(loop),
      waiter_(std::move(given.waiter)),
      owner_(given.owner),
      peer_(given.peer) {}

SocketTransport* SocketTransport::make(LoopCore& loop, SocketGiven given) {
  require_open(loop);
  if (!given.fd) throw fibers::UsageError("a negative number is no descriptor; is it closed?");
  auto* const transport = new SocketTransport(loop, given);
  try {
    transport->protocol_.set(std::move(given.protocol));
    transport->open(std::move(given.fd), given.tuned_tcp);
  } catch (...) {
    transport->release();
    throw;
  }
  return transport;
}

static bool is_tcp(int fd) {
  int protocol = 0;
  socklen_t size = sizeof protocol;
  return sys::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
         protocol == IPPROTO_TCP;
}

// The descriptor is registered once, for both directions. What is there already is reported by the
// first poll after that, so nothing has to be tried first.
void SocketTransport::open(UniqueFd fd, bool tuned_tcp) {
  const int number = fd.get();
  claim_descriptor(loop(), number, *this);
  try {
    is_tcp_ = tuned_tcp || is_tcp(number);
    if (is_tcp_ && !tuned_tcp) {
      const int on = 1;
      sys::setsockopt(number, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    // Later, once the peer has gone, the system does not know it any more.
    if (peer_.empty()) peer_ = ask_address(number, sys::getpeername);
    run_of(loop()).call([&] {
      fd_ = fibers::OwnedFd(fd.release());
      read_watch_.arm(
          fd_, FdDirection::kRead,
          [](void* self) {
            auto& transport = *static_cast<SocketTransport*>(self);
            transport.readable_ = true;
            if (transport.made_ && !transport.paused_) transport.reading_.schedule();
          },
          this);
    });
  } catch (...) {
    disclaim_descriptor(loop(), number);
    throw;
  }
  readable_ = false;
  if (owner_ != nullptr) owner_->attach(*this);
  keep_open();
  reading_.schedule();
}

// --- Reading. ---

void SocketTransport::read_ready() {
  if (!made_) return begin();
  if (closing_.begun() || paused_ || read_ended_) return;
  protocol_.buffered() == nullptr ? read() : read_buffered();
}

void SocketTransport::begin() {
  made_ = true;
  if (readable_) reading_.schedule();
  tell_protocol(
      *this, protocol_.holder(), "Exception in callback connection_made()",
      [this] { protocol_.connection_made(TransportAccess::share(*this)); },
      [this] { wake(waiter_); });
}

// Calls a method of the protocol that must not fail: if it does, or if it is cancelled, the
// connection is aborted. False then.
template <class F>
bool SocketTransport::call_protocol(const char* failed, F&& fn) {
  const ProtocolHolder::Call call(protocol_.holder());
  try {
    std::forward<F>(fn)();
    return true;
  } catch (const fibers::KeyboardInterrupt&) {
    throw;
  } catch (const fibers::Cancelled&) {
    force_close(nullptr);
    throw;
  } catch (...) {
    fatal_error(std::current_exception(), failed);
    return false;
  }
}

void SocketTransport::read() {
  readable_ = false;
  std::optional<ReadBuffer> buffer;
  try {
    buffer.emplace(loop());
  } catch (const std::bad_alloc&) {
    return fatal_error(std::current_exception(), "Fatal read error on socket transport");
  }
  const ssize_t count =
      sys::uninterrupted([&] { return sys::recv(fd_.get(), buffer->data(), kReadBufferSize, 0); });
  if (!took(count, kReadBufferSize)) return;
  if (readable_) reading_.schedule();
  call_protocol("Fatal error: protocol.data_received() call failed.", [&] {
    protocol_.plain()->data_received({buffer->data(), static_cast<std::size_t>(count)});
  });
}

void SocketTransport::read_buffered() {
  std::span<std::byte> room;
  const bool got = call_protocol("Fatal error: protocol.get_buffer() call failed.", [&] {
    room = protocol_.buffered()->get_buffer(0);
    if (room.empty()) throw fibers::UsageError("get_buffer() returned an empty buffer");
  });
  // It may have waited, or have put another protocol in its place.
  if (!got || closing_.begun() || paused_ || protocol_.buffered() == nullptr) return;
  readable_ = false;
  const ssize_t count =
      sys::uninterrupted([&] { return sys::recv(fd_.get(), room.data(), room.size(), 0); });
  if (!took(count, room.size())) return;
  if (readable_) reading_.schedule();
  call_protocol("Fatal error: protocol.buffer_updated() call failed.",
                [&] { protocol_.buffered()->buffer_updated(static_cast<std::size_t>(count)); });
}

// One read a turn: others have theirs before the next, which is asked for before the protocol is
// called: that may interrupt the loop. A read of TCP that gives less than there is
// room for has taken all there was, unless the end has been seen already.
bool SocketTransport::took(ssize_t count, std::size_t size) {
  if (count > 0) {
    if (is_tcp_ && static_cast<std::size_t>(count) < size) fd_.note_drained();
    readable_ = !fd_.is_drained();
    return true;
  }
  if (count == 0) {
    read_eof();
  } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
    fatal_error(system_error(errno, "recv"), "Fatal read error on socket transport");
  }
  return false;
}

void SocketTransport::read_eof() {
  read_ended_ = true;
  bool keep_open = false;
  const bool told = call_protocol("Fatal error: protocol.eof_received() call failed.",
                                  [&] { keep_open = protocol_.eof_received(); });
  if (told && !keep_open) close();
}

void SocketTransport::pause_reading() {
  if (is_reading()) paused_ = true;
}

void SocketTransport::resume_reading() {
  if (closing_.begun() || !paused_) return;
  paused_ = false;
  if (made_ && readable_) reading_.schedule();
}

void SocketTransport::stop_reading() noexcept {
  read_watch_.disarm();
}

// --- Writing. ---

static constexpr const char* kDroppedWrite = "socket.send() raised exception.";

void SocketTransport::need_writable(const char* call) const {
  if (!wrote_eof_ && !sending_file_) return;
  if (wrote_eof_)
    throw fibers::UsageError("Cannot call " + std::string(call) + "() after write_eof()");
  throw fibers::UsageError("unable to " + std::string(call) + "; sendfile is in progress");
}

void SocketTransport::write(std::string_view data) {
  need_writable("write");
  if (data.empty()) return;
  if (closing_.lost()) return closing_.drop_write(kDroppedWrite);
  std::size_t sent = 0;
  // The straight way: nothing waits before it, and the system takes all of it.
  if (buffer_.empty()) {
    const ssize_t count = sys::send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL);
    if (count == static_cast<ssize_t>(data.size())) return;
    if (count > 0) sent = static_cast<std::size_t>(count);
    if (count < 0 && errno != EINTR && failed_to_send() == Sent::kFailed) return;
  }
  writelines_rest({&data, 1}, sent);
}

void SocketTransport::writelines(std::span<const std::string_view> pieces) {
  need_writable("writelines");
  std::size_t total = 0;
  for (const std::string_view piece : pieces) total += piece.size();
  if (total == 0) return;
  if (closing_.lost()) return closing_.drop_write(kDroppedWrite);
  writelines_rest(pieces, 0);
}

// `sent`: how much the system has taken already.
void SocketTransport::writelines_rest(std::span<const std::string_view> pieces, std::size_t sent) {
  const bool first = buffer_.empty();
  if (first) {
    const Sent result = send(pieces, sent);
    if (result != Sent::kPart) return;
  }
  try {
    buffer_.append(pieces, sent);
  } catch (const std::bad_alloc&) {
    if (sent == 0) throw;  // Nothing has happened.
    return fatal_error(std::current_exception(), "Fatal write error on socket transport");
  }
  if (first) watch_writing();
  flow_.maybe_pause(*this, protocol_.holder(), buffer_.size());
}

namespace {

constexpr std::size_t kSlots = 64;

// One sendmsg() of what stands in `slots`; -1 with errno.
ssize_t send_slots(int fd, std::span<iovec> slots) {
  msghdr message{};
  message.msg_iov = slots.data();
  message.msg_iovlen = slots.size();
  return sys::uninterrupted([&] { return sys::sendmsg(fd, &message, MSG_NOSIGNAL); });
}

// Those of `pieces` that fit, without their first `skip` bytes.
std::size_t fill(std::span<iovec> slots, std::span<const std::string_view> pieces,
                 std::size_t skip) {
  std::size_t used = 0;
  for (const std::string_view piece : pieces) {
    if (skip >= piece.size()) {
      skip -= piece.size();
      continue;
    }
    if (used == slots.size()) break;
    slots[used++] = {.iov_base = const_cast<char*>(piece.data() + skip),  // NOLINT: as in C.
                     .iov_len = piece.size() - skip};
    skip = 0;
  }
  return used;
}

}  // namespace

// Until the system would have to wait: only after that does it report that there is room again.
SocketTransport::Sent SocketTransport::send(std::span<const std::string_view> pieces,
                                            std::size_t& sent) {
  std::array<iovec, kSlots> slots;
  for (;;) {
    const std::size_t used = fill(slots, pieces, sent);
    if (used == 0) return Sent::kAll;
    const ssize_t count = send_slots(fd_.get(), {slots.data(), used});
    if (count < 0) return failed_to_send();
    sent += static_cast<std::size_t>(count);
  }
}

SocketTransport::Sent SocketTransport::failed_to_send() {
  if (errno == EAGAIN || errno == EWOULDBLOCK) return Sent::kPart;
  std::exception_ptr error = system_error(errno, "send");
  buffer_.clear();
  fatal_error(std::move(error), "Fatal write error on socket transport");
  return Sent::kFailed;
}

// Some of what is buffered: others have their turn before a fast peer gets the rest.
SocketTransport::Sent SocketTransport::flush() {
  constexpr int kCallsInTurn = 16;
  std::array<iovec, kSlots> slots;
  for (int i = 0; i < kCallsInTurn; ++i) {
    const ssize_t count = send_slots(fd_.get(), {slots.data(), buffer_.front(slots)});
    if (count < 0) return failed_to_send();
    buffer_.consume(static_cast<std::size_t>(count));
    if (buffer_.empty()) return Sent::kAll;
  }
  writing_.schedule();
  return Sent::kPart;
}

void SocketTransport::watch_writing() {
  if (write_watch_.armed()) return;
  run_of(loop()).call([this] {
    write_watch_.arm(
        fd_, FdDirection::kWrite,
        [](void* self) { static_cast<SocketTransport*>(self)->writing_.schedule(); }, this);
  });
}

void SocketTransport::write_ready() {
  if (closing_.lost()) return;
  if (buffer_.empty()) return wake_file_waiter(nullptr);
  if (flush() == Sent::kFailed) return;
  flow_.maybe_resume(*this, protocol_.holder(), buffer_.size());
  if (closing_.lost() || !buffer_.empty()) return;
  write_watch_.disarm();
  if (closing_.begun()) {
    closing_.lose();
  } else if (sending_file_) {
    wake_file_waiter(nullptr);
  } else if (wrote_eof_) {
    shut_down();
  }
}

void SocketTransport::write_eof() {
  if (closing_.begun() || wrote_eof_) return;
  wrote_eof_ = true;
  if (buffer_.empty() && !sending_file_) shut_down();
}

// A peer that is gone has no need to be told.
void SocketTransport::shut_down() {
  if (sys::shutdown(fd_.get(), SHUT_WR) == 0 || errno == ENOTCONN) return;
  fatal_error(system_error(errno, "shutdown"), "Fatal write error on socket transport");
}

void SocketTransport::set_write_buffer_limits(std::optional<std::size_t> high,
                                              std::optional<std::size_t> low) {
  flow_.set_limits(high, low);
  flow_.maybe_pause(*this, protocol_.holder(), buffer_.size());
}

// --- The end. ---

void SocketTransport::close() {
  if (!closing_.begin()) return;
  stop_reading();
  if (buffer_.empty()) closing_.lose();
}

void SocketTransport::force_close(std::exception_ptr error) {
  if (closing_.lost()) return;
  stop_reading();
  write_watch_.disarm();
  buffer_.clear();
  closing_.lose(std::move(error));
}

// What the network does is no error of the program: connection_lost() is told of it, and nobody
// else. (asyncio: the same, by OSError.)
void SocketTransport::fatal_error(std::exception_ptr error, const char* message) {
  if (is_system_error(error)) {
    if (event_loop().get_debug()) note(message, error);
  } else {
    report(loop(), {.message = message,
                    .exception = error,
                    .transport = this,
                    .protocol = protocol_.get(),
                    .socket = fd_.get()});
  }
  force_close(std::move(error));
}

void SocketTransport::lose() {
  if (!fd_.is_open()) return;
  // Also if what it calls is cancelled.
  struct Finished {
    SocketTransport& transport;
    ~Finished() { transport.finish(); }
  } const finished{*this};
  fail_sendfile();
  tell_protocol(*this, protocol_.holder(), "Exception in callback connection_lost()",
                [this] { protocol_.get()->connection_lost(closing_.take_error()); });
}

void SocketTransport::finish() noexcept {
  if (!fd_.is_open()) return;
  stop_reading();
  write_watch_.disarm();
  disclaim_descriptor(loop(), fd_.get());
  fd_.close();
  buffer_.clear();
  protocol_.drop();
  if (ConnectionOwner* const owner = std::exchange(owner_, nullptr)) owner->detach(*this);
  let_go();
}

void SocketTransport::loop_closed() noexcept {
  closing_.lose_in_silence();
  finish();
}

void SocketTransport::set_protocol(std::shared_ptr<BaseProtocol> protocol) {
  protocol_.set(std::move(protocol));
}

std::any SocketTransport::extra_info(std::string_view name) const {
  if (name == extra_info::peername.name && !peer_.empty()) return peer_;
  if (!fd_.is_open()) return {};
  if (name == extra_info::socket.name) return fd_.get();
  if (name != extra_info::sockname.name) return {};
  const SocketAddress own = ask_address(fd_.get(), sys::getsockname);
  return own.empty() ? std::any() : std::any(own);
}

}  // namespace weft::loop::detail
