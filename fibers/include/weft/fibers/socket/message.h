// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Messages with control data, for SocketType::sendmsg and recvmsg: descriptors over a Unix socket,
// where a datagram came in.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "weft/fibers/socket_address.h"

namespace weft::fibers::socket {

// A value: the level, type and bytes of a cmsg(3). Descriptors in a received SCM_RIGHTS message are
// close-on-exec and belong to the receiver.
struct ControlMessage {
  int level = 0;
  int type = 0;
  std::string data = {};
};

// What sendmsg() is to send. Refers to the bytes.
struct OutgoingMessage {
  std::vector<std::string_view> buffers;  // Sent one after the other, as one message.
  std::vector<ControlMessage> ancillary = {};
  int flags = 0;
  SocketAddress address = {};  // Empty: the socket's peer.
};

// What recvmsg() has received.
struct IncomingMessage {
  std::string data;      // Empty after recvmsg_into().
  std::size_t size = 0;  // How many bytes of the buffers were filled.
  std::vector<ControlMessage> ancillary;
  int flags = 0;  // MSG_TRUNC: the datagram was longer; MSG_CTRUNC: the control data was.
  SocketAddress address;
};

}  // namespace weft::fibers::socket
