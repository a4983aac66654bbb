// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/tls/src/ssl_core.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"

namespace weft::fibers::detail {

namespace {

// What is encrypted at once, and so how much memory a large send_all() takes on top.
constexpr std::size_t kSendPiece = 131072;

// A LockGuard that does not wait, and so does not let others run, if nobody holds the lock.
class Holding {
 public:
  explicit Holding(Lock& lock) : lock_(lock) {
    lock.locked() ? lock.acquire() : lock.acquire_nowait();
  }
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;
  ~Holding() { lock_.release(); }

 private:
  Lock& lock_;
};

}  // namespace

SslCore::SslCore(std::unique_ptr<Stream> transport, const SSLContext& context,
                 const SSLStreamOptions& options)
    : transport_(std::move(transport)),
      context_(context),
      options_(options),
      session_(*context.native_handle(), options.server_side, options.server_hostname,
               context.check_hostname()) {}

void SslCore::check_state() const {
  if (state_ == State::kClosed) throw ClosedResourceError("this SSLStream is closed");
  if (state_ == State::kBroken) {
    throw BrokenResourceError("this SSLStream broke before; it is only good for closing");
  }
}

SSL* SslCore::ssl_after_handshake() const {
  if (!shaken_) throw NeedHandshakeError();
  return session_.ssl();
}

// Does `op`, a step of the state machine, again and again until it is done; in between and
// afterwards sends what the machine wants to have sent, and receives what it wants to see. This is
// always a checkpoint. Several tasks may be in here, each with another op: what one receives may be
// what the other has been waiting for, and bytes to be sent are whoever's that gets to send them.
// So nothing that is pending here is lost when a task is cancelled while it waits.
template <class Op>
void SslCore::drive(Op&& op, const char* doing) {
  checkpoint_if_cancelled();
  bool yielded = false;
  for (Step step = Step::kWantRead; step == Step::kWantRead;) {
    try {
      step = op();
    } catch (const SSLError&) {
      cut_off_ = holds<SSLEOFError>(std::current_exception());
      break_off(doing);
    }
    if (has_output()) {
      flush();
      yielded = true;
    } else if (step == Step::kWantRead) {
      receive_more();
      yielded = true;
    }
  }
  if (!yielded) cancel_shielded_checkpoint();
}

// In the handler of an SSLError. The peer should be told why, if that can be done.
void SslCore::break_off(const char* doing) {
  const std::exception_ptr error = std::current_exception();
  state_ = State::kBroken;
  try {
    if (!cut_off_ && session_.pending_output() > 0) flush();
  } catch (const std::exception&) {
    // It does not listen any more. What has to be told is the first error.
  }
  try {
    std::rethrow_exception(error);
  } catch (const SSLError& cause) {
    std::throw_with_nested(BrokenResourceError(std::string(doing) + ": " + cause.what()));
  }
}

// Meanwhile another task may have sent what this one wants to have sent. Or it was cut short: what
// follows that makes no sense to the peer.
void SslCore::flush() {
  const Holding holding(send_lock_);
  if (torn_) check_state();
  while (session_.pending_output() > 0) {
    delayed_ = 0;
    const std::string output = session_.take_output();
    flushing_ = true;
    try {
      transport_->send_all(std::as_bytes(std::span(output)));
    } catch (...) {
      flushing_ = false;
      // Some of it was sent, and nobody knows how much: this connection is doomed.
      torn_ = true;
      if (state_ == State::kOpen) state_ = State::kBroken;
      throw;
    }
    flushing_ = false;
  }
}

// Waits for a task that is sending what this one wants to have sent. One that holds the lock
// because it waits for room may take for ever, and is told when the transport is closed.
void SslCore::wait_for_flush() {
  if (flushing_) const Holding holding(send_lock_);
}

// If another task is receiving already, lets it, and hopes that this helps.
void SslCore::receive_more() {
  const std::uint64_t count = receive_count_;
  const Holding holding(receive_lock_);
  if (count != receive_count_) return;
  // As a string, which has the size of what came: a connection that waits holds no buffer.
  std::string data = transport_->receive_some();
  ++receive_count_;
  if (data.empty()) {
    session_.feed_eof();
  } else {
    session_.feed(std::move(data));
  }
}

// With TLS 1.3 a server's last step is to offer tickets for the next time. If these were sent at
// once, and the client did not receive because it only ever sends, both might wait for ever. So
// they go with what is sent next.
void SslCore::shake_hands() {
  const auto step = [this] {
    const Step result = session_.handshake();
    if (result == Step::kDone && options_.server_side &&
        SSL_version(session_.ssl()) == TLS1_3_VERSION) {
      delayed_ = session_.pending_output();
    }
    return result;
  };
  try {
    drive(step, "TLS handshake failed");
  } catch (const std::exception&) {
    if (state_ == State::kOpen) state_ = State::kBroken;
    throw;
  }
  shaken_ = true;
}

// Who comes second waits. If the first is cancelled, the second goes on where that one was.
void SslCore::ensure_handshake() {
  if (shaken_) return;
  const Holding holding(handshake_lock_);
  check_state();
  if (!shaken_) shake_hands();
}

void SslCore::do_handshake() {
  checkpoint_if_cancelled();
  check_state();
  if (shaken_) return checkpoint();
  ensure_handshake();
}

void SslCore::send_all(std::span<const std::byte> data) {
  checkpoint_if_cancelled();
  const ConflictDetector::Use use(sending_);
  check_state();
  ensure_handshake();
  // TLS takes nothing for an end.
  if (data.empty()) return checkpoint();
  while (!data.empty()) {
    const std::span piece = data.first(std::min(data.size(), kSendPiece));
    drive([&] { return session_.write(piece); }, "TLS send failed");
    data = data.subspan(piece.size());
  }
}

// Another task may be sending while it receives. That is nobody's mistake; to wait for it is right,
// since a send_all() would have to. It may also begin to as soon as this returns: early is allowed.
void SslCore::wait_send_all_might_not_block() {
  checkpoint_if_cancelled();
  const ConflictDetector::Use use(sending_);
  check_state();
  const Holding holding(send_lock_);
  check_state();
  transport_->wait_send_all_might_not_block();
}

// What has been decrypted is for the next call if this one is cut short: it may have to send, for
// the sake of the protocol, and to wait for its turn.
std::size_t SslCore::receive(std::span<std::byte> buffer) {
  std::size_t count = 0;
  if (!unread_.empty()) {
    checkpoint();
    const std::string_view unread = unread_;
    count = unread.copy(static_cast<char*>(static_cast<void*>(buffer.data())), buffer.size());
    unread_.erase(0, count);
    return count;
  }
  try {
    drive([&] { return session_.read(buffer, count); }, "TLS receive failed");
  } catch (...) {
    unread_.assign(static_cast<const char*>(static_cast<const void*>(buffer.data())), count);
    throw;
  }
  return count;
}

std::size_t SslCore::receive_some(std::span<std::byte> buffer) {
  checkpoint_if_cancelled();
  if (buffer.empty()) throw UsageError("receive_some() needs room for at least one byte");
  const ConflictDetector::Use use(receiving_);
  if (!ended_without_goodbye() || state_ == State::kClosed) {
    check_state();
    try {
      ensure_handshake();
      return receive(buffer);
    } catch (const BrokenResourceError&) {
      if (!ended_without_goodbye()) throw;
    }
  }
  checkpoint();
  return 0;
}

void SslCore::send_goodbye() {
  try {
    ensure_handshake();
    say_goodbye();
  } catch (const ClosedResourceError&) {
    // Another task that was closing it, too, has given up saying goodbye.
    if (state_ != State::kClosed) throw;
  }
}

// The goodbye may be one that another task is sending: it has to be out before anybody closes.
void SslCore::say_goodbye() {
  try {
    drive(
        [this] {
          session_.say_goodbye();
          return Step::kDone;
        },
        "TLS shutdown failed");
    wait_for_flush();
  } catch (const BrokenResourceError&) {
    // The peer is gone already.
  } catch (const BusyResourceError&) {
  }
}

void SslCore::aclose() {
  if (state_ == State::kClosed) return checkpoint();
  if (state_ == State::kBroken || options_.https_compatible) {
    state_ = State::kClosed;
    return transport_->aclose();
  }
  try {
    send_goodbye();
  } catch (...) {
    state_ = State::kClosed;
    if (transport_ != nullptr) aclose_forcefully(*transport_);
    throw;
  }
  state_ = State::kClosed;
  // Meanwhile another task's unwrap() may have been answered: the transport is its caller's.
  if (transport_ != nullptr) transport_->aclose();
}

SSLStream::Unwrapped SslCore::unwrap() {
  checkpoint_if_cancelled();
  const ConflictDetector::Use receive(receiving_);
  const ConflictDetector::Use send(sending_);
  check_state();
  ensure_handshake();
  drive(
      [this] {
        if (!unread_.empty()) throw SSLError("data has come that was not received", 0);
        return session_.shutdown();
      },
      "TLS shutdown failed");
  // An aclose() that has come first is using the transport.
  wait_for_flush();
  check_state();
  state_ = State::kClosed;
  return {.transport_stream = std::move(transport_), .trailing_bytes = session_.take_trailing()};
}

}  // namespace weft::fibers::detail
