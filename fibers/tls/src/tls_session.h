// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// TLS as a state machine that never waits: bytes of the network are put in and taken out by hand.

#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <string_view>

#include "fibers/tls/src/openssl.h"

namespace weft::fibers::detail {

// What a step has come to: it is done, or wants more bytes from the network.
enum class Step : std::uint8_t { kDone, kWantRead };

class TlsSession {
 public:
  // `check_hostname`: the certificate has to be for `hostname`. `ctx` is kept alive.
  TlsSession(SSL_CTX& ctx, bool server_side, const std::string& hostname, bool check_hostname);

  // These throw SSLError. Any of them may leave something to be sent, also when it throws.
  Step handshake();
  // 0 bytes: the peer has said goodbye.
  Step read(std::span<std::byte> buffer, std::size_t& count);
  Step write(std::span<const std::byte> data);
  // Says goodbye.
  void say_goodbye();
  // The same; done when the peer has done so, too.
  Step shutdown();

  // What has come from the network, and that no more will.
  void feed(std::string_view data);
  void feed_eof();
  // What has to go there.
  std::size_t pending_output() const { return BIO_ctrl_pending(outgoing_); }
  void take_output(std::string& to);
  // What was fed and is not TLS any more.
  std::string take_trailing();

  SSL* ssl() const { return ssl_.get(); }

 private:
  Step result_of(int result, const char* doing);
  [[noreturn]] void throw_error(int error, const char* doing);
  bool has_input() const;

  SslPtr ssl_;
  BIO* incoming_;  // The SSL's.
  BIO* outgoing_;
  std::string hostname_;
  bool fed_eof_ = false;
  // Of a read that had to give out data first.
  std::exception_ptr read_error_;
};

}  // namespace weft::fibers::detail
