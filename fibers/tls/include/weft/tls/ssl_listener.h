// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A listener whose connections talk TLS.
//
//   SSLListener listener(std::move(socket_listener), context);
//   SSLStream stream = listener.accept();

#pragma once

#include <utility>

#include "weft/fibers/errors.h"
#include "weft/fibers/listener.h"
#include "weft/fibers/socket.h"
#include "weft/tls/ssl_context.h"
#include "weft/tls/ssl_stream.h"

namespace weft::fibers {

struct SSLListenerOptions {
  // See SSLStreamOptions.
  bool https_compatible = false;
};

// Over a listener of any kind of streams. A resource that can be moved while nobody uses it. (Trio:
// SSLListener.)
template <class Transport = SocketListener>
class SSLListener final : public Listener<SSLStream> {
 public:
  // Throws UsageError if the context is not a server's.
  explicit SSLListener(Transport listener, SSLContext server_context,
                       const SSLListenerOptions& options = {})
      : transport_listener(std::move(listener)),
        context_(std::move(server_context)),
        options_(options) {
    if (!context_.is_server()) {
      throw UsageError("an SSLListener needs a context made by SSLContext::server()");
    }
  }

  // The next connection. Hands are shaken when it is used: here one slow client would keep all
  // others waiting.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: no connection is lost.
  // Threads: the run's own only.
  SSLStream accept() override {
    return SSLStream(transport_listener.accept(), context_,
                     {.server_side = true, .https_compatible = options_.https_compatible});
  }

  // Blocks: yes, always a checkpoint.
  // Cancel: after closing.
  // Threads: the run's own only.
  void aclose() override { transport_listener.aclose(); }

  Transport transport_listener;

 private:
  SSLContext context_;
  SSLListenerOptions options_;
};

}  // namespace weft::fibers
