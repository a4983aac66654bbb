// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <span>

#include "fibers/sys/sys.h"
#include "loop/src/pipes/pipe_transport.h"
#include "loop/src/transports/transport_errors.h"
#include "weft/fibers/detail/write_without_signal.h"

namespace weft::loop::detail {

using fibers::FdDirection;
namespace sys = fibers::sys;

// A terminal's other side says nothing when it goes. The peer may have gone already, and then there
// is no other edge.
void WritePipe::opened() {
  if (closing_.begun() || is_device()) return;
  watch(peer_watch_, FdDirection::kRead, &on_peer_edge);
  on_peer_edge(this);
}

void WritePipe::on_peer_edge(void* self) {
  auto& pipe = *static_cast<WritePipe*>(self);
  pipe.peer_edge_ = true;
  pipe.schedule();
}

// The system had no memory to answer, and there is no other edge.
void WritePipe::ask_again_soon() {
  peer_edge_ = true;
  schedule();
}

// An edge may also be data, which nobody reads here.
bool WritePipe::peer_has_closed() {
  pollfd asked{.fd = fd(), .events = POLLRDHUP, .revents = 0};
  const int found = sys::uninterrupted([&] { return sys::poll(&asked, 1, 0); });
  if (found < 0) ask_again_soon();
  return found > 0 && (asked.revents & (POLLERR | POLLHUP | POLLRDHUP)) != 0;
}

void WritePipe::ready() {
  if (std::exchange(peer_edge_, false) && peer_has_closed()) {
    return close_with(write_buffer_size() > 0 ? system_error(EPIPE, "write to a pipe") : nullptr);
  }
  if (write_buffer_size() > 0) flush();
}

// How much the system has taken: 0 if it would have to wait, -1 and an errno if it has failed.
std::ptrdiff_t WritePipe::write_some(std::string_view data) {
  const std::span bytes = std::as_bytes(std::span(data));
  const ssize_t count = sys::uninterrupted([&] {
    return is_socket() ? sys::send(fd(), data.data(), data.size(), MSG_NOSIGNAL)
                       : fibers::detail::write_without_signal(fd(), bytes);
  });
  return count < 0 && errno == EAGAIN ? 0 : count;
}

void WritePipe::write(std::string_view data) {
  if (data.empty()) return;
  if (closing_.begun()) {
    return closing_.drop_write(
        "pipe closed by peer or write() to a pipe has failed; what is written to it is dropped");
  }
  const bool was_empty = write_buffer_size() == 0;
  // Until the system would have to wait: only after that does it report that there is room again.
  while (was_empty) {
    const std::ptrdiff_t count = write_some(data);
    if (count < 0) return write_failed(errno);
    if (count == 0) break;
    data.remove_prefix(static_cast<std::size_t>(count));
    if (data.empty()) return;
  }
  try {
    buffer_.append(data);
    if (was_empty) watch(watch_, FdDirection::kWrite, &on_edge);
  } catch (...) {
    // A part may have been sent: what comes after it would be taken for the rest.
    close_with(std::current_exception());
    throw;
  }
  flow_.maybe_pause(*this, protocol_.holder(), write_buffer_size());
}

void WritePipe::writelines(std::span<const std::string_view> pieces) {
  for (const std::string_view piece : pieces) write(piece);
}

void WritePipe::flush() {
  while (write_buffer_size() > 0) {
    const std::ptrdiff_t count = write_some(std::string_view(buffer_).substr(sent_));
    if (count < 0) return write_failed(errno);
    if (count == 0) break;
    sent_ += static_cast<std::size_t>(count);
  }
  if (write_buffer_size() == 0) {
    watch_.disarm();
    buffer_.clear();
    sent_ = 0;
  } else if (sent_ > buffer_.size() / 2) {
    buffer_.erase(0, sent_);
    sent_ = 0;
  }
  flow_.maybe_resume(*this, protocol_.holder(), write_buffer_size());
  if (closing_.begun() && write_buffer_size() == 0) close_with(nullptr);
}

// Usual enough for nobody but connection_lost() to hear of it.
void WritePipe::write_failed(int error) {
  close_with(system_error(error, "write to a pipe"));
}

void WritePipe::write_eof() {
  if (!closing_.begin()) return;
  if (write_buffer_size() == 0) close_with(nullptr);
}

void WritePipe::set_write_buffer_limits(std::optional<std::size_t> high,
                                        std::optional<std::size_t> low) {
  flow_.set_limits(high, low);
  flow_.maybe_pause(*this, protocol_.holder(), write_buffer_size());
}

void WritePipe::stop() noexcept {
  PipeTransport::stop();
  peer_watch_.disarm();
  buffer_.clear();
  sent_ = 0;
}

}  // namespace weft::loop::detail
