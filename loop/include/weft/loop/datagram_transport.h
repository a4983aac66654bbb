// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// An endpoint for datagrams. create_datagram_endpoint() makes one (loop_datagrams.h).
//
//   struct Echo : DatagramProtocol {
//     void connection_made(DatagramTransport made) override { transport = std::move(made); }
//     void datagram_received(std::string_view data, const fibers::SocketAddress& from) override {
//       transport.sendto(data, from);
//     }
//     DatagramTransport transport;
//   };
//
// There is no end of a stream, and nothing to pause: what comes faster than it is received is lost.

#pragma once

#include <string_view>

#include "weft/fibers/socket_address.h"
#include "weft/loop/detail/datagram_core.h"
#include "weft/loop/protocol.h"
#include "weft/loop/transport.h"

namespace weft::loop {

// (asyncio.DatagramTransport.)
class DatagramTransport : public BaseTransport, public detail::BufferMethods<DatagramTransport> {
 public:
  DatagramTransport() = default;

  // Sends one datagram, which may be empty, to the remote address. If the system does not take it
  // at once it is copied into a buffer, to be sent later; there it counts 8 bytes besides its own.
  // Never waits; protocols hear of a full buffer by pause_writing(), and of a datagram that cannot
  // be sent by error_received(). On an endpoint that is closed it does nothing. Throws UsageError
  // if there is no remote address.
  //
  // Blocks: no, unless error_received() or pause_writing() does.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void sendto(std::string_view data) { endpoint().sendto(data, nullptr); }
  // To `addr`. Throws UsageError if the endpoint has another remote address.
  //
  // Blocks: no, unless error_received() or pause_writing() does.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void sendto(std::string_view data, const fibers::SocketAddress& addr) {
    endpoint().sendto(data, &addr);
  }

 private:
  friend struct TransportAccess;
  friend class detail::BufferMethods<DatagramTransport>;
  using BaseTransport::BaseTransport;
  detail::DatagramCore& endpoint() const { return static_cast<detail::DatagramCore&>(core()); }
};

}  // namespace weft::loop
