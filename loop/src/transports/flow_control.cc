// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <string>

#include "weft/fibers/errors.h"
#include "weft/loop/detail/protocol_holder.h"
#include "weft/loop/detail/tell.h"

namespace weft::loop::detail {

void FlowControl::set_limits(std::optional<std::size_t> high, std::optional<std::size_t> low) {
  if (!high) high = low ? 4 * *low : kHigh;
  if (!low) low = *high / 4;
  if (*high < *low) {
    throw fibers::UsageError("high (" + std::to_string(*high) + ") must be >= low (" +
                             std::to_string(*low) + ")");
  }
  high_ = *high;
  low_ = *low;
}

void FlowControl::pause(TransportCore& transport, ProtocolHolder& protocol) {
  paused_ = true;
  tell_protocol(transport, protocol, "protocol.pause_writing() failed",
                [&] { protocol.get()->pause_writing(); });
}

void FlowControl::resume(TransportCore& transport, ProtocolHolder& protocol) {
  paused_ = false;
  tell_protocol(transport, protocol, "protocol.resume_writing() failed",
                [&] { protocol.get()->resume_writing(); });
}

}  // namespace weft::loop::detail
