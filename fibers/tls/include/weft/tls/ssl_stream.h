// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// TLS over any stream.
//
//   SSLStream stream(std::move(socket), SSLContext::client(), {.server_hostname = "example.org"});
//   stream.send_all("...");                  // shakes hands first, and so does receive_some()
//
// To connect, or to serve, in one go: ssl_over_tcp.h.

#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "weft/fibers/stream.h"
#include "weft/tls/certificate.h"
#include "weft/tls/ssl_context.h"
#include "weft/tls/ssl_error.h"

struct ssl_st;

namespace weft::fibers {

namespace detail {
class SslCore;
}

struct SSLStreamOptions {
  // Whom a client expects: what to ask the server for, and what its certificate has to be for. A
  // name or an IP address. Needed unless the context does not check it. A name that is not ASCII
  // must be UTF-8; IDNA 2008 converts it, as in getaddrinfo(). (Python: IDNA 2003.) UsageError if
  // it cannot be a host name.
  std::string server_hostname = {};
  bool server_side = false;
  // As HTTPS does it: close without a goodbye, and take the peer's end without one for an end. Only
  // for protocols that know themselves when they are complete: an attacker can cut things short.
  bool https_compatible = false;
};

struct SSLCipher {
  std::string name;      // "TLS_AES_256_GCM_SHA384"
  std::string protocol;  // "TLSv1.3"
  int secret_bits = 0;
};

// One task may send while another receives, although either may have to do the other for the sake
// of the protocol. After an error of TLS or of the transport in the middle of sending everything
// but closing is BrokenResourceError, with the SSLError nested in it. A resource that can be moved,
// and destroyed, while nobody uses it; the destructor closes the transport without a goodbye.
// (Trio: SSLStream.)
class SSLStream final : public Stream {
 public:
  // Owns `transport`. Throws UsageError if the context is for the other side, or if a client that
  // checks host names has none to check.
  SSLStream(std::unique_ptr<Stream> transport, const SSLContext& context,
            const SSLStreamOptions& options);
  template <std::derived_from<Stream> T>
  SSLStream(T transport, const SSLContext& context, const SSLStreamOptions& options)
      : SSLStream(std::unique_ptr<Stream>(std::make_unique<T>(std::move(transport))), context,
                  options) {}
  SSLStream(SSLStream&&) noexcept;
  SSLStream& operator=(SSLStream&&) noexcept;
  ~SSLStream() override;

  // Agrees with the peer on how to talk, unless that has been done. Sending, receiving and closing
  // do it by themselves; it is for those who want to know first with whom they talk.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: goes on at the next call, unless something was just being sent.
  // Threads: the run's own only.
  void do_handshake();

  // Blocks: yes, always a checkpoint.
  // Cancel: an unknown part has been sent; the stream is then only good for closing.
  // Threads: the run's own only.
  void send_all(std::span<const std::byte> data) override;
  using SendStream::send_all;
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has happened.
  // Threads: the run's own only.
  void wait_send_all_might_not_block() override;
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has been received; may have to send, see above.
  // Threads: the run's own only.
  std::size_t receive_some(std::span<std::byte> buffer) override;
  using ReceiveStream::receive_some;

  // Says goodbye, without waiting for the answer, and closes the transport. If no hands were
  // shaken, that is done first. With https_compatible, or when the stream is broken, only closes.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: closes at once, without a goodbye.
  // Threads: the run's own only.
  void aclose() override;

  struct Unwrapped {
    std::unique_ptr<Stream> transport_stream;
    // What has been received from it and is not TLS any more.
    std::string trailing_bytes;
  };
  // Ends TLS by goodbyes on both sides and gives back the stream below; this one counts as closed.
  // What the peer has sent before has to have been received. Counts as sending and receiving.
  //
  // Blocks: yes, until the peer has said goodbye.
  // Cancel: goes on at the next call, unless something was just being sent.
  // Threads: the run's own only.
  Unwrapped unwrap();

  // The stream below. Throws ClosedResourceError after unwrap().
  Stream& transport_stream() const;
  // The same by its type, or std::bad_cast.
  template <std::derived_from<Stream> T>
  T& transport_stream() const {
    return dynamic_cast<T&>(transport_stream());
  }
  const SSLContext& context() const;
  bool server_side() const;
  // As it was given.
  const std::string& server_hostname() const;

  // These throw NeedHandshakeError before the handshake.
  std::string version() const;  // "TLSv1.3"
  SSLCipher cipher() const;
  // What both sides speak inside, if they have agreed on something.
  std::optional<std::string> selected_alpn_protocol() const;
  // The peer's, if it has shown one.
  std::optional<Certificate> getpeercert() const;
  // Something that only these two sides know, to tie what is said inside to this connection:
  // "tls-unique", which is only good with TLS 1.2, or "tls-exporter" (RFC 9266). Throws UsageError
  // for others.
  std::string get_channel_binding(std::string_view type = "tls-unique") const;

  // For everything else: OpenSSL's SSL, which stays ours. Do not read, write or shut down by it.
  ssl_st* native_handle() const;

 private:
  detail::SslCore& core() const;
  detail::SslCore& core_to_wait() const;
  std::unique_ptr<detail::SslCore> core_;
};

}  // namespace weft::fibers
