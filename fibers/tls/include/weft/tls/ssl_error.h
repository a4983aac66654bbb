// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What TLS itself has to complain about. In a BrokenResourceError of a stream it is the nested
// exception; configuring an SSLContext throws it as it is. The names are those of Python's ssl.

#pragma once

#include <stdexcept>
#include <string>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

class SSLError : public std::runtime_error {
 public:
  SSLError(const std::string& message, unsigned long code)
      : std::runtime_error(message), code_(code) {}
  // OpenSSL's own number for the error; 0 if it has none.
  unsigned long code() const { return code_; }

 private:
  unsigned long code_;
};

// The connection ended without a TLS goodbye: cut off by the peer, or by somebody in between.
class SSLEOFError : public SSLError {
  using SSLError::SSLError;
};

// The peer's certificate is not one to trust: the text says why.
class SSLCertVerificationError : public SSLError {
 public:
  SSLCertVerificationError(const std::string& message, unsigned long code, long verify_code)
      : SSLError(message, code), verify_code_(verify_code) {}
  // One of OpenSSL's X509_V_ERR_ constants.
  long verify_code() const { return verify_code_; }

 private:
  long verify_code_;
};

// This is known only after the handshake: call do_handshake() first. (Trio: NeedHandshakeError.)
class NeedHandshakeError : public std::runtime_error {
 public:
  NeedHandshakeError() : std::runtime_error("this is known after do_handshake() only") {}
};

}  // namespace weft::fibers
