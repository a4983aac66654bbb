// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <string>

#include "loop/src/transports/transport_errors.h"
#include "weft/fibers/errors.h"
#include "weft/loop/detail/protocol_holder.h"

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
  if (protocol.get() == nullptr) return;
  const ProtocolHolder::Call call(protocol);
  BaseProtocol* const told = protocol.get();
  tell(transport, told, "protocol.pause_writing() failed", [told] { told->pause_writing(); });
}

void FlowControl::resume(TransportCore& transport, ProtocolHolder& protocol) {
  paused_ = false;
  if (protocol.get() == nullptr) return;
  const ProtocolHolder::Call call(protocol);
  BaseProtocol* const told = protocol.get();
  tell(transport, told, "protocol.resume_writing() failed", [told] { told->resume_writing(); });
}

}  // namespace weft::loop::detail
