// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <cerrno>

#include "fibers/sys/sys.h"
#include "loop/src/pipes/pipe_transport.h"
#include "loop/src/transports/transport_errors.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/loop/detail/tell.h"

namespace weft::loop::detail {

namespace sys = fibers::sys;

namespace {
// So that one pipe that is written to all the time leaves the others their turns.
constexpr int kReadsATurn = 16;
}  // namespace

// Before the first edge there may be data, or the end.
void ReadPipe::opened() {
  watch(watch_, fibers::FdDirection::kRead, &on_edge);
  schedule();
}

void ReadPipe::resume_reading() {
  if (closing_.begun() || !paused_) return;
  paused_ = false;
  schedule();
}

// Up to the EAGAIN, also after a short read: the end may have come in the same edge.
void ReadPipe::ready() {
  for (int reads = 0; reads < kReadsATurn; ++reads) {
    if (!is_reading() || !read_once()) return;
  }
  schedule();
}

// False if there is nothing more to read.
bool ReadPipe::read_once() {
  try {
    if (BufferedProtocol* const buffered = protocol_.buffered()) {
      const ProtocolHolder::Call call(protocol_.holder());
      const std::span<std::byte> buffer = buffered->get_buffer(0);
      if (buffer.empty()) throw fibers::UsageError("get_buffer() returned an empty buffer");
      const std::ptrdiff_t count = read_into(buffer.data(), buffer.size());
      if (count > 0) buffered->buffer_updated(static_cast<std::size_t>(count));
      return count > 0;
    }
    const ReadBuffer buffer(loop());
    const std::ptrdiff_t count = read_into(buffer.data(), kReadBufferSize);
    if (count <= 0) return false;
    const ProtocolHolder::Call call(protocol_.holder());
    protocol_.plain()->data_received({buffer.data(), static_cast<std::size_t>(count)});
    return true;
  } catch (const fibers::Cancelled&) {
    close_with(nullptr);
    throw;
  } catch (const fibers::KeyboardInterrupt&) {
    schedule();  // There may be more.
    throw;
  } catch (...) {
    fatal_error(std::current_exception(), "Fatal error: protocol.data_received() call failed.");
    return false;
  }
}

// -1 where it has failed, or would have to wait; 0 at the end. Both have been seen to.
std::ptrdiff_t ReadPipe::read_into(void* data, std::size_t size) {
  const ssize_t count = sys::uninterrupted([&] { return sys::read(fd(), data, size); });
  if (count > 0) return count;
  if (count == 0) {
    at_eof_ = true;
    close_with(nullptr);
  } else if (errno == EIO && is_device()) {
    // The other side of a pseudo-terminal is gone: its way of saying that this is the end.
    close_with(system_error(EIO, "read"));
  } else if (errno != EAGAIN) {
    fatal_error(system_error(errno, "read"), "Fatal read error on pipe transport");
  }
  return count;
}

}  // namespace weft::loop::detail
