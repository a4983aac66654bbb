// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <string>

#include "weft/fibers/cancelled.h"
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
  try {
    told->pause_writing();
  } catch (const fibers::Cancelled&) {
    throw;
  } catch (const fibers::KeyboardInterrupt&) {
    throw;
  } catch (...) {
    report(transport.loop(), {.message = "protocol.pause_writing() failed",
                              .exception = std::current_exception(),
                              .transport = &transport,
                              .protocol = told});
  }
}

void FlowControl::resume(TransportCore& transport, ProtocolHolder& protocol) {
  paused_ = false;
  if (protocol.get() == nullptr) return;
  const ProtocolHolder::Call call(protocol);
  BaseProtocol* const told = protocol.get();
  try {
    told->resume_writing();
  } catch (const fibers::Cancelled&) {
    throw;
  } catch (const fibers::KeyboardInterrupt&) {
    throw;
  } catch (...) {
    report(transport.loop(), {.message = "protocol.resume_writing() failed",
                              .exception = std::current_exception(),
                              .transport = &transport,
                              .protocol = told});
  }
}

}  // namespace weft::loop::detail
