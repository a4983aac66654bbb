// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Whom to trust, and who one is: what TLS connections are made with.
//
//   auto context = SSLContext::client();                     // trusts whom this machine trusts
//   context.load_verify_locations("/etc/my/ca.pem");         // and these
//
//   auto context = SSLContext::server();
//   context.load_cert_chain("/etc/my/chain.pem", "/etc/my/key.pem");
//   context.set_alpn_protocols({"h2", "http/1.1"});

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weft/fibers/detail/requirements.h"

struct ssl_ctx_st;

namespace weft::fibers {

enum class TLSVersion : std::uint8_t { kTls12, kTls13 };
// Whether the peer has to prove who it is: need not, and if it does nobody looks; may, and then it
// has to be right; must.
enum class VerifyMode : std::uint8_t { kNone, kOptional, kRequired };

struct SSLClientOptions {
  // Trust the authorities that this machine trusts.
  bool system_trust_store = true;
};

// How an SSL_CTX is used that a program has made by itself.
struct SSLNativeOptions {
  // For accepting; else for connecting.
  bool server = false;
  // Clients only: the certificate has to be for the name that was asked for.
  bool check_hostname = true;
  // Lives as long as the context and its streams: what the SSL_CTX's callbacks refer to.
  std::shared_ptr<const void> keep_alive = nullptr;
};

// A handle: copies are the same configuration, which streams keep alive. What is changed counts for
// streams made afterwards. TLS 1.2 and later, without compression. All that can fail throws
// SSLError, with the name of the file that is to blame. The names are those of Python's
// ssl.SSLContext.
class SSLContext {
 public:
  // For connecting: the server has to have a certificate of an authority that is trusted, and for
  // the name that was asked for.
  static SSLContext client(const SSLClientOptions& options = {});
  // For accepting: give it a certificate. Clients need none.
  static SSLContext server();

  // What `ctx` is set up for, of which this holds a reference. What is changed by either counts for
  // both. The minimum version and compression are as they were set there; so are callbacks, which
  // must not rely on data that is put on each SSL. Throws UsageError for null, and for a client
  // that checks the host name but not the certificate.
  static SSLContext from_native(ssl_ctx_st* ctx, const SSLNativeOptions& options = {});

  bool is_server() const;

  // This side's certificate, followed by those between it and the authority, and its private key;
  // all PEM, and in one file if `key_file` is empty. `password` is for an encrypted key.
  void load_cert_chain(const std::string& cert_file, const std::string& key_file = {},
                       const std::string& password = {});
  // The same from text.
  void load_cert_chain_pem(std::string_view certificates, std::string_view key,
                           const std::string& password = {});

  // Authorities to trust: a PEM file, or a folder that c_rehash has prepared.
  void load_verify_locations(const std::string& path);
  // The same from text.
  void load_verify_pem(std::string_view certificates);

  // The protocols to be spoken inside, the favourite first: see SSLStream::selected_alpn_protocol.
  // A server decides, and goes on without if none suits. Throws UsageError for empty names and
  // names of more than 255 bytes, and for a context made by from_native(), whose SSL_CTX may
  // outlive what this sets.
  void set_alpn_protocols(const std::vector<std::string>& protocols);

  // In OpenSSL's notation; the first is for TLS 1.2, the second for 1.3.
  void set_ciphers(const std::string& ciphers);
  void set_ciphersuites(const std::string& suites);

  void set_minimum_version(TLSVersion version);
  void set_maximum_version(TLSVersion version);

  // Throws UsageError for a client that checks the host name but not the certificate.
  void set_verify_mode(VerifyMode mode);
  VerifyMode verify_mode() const;
  // Clients only: UsageError. What is left without: any certificate of a trusted authority will do.
  void set_check_hostname(bool check);
  bool check_hostname() const;

  // For everything else: OpenSSL's SSL_CTX, which stays ours.
  ssl_ctx_st* native_handle() const;

 private:
  struct State;
  explicit SSLContext(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace weft::fibers
