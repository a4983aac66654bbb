// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/tls/ssl_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <system_error>
#include <utility>

#include "fibers/tls/session/openssl.h"
#include "weft/fibers/errors.h"

namespace weft::fibers {

using detail::BioPtr;
using detail::KeyPtr;
using detail::SslCtxPtr;
using detail::throw_ssl_error;
using detail::X509Ptr;

struct SSLContext::State {
  SslCtxPtr ctx;
  bool server = false;
  bool check_hostname = false;
  std::string alpn;  // As on the wire: each name after a byte with its length.
  bool native = false;
  std::shared_ptr<const void> keep_alive = nullptr;
};

namespace {

int version_number(TLSVersion version) {
  return version == TLSVersion::kTls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

SslCtxPtr make_ctx() {
  ERR_clear_error();
  SslCtxPtr ctx(SSL_CTX_new(TLS_method()));
  if (ctx == nullptr) throw_ssl_error("making a TLS context");
  SSL_CTX_set_min_proto_version(ctx.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(ctx.get(), SSL_OP_NO_COMPRESSION);
  // What idle connections need not hold is given back.
  SSL_CTX_set_mode(ctx.get(), SSL_MODE_RELEASE_BUFFERS);
  return ctx;
}

std::string read_file(const std::string& path, const char* what) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad()) {
    throw SSLError(std::string("cannot read the ") + what + " in '" + path +
                       "': " + std::generic_category().message(errno),
                   0);
  }
  return text;
}

// Without one there is no question on the terminal, as OpenSSL would have it, but an error.
int give_password(char* buffer, int size, int /*writing*/, void* password) {
  const auto& text = *static_cast<const std::string*>(password);
  if (text.size() > static_cast<std::size_t>(size)) return -1;
  return static_cast<int>(text.copy(buffer, text.size()));
}

X509Ptr next_certificate(BIO& bio) {
  return X509Ptr(PEM_read_bio_X509(&bio, nullptr, &give_password, nullptr));
}

// After the last certificate of a text: that there is no more is not an error, anything else is.
void need_end_of_pem(const std::string& doing) {
  const unsigned long error = ERR_peek_last_error();
  if (ERR_GET_LIB(error) != ERR_LIB_PEM || ERR_GET_REASON(error) != PEM_R_NO_START_LINE) {
    throw_ssl_error(doing);
  }
  ERR_clear_error();
}

void use_chain(SSL_CTX& ctx, std::string_view text, const std::string& doing) {
  ERR_clear_error();
  const BioPtr bio = detail::bio_of(text);
  const X509Ptr own = next_certificate(*bio);
  if (own == nullptr || SSL_CTX_use_certificate(&ctx, own.get()) != 1) throw_ssl_error(doing);
  SSL_CTX_clear_chain_certs(&ctx);
  while (X509Ptr next = next_certificate(*bio)) {
    if (SSL_CTX_add0_chain_cert(&ctx, next.get()) != 1) throw_ssl_error(doing);
    static_cast<void>(next.release());  // The context's now.
  }
  need_end_of_pem(doing);
}

void use_key(SSL_CTX& ctx, std::string_view text, std::string password, const std::string& doing) {
  ERR_clear_error();
  const BioPtr bio = detail::bio_of(text);
  const KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, &give_password, &password));
  if (key == nullptr || SSL_CTX_use_PrivateKey(&ctx, key.get()) != 1) throw_ssl_error(doing);
}

std::string wire_format(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const std::string& protocol : protocols) {
    if (protocol.empty() || protocol.size() > 255) {
      throw UsageError("the ALPN protocol '" + protocol + "' has to have 1 to 255 bytes");
    }
    wire += static_cast<char>(protocol.size());
    wire += protocol;
  }
  return wire;
}

const unsigned char* bytes(const std::string& text) {
  return static_cast<const unsigned char*>(static_cast<const void*>(text.data()));
}

// The server's favourite of what the client offers; none of them is no reason to hang up.
int select_alpn(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size,
                const unsigned char* offered, unsigned int offered_size, void* wire) {
  const auto& ours = *static_cast<const std::string*>(wire);
  unsigned char* selected = nullptr;
  const int result =
      SSL_select_next_proto(&selected, out_size, bytes(ours),
                            static_cast<unsigned int>(ours.size()), offered, offered_size);
  *out = selected;
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

}  // namespace

SSLContext::SSLContext(std::shared_ptr<State> state) : state_(std::move(state)) {}

SSLContext SSLContext::client(const SSLClientOptions& options) {
  auto state = std::make_shared<State>();
  state->ctx = make_ctx();
  state->check_hostname = true;
  SSL_CTX_set_verify(state->ctx.get(), SSL_VERIFY_PEER, nullptr);
  if (options.system_trust_store && SSL_CTX_set_default_verify_paths(state->ctx.get()) != 1) {
    throw_ssl_error("reading this machine's trusted certificates");
  }
  return SSLContext(std::move(state));
}

SSLContext SSLContext::server() {
  auto state = std::make_shared<State>();
  state->ctx = make_ctx();
  state->server = true;
  // Without an identity sessions of clients with certificates cannot be resumed.
  static constexpr unsigned char kIdentity[] = {'w', 'e', 'f', 't'};
  SSL_CTX_set_session_id_context(state->ctx.get(), kIdentity, sizeof kIdentity);
  return SSLContext(std::move(state));
}

SSLContext SSLContext::from_native(ssl_ctx_st* ctx, const SSLNativeOptions& options) {
  if (ctx == nullptr) throw UsageError("from_native() needs an SSL_CTX, and this one is null");
  auto state = std::make_shared<State>();
  SSL_CTX_up_ref(ctx);
  state->ctx.reset(ctx);
  state->server = options.server;
  state->native = true;
  state->keep_alive = options.keep_alive;
  SSLContext made(std::move(state));
  if (!options.server) made.set_check_hostname(options.check_hostname);
  return made;
}

bool SSLContext::is_server() const {
  return state_->server;
}
bool SSLContext::check_hostname() const {
  return state_->check_hostname;
}
ssl_ctx_st* SSLContext::native_handle() const {
  return state_->ctx.get();
}

void SSLContext::load_cert_chain(const std::string& cert_file, const std::string& key_file,
                                 const std::string& password) {
  const std::string& key_path = key_file.empty() ? cert_file : key_file;
  SSL_CTX& ctx = *native_handle();
  use_chain(ctx, read_file(cert_file, "certificate chain"),
            "cannot use the certificate chain in '" + cert_file + "'");
  const std::string doing = "cannot use the private key in '" + key_path + "'";
  use_key(ctx, read_file(key_path, "private key"), password, doing);
  if (SSL_CTX_check_private_key(&ctx) != 1) {
    throw_ssl_error(doing + " with the certificate in '" + cert_file + "'");
  }
}

void SSLContext::load_cert_chain_pem(std::string_view certificates, std::string_view key,
                                     const std::string& password) {
  SSL_CTX& ctx = *native_handle();
  use_chain(ctx, certificates, "cannot use the certificate chain");
  use_key(ctx, key, password, "cannot use the private key");
  if (SSL_CTX_check_private_key(&ctx) != 1) {
    throw_ssl_error("cannot use the private key with this certificate");
  }
}

void SSLContext::load_verify_locations(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) {
    try {
      return load_verify_pem(read_file(path, "trusted certificates"));
    } catch (const SSLError& error) {
      if (error.code() == 0) throw;
      throw SSLError("'" + path + "': " + error.what(), error.code());
    }
  }
  ERR_clear_error();
  if (SSL_CTX_load_verify_dir(native_handle(), path.c_str()) != 1) {
    throw_ssl_error("cannot use the trusted certificates in '" + path + "'");
  }
}

void SSLContext::load_verify_pem(std::string_view certificates) {
  const std::string doing = "cannot use the trusted certificates";
  ERR_clear_error();
  const BioPtr bio = detail::bio_of(certificates);
  X509_STORE* store = SSL_CTX_get_cert_store(native_handle());
  int count = 0;
  while (const X509Ptr next = next_certificate(*bio)) {
    if (X509_STORE_add_cert(store, next.get()) != 1) throw_ssl_error(doing);
    ++count;
  }
  if (count == 0) throw_ssl_error(doing);
  need_end_of_pem(doing);
}

void SSLContext::set_alpn_protocols(const std::vector<std::string>& protocols) {
  if (state_->native) {
    throw UsageError(
        "set the ALPN protocols of this context on its own SSL_CTX, which may outlive"
        " it");
  }
  state_->alpn = wire_format(protocols);
  const std::string& wire = state_->alpn;
  SSL_CTX_set_alpn_protos(native_handle(), bytes(wire), static_cast<unsigned int>(wire.size()));
  SSL_CTX_set_alpn_select_cb(native_handle(), wire.empty() ? nullptr : &select_alpn, &state_->alpn);
}

void SSLContext::set_ciphers(const std::string& ciphers) {
  ERR_clear_error();
  if (SSL_CTX_set_cipher_list(native_handle(), ciphers.c_str()) != 1) {
    throw_ssl_error("cannot use the ciphers '" + ciphers + "'");
  }
}

void SSLContext::set_ciphersuites(const std::string& suites) {
  ERR_clear_error();
  if (SSL_CTX_set_ciphersuites(native_handle(), suites.c_str()) != 1) {
    throw_ssl_error("cannot use the cipher suites '" + suites + "'");
  }
}

void SSLContext::set_minimum_version(TLSVersion version) {
  SSL_CTX_set_min_proto_version(native_handle(), version_number(version));
}
void SSLContext::set_maximum_version(TLSVersion version) {
  SSL_CTX_set_max_proto_version(native_handle(), version_number(version));
}

void SSLContext::set_verify_mode(VerifyMode mode) {
  if (mode == VerifyMode::kNone && state_->check_hostname) {
    throw UsageError(
        "a client that does not verify certificates cannot check the host name;"
        " call set_check_hostname(false) first, if that is what you want");
  }
  int flags = SSL_VERIFY_NONE;
  if (mode != VerifyMode::kNone) flags |= SSL_VERIFY_PEER;
  if (mode == VerifyMode::kRequired) flags |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(native_handle(), flags, nullptr);
}

VerifyMode SSLContext::verify_mode() const {
  const int flags = SSL_CTX_get_verify_mode(native_handle());
  if ((flags & SSL_VERIFY_PEER) == 0) return VerifyMode::kNone;
  // A client never gets away without a server's certificate.
  const bool required = !state_->server || (flags & SSL_VERIFY_FAIL_IF_NO_PEER_CERT) != 0;
  return required ? VerifyMode::kRequired : VerifyMode::kOptional;
}

void SSLContext::set_check_hostname(bool check) {
  if (check && state_->server) throw UsageError("a client's certificate has no host name to check");
  if (check && verify_mode() == VerifyMode::kNone) {
    throw UsageError(
        "checking the host name needs certificates to be verified;"
        " call set_verify_mode(VerifyMode::kRequired) first");
  }
  state_->check_hostname = check;
}

}  // namespace weft::fibers
