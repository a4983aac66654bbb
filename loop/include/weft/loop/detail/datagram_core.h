// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What is behind a DatagramTransport. Not for use outside weft, but to implement one.

#pragma once

#include <string_view>

#include "weft/loop/detail/transport_core.h"

namespace weft::fibers {
class SocketAddress;
}

namespace weft::loop::detail {

class DatagramCore : public TransportCore {
 public:
  using TransportCore::TransportCore;

  // To `to`; null: to the remote address.
  virtual void sendto(std::string_view data, const fibers::SocketAddress* to) = 0;
};

}  // namespace weft::loop::detail
