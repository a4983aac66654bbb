// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How transports call their protocols. Not for use outside weft.

#pragma once

#include <exception>
#include <utility>

#include "weft/fibers/cancelled.h"
#include "weft/loop/detail/protocol_holder.h"

namespace weft::loop::detail {

// In a catch (...): what is nobody's error goes on.
inline void let_interrupts_pass() {
  try {
    throw;
  } catch (const fibers::Cancelled&) {
    throw;
  } catch (const fibers::KeyboardInterrupt&) {
    throw;
  } catch (...) {
  }
}

// Calls the protocol, if it is still there, by `call`. What that throws goes to the exception
// handler under `message`. The caller keeps the transport alive.
template <class Call>
void tell_protocol(TransportCore& transport, ProtocolHolder& protocol, const char* message,
                   Call&& call) {
  const BaseProtocol* const told = protocol.get();
  if (told == nullptr) return;
  const ProtocolHolder::Call calling(protocol);
  try {
    std::forward<Call>(call)();
  } catch (...) {
    let_interrupts_pass();
    report(transport.loop(), {.message = message,
                              .exception = std::current_exception(),
                              .transport = &transport,
                              .protocol = told});
  }
}

// The same, and then `then`, whatever comes out of the call: a method that waits may be cancelled,
// and what the transport owes to others it still does.
template <class Call, class Then>
void tell_protocol(TransportCore& transport, ProtocolHolder& protocol, const char* message,
                   Call&& call, Then&& then) {
  try {
    tell_protocol(transport, protocol, message, std::forward<Call>(call));
  } catch (...) {
    std::forward<Then>(then)();
    throw;
  }
  std::forward<Then>(then)();
}

}  // namespace weft::loop::detail
