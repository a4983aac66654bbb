// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/src/pipes/pipe_transport.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "fibers/sys/sys.h"
#include "weft/fibers/errors.h"
#include "weft/loop/detail/tell.h"
#include "weft/loop/extra_info.h"
#include "weft/loop/transport.h"

namespace weft::loop::detail {

using fibers::FdDirection;
using fibers::detail::PlainFd;
namespace sys = fibers::sys;

PipeTransport::PipeTransport(LoopCore& loop, PlainFd fd, std::shared_ptr<BaseProtocol> protocol)
    : TransportCore(loop) {
  protocol_.set(std::move(protocol));
  struct stat about {};
  if (sys::fstat(fd.get(), &about) != 0) {
    throw std::system_error(errno, std::generic_category(), "a descriptor for a pipe transport");
  }
  is_socket_ = S_ISSOCK(about.st_mode);
  is_device_ = S_ISCHR(about.st_mode);
  if (!is_socket_ && !is_device_ && !S_ISFIFO(about.st_mode)) {
    throw fibers::UsageError(
        "Pipe transport is only for pipes, sockets and character devices; read and write files in "
        "a worker thread");
  }
  const int flags = sys::fcntl(fd.get(), F_GETFL, 0);
  if (flags < 0 || sys::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    throw std::system_error(errno, std::generic_category(), "a descriptor for a pipe transport");
  }
  const int number = fd.get();
  claim_descriptor(loop, number, *this);
  try {
    fd_ = run_of(loop).call([&] { return fibers::OwnedFd(fd.take()); });
  } catch (...) {
    disclaim_descriptor(loop, number);
    throw;
  }
}

PipeTransport::~PipeTransport() {
  release_fd();
}

void PipeTransport::release_fd() noexcept {
  stop();
  if (!fd_.is_open()) return;
  disclaim_descriptor(loop(), fd_.get());
  fd_.close();
}

void PipeTransport::begin(Future<void> made) {
  waiter_ = std::move(made);
  keep_open();
  schedule();
}

std::any PipeTransport::extra_info(std::string_view name) const {
  if (name == extra_info::pipe.name && fd_.is_open()) return fd_.get();
  return {};
}

void PipeTransport::set_protocol(std::shared_ptr<BaseProtocol> protocol) {
  protocol_.set(std::move(protocol));
}

void PipeTransport::watch(fibers::FdWatch& watch, FdDirection direction, void (*told)(void*)) {
  run_of(loop()).call([&] { watch.arm(fd_, direction, told, this); });
}

void PipeTransport::turn() {
  if (!made_) return make();
  if (!closing_.lost()) ready();
}

void PipeTransport::make() {
  made_ = true;
  tell_protocol(
      *this, protocol_.holder(), "protocol.connection_made() failed",
      [this] { protocol_.connection_made(TransportAccess::share<Transport>(*this)); },
      [this] { made(); });
}

void PipeTransport::made() {
  if (!fd_.is_open()) return;
  try {
    opened();
  } catch (...) {
    fatal_error(std::current_exception(), "a pipe cannot be watched");
  }
  wake(waiter_);
}

void PipeTransport::close_with(std::exception_ptr error) {
  if (closing_.lost()) return;
  stop();
  closing_.lose(std::move(error));
}

void PipeTransport::fatal_error(std::exception_ptr error, const char* message) {
  report(loop(),
         {.message = message, .exception = error, .transport = this, .protocol = protocol_.get()});
  close_with(std::move(error));
}

void PipeTransport::finish() {
  // Whatever comes out of the protocol, and also if it waits and is cancelled.
  struct AtEnd {
    PipeTransport& self;
    ~AtEnd() {
      self.release_fd();
      self.protocol_.drop();
      self.let_go();
    }
  } const at_end{*this};
  if (!std::exchange(at_eof_, false)) return tell_lost();
  tell_protocol(
      *this, protocol_.holder(), "protocol.eof_received() failed",
      [this] { protocol_.eof_received(); }, [this] { tell_lost(); });
}

void PipeTransport::tell_lost() {
  tell_protocol(*this, protocol_.holder(), "protocol.connection_lost() failed",
                [this] { protocol_.get()->connection_lost(closing_.take_error()); });
}

void PipeTransport::loop_closed() noexcept {
  closing_.lose_in_silence();
  release_fd();
  protocol_.drop();
  waiter_ = {};
}

}  // namespace weft::loop::detail
