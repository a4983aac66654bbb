// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What a connection of TLS sends, holds up, and tells the protocol above of its end.

#include <cerrno>
#include <chrono>
#include <new>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>

#include "loop/tls/src/ssl_connection.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/log.h"
#include "weft/loop/detail/tell.h"
#include "weft/loop/event_loop.h"
#include "weft/loop_tls/ssl_layer.h"

namespace weft::loop::detail {

namespace {

constexpr std::size_t kReadHighWater = std::size_t{256} << 10;
constexpr std::size_t kReadLowWater = kReadHighWater / 4;
constexpr std::size_t kIgnoredWrites = 5;  // Before the log says so.

// std::bad_alloc, if there is no memory for it: whoever waits is to hear of something.
std::exception_ptr handshake_timeout(fibers::Duration timeout) noexcept {
  try {
    std::ostringstream text;
    text << "SSL handshake is taking longer than " << std::chrono::duration<double>(timeout).count()
         << " seconds: aborting the connection";
    return std::make_exception_ptr(
        std::system_error(ECONNABORTED, std::generic_category(), text.str()));
  } catch (const std::exception&) {
    return std::current_exception();
  }
}

std::exception_ptr shutdown_timeout() noexcept {
  try {
    return std::make_exception_ptr(
        std::system_error(ETIMEDOUT, std::generic_category(), "SSL shutdown timed out"));
  } catch (const std::bad_alloc&) {
    return std::current_exception();
  }
}

}  // namespace

// --- Sending. ---

bool SslConnection::refuses_write() {
  if (state_ == State::kHandshake || state_ == State::kWrapped) return false;
  if (ignored_writes_++ >= kIgnoredWrites) {
    fibers::detail::log_quietly(fibers::LogLevel::kWarning,
                                [] { return std::string("SSL connection is closed"); });
  }
  return true;
}

void SslConnection::write(std::string_view data) {
  if (data.empty() || refuses_write()) return;
  const Transport self = TransportAccess::share(*this);
  if (state_ == State::kHandshake || !backlog_.empty()) {
    backlog_ += data;
  } else if (!encrypt(data)) {
    return;
  }
  conclude_write();
}

// Small pieces share a record.
void SslConnection::writelines(std::span<const std::string_view> pieces) {
  std::string joined;
  for (const std::string_view piece : pieces) joined += piece;
  write(joined);
}

// A record that has been begun cannot be taken back, also if it is memory that has run out. In TLS
// 1.2 the peer may want another handshake at any time: nothing of the data is sent until that is
// done.
bool SslConnection::encrypt(std::string_view data) {
  try {
    if (session_.write(std::as_bytes(std::span(data))) == fibers::detail::Step::kWantRead) {
      backlog_ = data;
    }
    return true;
  } catch (const std::exception&) {
    fatal_error(std::current_exception(), "Fatal error on SSL protocol");
    return false;
  }
}

void SslConnection::send_backlog() {
  if (backlog_.empty() || (state_ != State::kWrapped && state_ != State::kFlushing)) return;
  if (encrypt(std::exchange(backlog_, {}))) conclude_write();
}

void SslConnection::conclude_write() {
  flush();
  control_writing();
}

// At the end everything goes to the connection below, which sends it before it closes.
void SslConnection::flush() {
  const bool held_up = below_full_ && state_ != State::kShutdown;
  if (!below_ || held_up || session_.pending_output() == 0) return;
  const std::string output = session_.take_output();
  try {
    below_.write(output);
  } catch (const std::exception&) {
    // The peer misses a record, and could not decrypt the next.
    fatal_error(std::current_exception(), "Fatal error on SSL protocol");
  }
}

void SslConnection::resume_below() {
  const Transport self = TransportAccess::share(*this);
  below_full_ = false;
  conclude_write();
}

void SslConnection::control_writing() {
  if (!told_made_) return;
  flow_.maybe_pause(*this, app_.holder(), write_buffer_size());
  flow_.maybe_resume(*this, app_.holder(), write_buffer_size());
}

void SslConnection::set_write_buffer_limits(std::optional<std::size_t> high,
                                            std::optional<std::size_t> low) {
  if (!high && !low) high = kReadHighWater * 2;
  flow_.set_limits(high, low);
  control_writing();
}

// --- Receiving. ---

void SslConnection::control_reading() {
  if (!below_) return;
  const std::size_t held = session_.pending_input();
  if (!below_paused_ && held >= kReadHighWater) {
    below_paused_ = true;
    below_.pause_reading();
  } else if (below_paused_ && held <= kReadLowWater) {
    below_paused_ = false;
    below_.resume_reading();
  }
}

void SslConnection::pause_reading() {
  app_paused_ = true;
}

void SslConnection::resume_reading() {
  if (std::exchange(app_paused_, false)) resume_turn_.schedule();
}

void SslConnection::set_protocol(std::shared_ptr<BaseProtocol> protocol) {
  app_.set(std::move(protocol));
}

// --- The end. ---

void SslConnection::close() {
  const Transport self = TransportAccess::share(*this);
  closing_ = true;
  dropping_ = true;
  start_shutdown();
  pump();
}

void SslConnection::force_close(std::exception_ptr error) {
  closing_ = true;
  state_ = State::kUnwrapped;
  if (below_) TransportAccess::core(below_).force_close(std::move(error));
}

void SslConnection::tell_eof() {
  if (app_.get() == nullptr || std::exchange(told_eof_, true)) return;
  const ProtocolHolder::Call call(app_.holder());
  try {
    if (!app_.eof_received() || app_.get() == nullptr) return;
    fibers::detail::log_quietly(fibers::LogLevel::kWarning, [] {
      return std::string("returning true from eof_received() has no effect when using ssl");
    });
  } catch (const fibers::Cancelled&) {
    throw;
  } catch (const fibers::KeyboardInterrupt&) {
    throw;
  } catch (...) {
    fatal_error(std::current_exception(), "Error calling eof_received()");
  }
}

void SslConnection::tell_lost() {
  tell_protocol(
      *this, app_.holder(), "protocol.connection_lost() failed",
      [this] { app_.get()->connection_lost(std::exchange(lost_by_, nullptr)); },
      [this] {
        app_.drop();
        let_go();
      });
}

// The timers do not hold the connection: it cancels them before it goes.
void SslConnection::check_handshake_timeout() {
  if (state_ != State::kHandshake) return;
  fail_handshake(handshake_timeout(handshake_timeout_));
}

void SslConnection::check_shutdown_timeout() {
  const Transport self = TransportAccess::share(*this);
  if (below_) force_close(shutdown_timeout());
}

void SslConnection::cancel_timers() noexcept {
  if (handshake_timer_) handshake_timer_.cancel();
  if (shutdown_timer_) shutdown_timer_.cancel();
}

// The peer is told why, if it listens.
void SslConnection::fail_handshake(const std::exception_ptr& error) {
  const Transport self = TransportAccess::share(*this);
  cancel_timers();
  const bool untrusted = fibers::holds<fibers::SSLCertVerificationError>(error);
  fatal_error(error, untrusted ? "SSL handshake failed on verifying the certificate"
                               : "SSL handshake failed");
  wake_waiter(error);
}

// Errors of TLS and of the system are the connection's, and connection_lost() tells of them. What
// else there is, is the program's, and is reported.
void SslConnection::fatal_error(const std::exception_ptr& error, const char* message) {
  flush();
  force_close(error);
  const bool of_connection =
      fibers::holds<fibers::SSLError>(error) || fibers::holds<std::system_error>(error);
  if (!of_connection) {
    report(loop(),
           {.message = message, .exception = error, .transport = this, .protocol = app_.get()});
  } else if (event_loop().get_debug()) {
    fibers::detail::log_quietly(fibers::LogLevel::kInfo, [&] {
      return std::string(message) + ": " + fibers::describe_exception(error);
    });
  }
}

void SslConnection::wake_waiter(const std::exception_ptr& error) noexcept {
  Future<void> waiter = std::exchange(waiter_, {});
  if (!waiter || waiter.done()) return;
  try {
    error == nullptr ? waiter.set_result() : waiter.set_exception(error);
  } catch (const fibers::UsageError&) {
    // The loop is closed: the future is done, and no callback of the loop will hear of it.
  }
}

// --- What there is to know. ---

std::any SslConnection::extra_info(std::string_view name) const {
  if (name == extra_info::sslcontext.name) return context_;
  SSL* const ssl = session_.ssl();
  if (shaken_ && name == extra_info::ssl_object.name) return ssl;
  if (shaken_ && name == extra_info::cipher.name) {
    const SSL_CIPHER* const used = SSL_get_current_cipher(ssl);
    return fibers::SSLCipher{.name = SSL_CIPHER_get_name(used),
                             .protocol = SSL_CIPHER_get_version(used),
                             .secret_bits = SSL_CIPHER_get_bits(used, nullptr)};
  }
  if (shaken_ && name == extra_info::peercert.name) {
    const fibers::detail::X509Ptr shown(SSL_get1_peer_certificate(ssl));
    if (shown == nullptr) return {};
    return fibers::detail::read_certificate(*shown);
  }
  return below_ ? TransportAccess::core(below_).extra_info(name) : std::any();
}

}  // namespace weft::loop::detail
