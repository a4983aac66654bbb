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

// A value: the level and type of cmsg(3), and the bytes of it. Descriptors in an SCM_RIGHTS message
// that was received are close-on-exec and belong to whoever received them.
struct ControlMessage {
  int level = 0;
  int type = 0;
  std::string data = {};
};

// What sendmsg() is to send. Refers to the bytes.
struct OutgoingMessage {
  std::vector<std::string_view> buffers;  // Sent one after the other, as one.
  std::vector<ControlMessage> ancillary = {};
  int flags = 0;
  SocketAddress address = {};  // Empty: to whom the socket is connected.
};

// What recvmsg() has received.
struct IncomingMessage {
  std::string data;      // Empty after recvmsg_into().
  std::size_t size = 0;  // How much of the buffers was filled.
  std::vector<ControlMessage> ancillary;
  int flags = 0;  // MSG_TRUNC: the datagram was longer; MSG_CTRUNC: the control data was.
  SocketAddress address;
};

}  // namespace weft::fibers::socket
