// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// TLS for the connections of the loop: what `ssl` is in their options.
//
//   SSLLayer ssl(fibers::SSLContext::client());
//   Transport tls = co_await start_tls(transport, protocol, ssl,
//                                      {.server_hostname = "example.org"});
//   if (const auto cipher = tls.get_extra_info(extra_info::cipher)) log(cipher->name);
//
// (asyncio: sslproto.)

#pragma once

#include <string>

#include "weft/loop/extra_info.h"
#include "weft/loop/transport_layer.h"
#include "weft/tls/certificate.h"
#include "weft/tls/ssl_context.h"
#include "weft/tls/ssl_stream.h"

struct ssl_st;

namespace weft::loop {

// A context, as a layer. What the protocol above sees is asyncio's:
//
// connection_made() comes when hands have been shaken. If that fails it never comes; whoever waits
// for the connection has fibers::SSLError, or its SSLCertVerificationError, or std::system_error:
// ECONNABORTED if it took longer than the handshake timeout, ECONNRESET if the peer went away.
//
// eof_received() comes when the peer has said goodbye, or has ended the connection without one: a
// protocol that must not be cut short has to know itself when it is complete. What it returns does
// not count: both directions end. close() says goodbye and waits for the peer's, which has the
// shutdown timeout to come; what comes before it is dropped. abort() says nothing.
//
// The transport has no write_eof(). It tells the protocol to pause_writing() above 512 KiB.
class SSLLayer : public TransportLayer {
 public:
  // Both ends have a context each: SSLContext::client() or SSLContext::server().
  explicit SSLLayer(const fibers::SSLContext& context) : context_(context) {}
  const fibers::SSLContext& context() const { return context_; }
  // Throws UsageError if the context is for the other side, if a client that checks host names has
  // none to check, or if a timeout is not positive.
  MadeLayer make(LayerRequest request) override;

 private:
  fibers::SSLContext context_;
};

// What a transport of TLS has besides. The others are those of the connection below.
namespace extra_info {
// NOLINTBEGIN(readability-identifier-naming): asyncio's names.
inline constexpr ExtraInfo<fibers::SSLContext> sslcontext{"sslcontext"};
// After the handshake. The peer's certificate, if it has shown one.
inline constexpr ExtraInfo<fibers::Certificate> peercert{"peercert"};
inline constexpr ExtraInfo<fibers::SSLCipher> cipher{"cipher"};
// OpenSSL's SSL, which stays the transport's. Do not read, write or shut down by it.
inline constexpr ExtraInfo<ssl_st*> ssl_object{"ssl_object"};
// Never there: TLS 1.3 has no compression, and contexts switch it off in 1.2.
inline constexpr ExtraInfo<std::string> compression{"compression"};
// NOLINTEND(readability-identifier-naming)
}  // namespace extra_info

}  // namespace weft::loop
