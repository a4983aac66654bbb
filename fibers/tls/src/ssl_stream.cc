// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/tls/ssl_stream.h"

#include <array>
#include <stdexcept>
#include <utility>

#include "fibers/tls/session/openssl.h"
#include "fibers/tls/src/ssl_core.h"
#include "weft/fibers/errors.h"

namespace weft::fibers {

namespace {

void check_arguments(const Stream* transport, const SSLContext& context,
                     const SSLStreamOptions& options) {
  if (transport == nullptr) throw UsageError("an SSLStream needs a stream to talk over");
  if (options.server_side != context.is_server()) {
    throw UsageError(options.server_side
                         ? "server_side needs a context made by SSLContext::server()"
                         : "a client needs a context made by SSLContext::client(); did you forget"
                           " .server_side = true?");
  }
  if (options.server_hostname.find('\0') != std::string::npos) {
    throw UsageError("a server_hostname must not contain a zero byte");
  }
  if (context.check_hostname() && options.server_hostname.empty()) {
    throw UsageError(
        "this SSLContext checks host names: give the SSLStream a server_hostname, or call"
        " set_check_hostname(false) on the context");
  }
}

// "tls-unique" (RFC 5929): the first Finished message of the handshake.
std::string tls_unique(SSL* ssl, bool server_side) {
  std::array<char, EVP_MAX_MD_SIZE> data{};
  const bool ours = server_side == (SSL_session_reused(ssl) == 1);
  const std::size_t size = ours ? SSL_get_finished(ssl, data.data(), data.size())
                                : SSL_get_peer_finished(ssl, data.data(), data.size());
  return {data.data(), size};
}

// RFC 9266.
std::string tls_exporter(SSL* ssl) {
  constexpr std::string_view kLabel = "EXPORTER-Channel-Binding";
  std::array<unsigned char, 32> data{};
  if (SSL_export_keying_material(ssl, data.data(), data.size(), kLabel.data(), kLabel.size(),
                                 nullptr, 0, 1) != 1) {
    detail::throw_ssl_error("TLS channel binding");
  }
  return {data.begin(), data.end()};
}

}  // namespace

SSLStream::SSLStream(std::unique_ptr<Stream> transport, const SSLContext& context,
                     const SSLStreamOptions& options) {
  check_arguments(transport.get(), context, options);
  core_ = std::make_unique<detail::SslCore>(std::move(transport), context, options);
}
SSLStream::SSLStream(SSLStream&&) noexcept = default;
SSLStream& SSLStream::operator=(SSLStream&&) noexcept = default;
SSLStream::~SSLStream() = default;

// Of a call that may suspend: Cancelled comes first.
detail::SslCore& SSLStream::core_to_wait() const {
  if (core_ == nullptr) checkpoint_if_cancelled();
  return core();
}

detail::SslCore& SSLStream::core() const {
  if (core_ == nullptr) throw ClosedResourceError("this SSLStream was moved away");
  return *core_;
}

void SSLStream::do_handshake() {
  core_to_wait().do_handshake();
}
void SSLStream::send_all(std::span<const std::byte> data) {
  core_to_wait().send_all(data);
}
void SSLStream::wait_send_all_might_not_block() {
  core_to_wait().wait_send_all_might_not_block();
}
std::size_t SSLStream::receive_some(std::span<std::byte> buffer) {
  return core_to_wait().receive_some(buffer);
}
void SSLStream::aclose() {
  core_to_wait().aclose();
}
SSLStream::Unwrapped SSLStream::unwrap() {
  return core_to_wait().unwrap();
}

Stream& SSLStream::transport_stream() const {
  Stream* transport = core().transport();
  if (transport == nullptr) throw ClosedResourceError("unwrap() has given the transport away");
  return *transport;
}
const SSLContext& SSLStream::context() const {
  return core().context();
}
bool SSLStream::server_side() const {
  return core().options().server_side;
}
const std::string& SSLStream::server_hostname() const {
  return core().options().server_hostname;
}
ssl_st* SSLStream::native_handle() const {
  return core().ssl();
}

std::string SSLStream::version() const {
  return SSL_get_version(core().ssl_after_handshake());
}

SSLCipher SSLStream::cipher() const {
  const SSL_CIPHER* used = SSL_get_current_cipher(core().ssl_after_handshake());
  return {.name = SSL_CIPHER_get_name(used),
          .protocol = SSL_CIPHER_get_version(used),
          .secret_bits = SSL_CIPHER_get_bits(used, nullptr)};
}

std::optional<std::string> SSLStream::selected_alpn_protocol() const {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(core().ssl_after_handshake(), &name, &size);
  if (name == nullptr) return std::nullopt;
  return std::string(name, name + size);
}

std::optional<Certificate> SSLStream::getpeercert() const {
  const detail::X509Ptr shown(SSL_get1_peer_certificate(core().ssl_after_handshake()));
  if (shown == nullptr) return std::nullopt;
  return detail::read_certificate(*shown);
}

std::string SSLStream::get_channel_binding(std::string_view type) const {
  SSL* ssl = core().ssl_after_handshake();
  if (type == "tls-unique") return tls_unique(ssl, server_side());
  if (type == "tls-exporter") return tls_exporter(ssl);
  throw UsageError("channel bindings are \"tls-unique\" and \"tls-exporter\", not \"" +
                   std::string(type) + '"');
}

}  // namespace weft::fibers
