// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/src/datagrams/datagram_socket.h"

#include <sys/socket.h>

#include <cerrno>
#include <new>
#include <string>

#include "fibers/sys/sys.h"
#include "loop/src/transports/transport_errors.h"
#include "weft/fibers/errors.h"
#include "weft/loop/datagram_transport.h"
#include "weft/loop/detail/tell.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {

// NOLINTNEXTLINE(performance-unnecessary-value-param): who overrides it takes it over.
void DatagramProtocol::connection_made(DatagramTransport) {}

namespace detail {

using fibers::FdDirection;
using fibers::SocketAddress;
namespace sys = fibers::sys;

DatagramSocket::DatagramSocket(LoopCore& loop, DatagramGiven& given)
    : DatagramCore(loop), waiter_(std::move(given.waiter)), remote_(given.remote) {}

DatagramSocket* DatagramSocket::make(LoopCore& loop, DatagramGiven given) {
  require_open(loop);
  auto* const endpoint = new DatagramSocket(loop, given);
  try {
    endpoint->set_protocol(std::move(given.protocol));
    endpoint->open(std::move(given.fd));
  } catch (...) {
    endpoint->release();
    throw;
  }
  return endpoint;
}

// The descriptor is registered once, for both directions. What is there already is reported by the
// first poll after that, so nothing has to be tried first.
void DatagramSocket::open(UniqueFd fd) {
  const int number = fd.get();
  claim_descriptor(loop(), number, *this);
  try {
    peer_ = ask_address(number, sys::getpeername);
    // If the system cannot tell, it is taken for one: trying again does no harm.
    const int family = ask_address(number, sys::getsockname).family();
    unix_ = family != AF_INET && family != AF_INET6;
    run_of(loop()).call([&] {
      fd_ = fibers::OwnedFd(fd.release());
      read_watch_.arm(
          fd_, FdDirection::kRead,
          [](void* self) {
            auto& endpoint = *static_cast<DatagramSocket*>(self);
            if (endpoint.made_) endpoint.reading_.schedule();
          },
          this);
    });
  } catch (...) {
    disclaim_descriptor(loop(), number);
    throw;
  }
  keep_open();
  reading_.schedule();
}

// --- Receiving. ---

void DatagramSocket::read_ready() {
  if (!made_) return begin();
  if (closing_.begun()) return;
  receive();
}

// Whatever has come meanwhile is looked for in the next turn.
void DatagramSocket::begin() {
  made_ = true;
  reading_.schedule();
  tell_protocol(
      *this, holder_, "Exception in callback connection_made()",
      [this] { protocol_->connection_made(TransportAccess::share<DatagramTransport>(*this)); },
      [this] { wake(waiter_); });
}

// One datagram a turn, as in asyncio: others have theirs before the next. The turn that finds none
// costs less than recvmmsg() does, which would tell that there are no more. Each turn asks for the
// next one before it calls the protocol, which may throw or be cancelled.
void DatagramSocket::receive() {
  std::optional<ReadBuffer> buffer;
  try {
    buffer.emplace(loop());
  } catch (const std::bad_alloc&) {
    return fatal_error(std::current_exception());
  }
  SocketAddress from;
  auto size = static_cast<socklen_t>(SocketAddress::capacity());
  const ssize_t count = sys::uninterrupted([&] {
    return sys::recvfrom(fd_.get(), buffer->data(), kReadBufferSize, 0, from.data(), &size);
  });
  const int error = count < 0 ? errno : 0;
  if (error == EAGAIN || error == EWOULDBLOCK) return;
  reading_.schedule();
  if (error != 0) return tell_error(error, "recvfrom");
  from.set_size(size);
  tell_protocol(*this, holder_, "Exception in callback datagram_received()", [&] {
    protocol_->datagram_received({buffer->data(), static_cast<std::size_t>(count)}, from);
  });
}

void DatagramSocket::tell_error(int error, const char* call_name) {
  tell_protocol(*this, holder_, "Exception in callback error_received()",
                [&] { protocol_->error_received(system_error(error, call_name)); });
}

// --- Sending. ---

void DatagramSocket::sendto(std::string_view data, const SocketAddress* to) {
  if (to != nullptr && to->empty()) to = nullptr;
  if (!remote_.empty()) {
    if (to != nullptr && *to != remote_) {
      throw fibers::UsageError("Invalid address: must be None or " + remote_.to_string());
    }
    to = &remote_;
  }
  if (to == nullptr && peer_.empty()) {
    throw fibers::UsageError("this endpoint has no remote address: give sendto() one");
  }
  if (closing_.lost()) return closing_.drop_write("socket.send() raised exception.");
  if (queue_.empty()) {
    const int error = send(data, to);
    if (error == 0) return;
    if (error != EAGAIN) return tell_error(error, "sendto");
  }
  wait_for_room();
  queue_.push(data, to);
  flow_.maybe_pause(*this, holder_, queue_.size());
}

int DatagramSocket::send(std::string_view data, const SocketAddress* to) {
  const ssize_t count = sys::uninterrupted([&] {
    // A socket that is connected takes no address: the system would refuse some.
    if (!peer_.empty()) return sys::send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL);
    return sys::sendto(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL, to->data(),
                       static_cast<socklen_t>(to->size()));
  });
  if (count >= 0) return 0;
  return errno == EWOULDBLOCK ? EAGAIN : errno;
}

// A Unix socket that is not connected is refused because the receiver's queue is full. The system
// tells nobody when that has room again, so it has to be tried.
void DatagramSocket::wait_for_room() noexcept {
  constexpr fibers::Duration kRetry = std::chrono::milliseconds(1);
  try {
    if (unix_ && peer_.empty()) {
      if (retry_) return;
      retry_ = event_loop().call_later(kRetry, [this] {
        retry_ = {};
        writing_.schedule();
      });
    } else if (!write_watch_.armed()) {
      run_of(loop()).call([this] {
        write_watch_.arm(
            fd_, FdDirection::kWrite,
            [](void* self) { static_cast<DatagramSocket*>(self)->writing_.schedule(); }, this);
      });
    }
  } catch (const std::bad_alloc&) {
    writing_.schedule();  // Without memory for a timer the next iteration tries again.
  }
}

void DatagramSocket::stop_waiting_for_room() noexcept {
  write_watch_.disarm();
  if (retry_) std::exchange(retry_, {}).cancel();
}

// Until the system would have to wait, or the protocol has to be told of an error.
bool DatagramSocket::flush() {
  while (!queue_.empty()) {
    const DatagramQueue::Datagram& first = queue_.front();
    const int error = send(first.data, &first.to);
    if (error == EAGAIN) {
      wait_for_room();
      return false;
    }
    queue_.pop();
    if (error == 0) continue;
    writing_.schedule();
    tell_error(error, "sendto");
    return false;
  }
  return true;
}

void DatagramSocket::write_ready() {
  if (closing_.lost()) return;
  flush();
  // What these call may have closed the endpoint, or have sent more.
  if (closing_.lost()) return;
  flow_.maybe_resume(*this, holder_, queue_.size());
  if (closing_.lost() || !queue_.empty()) return;
  stop_waiting_for_room();
  if (closing_.begun()) closing_.lose();
}

void DatagramSocket::set_write_buffer_limits(std::optional<std::size_t> high,
                                             std::optional<std::size_t> low) {
  flow_.set_limits(high, low);
  flow_.maybe_pause(*this, holder_, queue_.size());
}

// --- The end. ---

void DatagramSocket::close() {
  if (!closing_.begin()) return;
  stop_reading();
  if (queue_.empty()) closing_.lose();
}

void DatagramSocket::force_close(std::exception_ptr error) {
  if (closing_.lost()) return;
  stop_reading();
  stop_waiting_for_room();
  queue_.clear();
  closing_.lose(std::move(error));
}

void DatagramSocket::fatal_error(std::exception_ptr error) {
  report(loop(), {.message = "Fatal read error on datagram transport",
                  .exception = error,
                  .transport = this,
                  .protocol = protocol_,
                  .socket = fd_.get()});
  force_close(std::move(error));
}

void DatagramSocket::lose() {
  if (!fd_.is_open()) return;
  // Also if what it calls is cancelled.
  struct Finished {
    DatagramSocket& endpoint;
    ~Finished() { endpoint.finish(); }
  } const finished{*this};
  tell_protocol(*this, holder_, "Exception in callback connection_lost()",
                [this] { protocol_->connection_lost(closing_.take_error()); });
}

void DatagramSocket::finish() noexcept {
  if (!fd_.is_open()) return;
  stop_reading();
  stop_waiting_for_room();
  disclaim_descriptor(loop(), fd_.get());
  fd_.close();
  queue_.clear();
  protocol_ = nullptr;
  holder_.drop();
  let_go();
}

void DatagramSocket::loop_closed() noexcept {
  closing_.lose_in_silence();
  finish();
}

void DatagramSocket::set_protocol(std::shared_ptr<BaseProtocol> protocol) {
  auto* const datagrams = dynamic_cast<DatagramProtocol*>(protocol.get());
  if (datagrams == nullptr) {
    throw fibers::UsageError(
        protocol == nullptr ? "a transport needs a protocol"
                            : "a transport of datagrams needs a DatagramProtocol; this is none");
  }
  holder_.set(std::move(protocol));
  protocol_ = datagrams;
}

std::any DatagramSocket::extra_info(std::string_view name) const {
  if (name == extra_info::peername.name && !peer_.empty()) return peer_;
  if (!fd_.is_open()) return {};
  if (name == extra_info::socket.name) return fd_.get();
  if (name != extra_info::sockname.name) return {};
  const SocketAddress own = ask_address(fd_.get(), sys::getsockname);
  return own.empty() ? std::any() : std::any(own);
}

}  // namespace detail
}  // namespace weft::loop
