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
#include <utility>

#include "fibers/tls/session/network_bio.h"
#include "fibers/tls/session/openssl.h"

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
  void feed(std::string data) { network_.feed(std::move(data)); }
  void feed_eof() { network_.feed_eof(); }
  // feed() without a copy, for the steps until take_back().
  void lend(std::string_view data) noexcept { network_.lend(data); }
  void take_back() { network_.take_back(); }
  // What has been fed and not been used.
  std::size_t pending_input() const { return network_.pending_input(); }
  // Whether another read() may give something, without more being fed.
  bool readable() const { return has_input() || read_error_ != nullptr || untold_goodbye_; }
  // What has to go there.
  std::size_t pending_output() const { return network_.pending_output(); }
  std::string take_output() { return network_.take_output(); }
  // What was fed and is not TLS any more.
  std::string take_trailing() { return network_.take_input(); }

  SSL* ssl() const { return ssl_.get(); }

 private:
  Step result_of(int result, const char* doing);
  [[noreturn]] void throw_error(int error, const char* doing);
  bool has_input() const;

  NetworkBio network_;  // Before the SSL, whose BIO refers to it.
  SslPtr ssl_;
  std::string hostname_;
  // Of a read that had to give out data first; and that it met the peer's goodbye.
  std::exception_ptr read_error_;
  bool untold_goodbye_ = false;
};

}  // namespace weft::fibers::detail
