// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/tls/session/tls_session.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <utility>

#include "weft/fibers/errors.h"

namespace weft::fibers::detail {

namespace {

bool is_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> ignored{};
  return ::inet_pton(AF_INET, host.c_str(), ignored.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), ignored.data()) == 1;
}

// The name as DNS and certificates know it: "xn--bcher-kva.example" for "bücher.example". By the
// rules of getaddrinfo(), so that both ask for the same host.
std::string ascii_name(const std::string& host) {
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::all_of(host.begin(), host.end(), is_ascii)) return host;
  char* name = nullptr;
  const int result = idn2_to_ascii_8z(host.c_str(), &name, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
  const std::unique_ptr<char, void (*)(void*)> owner(name, &idn2_free);
  if (result == IDN2_MALLOC) throw std::bad_alloc();
  if (result != IDN2_OK) {
    throw UsageError("'" + host + "' cannot be a host name: " + idn2_strerror(result));
  }
  return name;
}

// What the certificate has to be for, and which one to ask a server for that has several.
void expect_host(SSL& ssl, const std::string& wanted, bool check) {
  std::string host = ascii_name(wanted);
  if (is_address(host)) {
    X509_VERIFY_PARAM* param = SSL_get0_param(&ssl);
    if (check && X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) != 1) throw std::bad_alloc();
    return;
  }
  if (host.starts_with('.') || host.find("..") != std::string::npos) {
    throw UsageError("'" + wanted + "' cannot be a host name: it has an empty label");
  }
  // The root's dot is for the resolver only.
  if (host.size() > 1 && host.back() == '.') host.pop_back();
  if (host.empty()) return;
  // SSL_set_tlsext_host_name(), without its cast.
  if (SSL_ctrl(&ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, host.data()) != 1) {
    throw UsageError("'" + wanted + "' cannot be a host name");
  }
  SSL_set_hostflags(&ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (check && SSL_set1_host(&ssl, host.c_str()) != 1) throw std::bad_alloc();
}

}  // namespace

TlsSession::TlsSession(SSL_CTX& ctx, bool server_side, const std::string& hostname,
                       bool check_hostname)
    : ssl_(SSL_new(&ctx)), hostname_(hostname) {
  if (ssl_ == nullptr) throw std::bad_alloc();
  // A write that has to be tried again comes from the same data, but maybe from another place. The
  // context may be one that knows nothing of that.
  SSL_set_mode(ssl_.get(), SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  BIO* bio = network_.make_bio().release();
  SSL_set_bio(ssl_.get(), bio, bio);  // Both ways: takes one reference.
  if (server_side) {
    SSL_set_accept_state(ssl_.get());
  } else {
    SSL_set_connect_state(ssl_.get());
    expect_host(*ssl_, hostname, check_hostname);
  }
}

bool TlsSession::has_input() const {
  return SSL_pending(ssl_.get()) > 0 || network_.pending_input() > 0;
}

void TlsSession::throw_error(int error, const char* doing) {
  network_.rethrow();
  const unsigned long code = ERR_peek_error();
  const bool cut_off = ERR_GET_LIB(code) == ERR_LIB_SSL &&
                       ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
  if (cut_off || (error == SSL_ERROR_SYSCALL && network_.fed_eof())) {
    ERR_clear_error();
    throw SSLEOFError(std::string(doing) + ": the peer ended the connection without a goodbye",
                      code);
  }
  unsigned long ignored = 0;
  const std::string text = last_error_text(ignored);
  const long verified = SSL_get_verify_result(ssl_.get());
  if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    std::string reason = X509_verify_cert_error_string(verified);
    if (verified == X509_V_ERR_HOSTNAME_MISMATCH || verified == X509_V_ERR_IP_ADDRESS_MISMATCH) {
      reason += ", certificate is not valid for '" + hostname_ + '\'';
    }
    throw SSLCertVerificationError(std::string(doing) + ": " + text + ": " + reason, code,
                                   verified);
  }
  throw SSLError(std::string(doing) + ": " + text, code);
}

Step TlsSession::result_of(int result, const char* doing) {
  if (result > 0) return Step::kDone;
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ) return Step::kWantRead;
  throw_error(error, doing);
}

Step TlsSession::handshake() {
  ERR_clear_error();
  return result_of(SSL_do_handshake(ssl_.get()), "TLS handshake");
}

// One call of OpenSSL gives one record at most, of 16 KiB; usually several have come at once.
Step TlsSession::read(std::span<std::byte> buffer, std::size_t& count) {
  if (read_error_ != nullptr) std::rethrow_exception(std::exchange(read_error_, nullptr));
  count = 0;
  untold_goodbye_ = false;  // OpenSSL says it again.
  do {
    ERR_clear_error();
    std::size_t got = 0;
    const int result = SSL_read_ex(ssl_.get(), buffer.data() + count, buffer.size() - count, &got);
    if (result == 1) {
      count += got;
      continue;
    }
    if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_ZERO_RETURN) {
      untold_goodbye_ = count > 0;
      return Step::kDone;
    }
    try {
      const Step step = result_of(result, "TLS read");
      return count > 0 ? Step::kDone : step;
    } catch (const SSLError&) {
      if (count == 0) throw;
      read_error_ = std::current_exception();
      return Step::kDone;
    }
  } while (count < buffer.size() && has_input());
  return Step::kDone;
}

Step TlsSession::write(std::span<const std::byte> data) {
  ERR_clear_error();
  std::size_t ignored = 0;
  return result_of(SSL_write_ex(ssl_.get(), data.data(), data.size(), &ignored), "TLS write");
}

void TlsSession::say_goodbye() {
  ERR_clear_error();
  const int result = SSL_shutdown(ssl_.get());
  if (result < 0) result_of(result, "TLS shutdown");
}

Step TlsSession::shutdown() {
  ERR_clear_error();
  int result = SSL_shutdown(ssl_.get());
  // 0: said goodbye, and nothing heard. Only a second call listens.
  if (result == 0) result = SSL_shutdown(ssl_.get());
  return result_of(result, "TLS shutdown");
}

}  // namespace weft::fibers::detail
