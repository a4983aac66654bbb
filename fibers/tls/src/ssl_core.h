// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What an SSLStream is inside: it drives the state machine of tls_session.h by the transport.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "fibers/tls/session/tls_session.h"
#include "weft/fibers/conflict_detector.h"
#include "weft/fibers/lock.h"
#include "weft/fibers/stream.h"
#include "weft/tls/ssl_context.h"
#include "weft/tls/ssl_stream.h"

namespace weft::fibers::detail {

class SslCore {
 public:
  SslCore(std::unique_ptr<Stream> transport, const SSLContext& context,
          const SSLStreamOptions& options);

  void do_handshake();
  void send_all(std::span<const std::byte> data);
  void wait_send_all_might_not_block();
  std::size_t receive_some(std::span<std::byte> buffer);
  void aclose();
  SSLStream::Unwrapped unwrap();

  Stream* transport() const { return transport_.get(); }
  const SSLContext& context() const { return context_; }
  const SSLStreamOptions& options() const { return options_; }
  SSL* ssl() const { return session_.ssl(); }
  // Throws NeedHandshakeError.
  SSL* ssl_after_handshake() const;

 private:
  enum class State : std::uint8_t { kOpen, kBroken, kClosed };

  void check_state() const;
  void ensure_handshake();
  void shake_hands();
  template <class Op>
  void drive(Op&& op, const char* doing);
  [[noreturn]] void break_off(const char* doing);
  bool has_output() const { return session_.pending_output() > delayed_; }
  void flush();
  void receive_more();
  bool ended_without_goodbye() const { return options_.https_compatible && cut_off_; }
  void send_goodbye();
  void say_goodbye();
  void wait_for_flush();
  std::size_t receive(std::span<std::byte> buffer);

  std::unique_ptr<Stream> transport_;
  SSLContext context_;
  SSLStreamOptions options_;
  TlsSession session_;
  State state_ = State::kOpen;
  bool shaken_ = false;   // Hands.
  bool cut_off_ = false;  // The transport ended without a goodbye.
  // How much of the pending output has to wait for company: see shake_hands().
  std::size_t delayed_ = 0;
  bool flushing_ = false;            // A flush() is sending.
  bool torn_ = false;                // A send was cut short. No longer open, then.
  std::uint64_t receive_count_ = 0;  // How often receive_more() has received.
  std::string unread_;               // Of a receive() that was cut short while it had to send.
  // One task may send, receive and shake hands for several.
  Lock handshake_lock_;
  Lock send_lock_;
  Lock receive_lock_;
  ConflictDetector sending_{"another task is sending on this SSLStream already"};
  ConflictDetector receiving_{"another task is receiving from this SSLStream already"};
};

}  // namespace weft::fibers::detail
