// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How a transport holds its protocol, and when that is to stop and to go on writing. Not for use
// outside weft, but to implement a transport.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "weft/loop/detail/transport_core.h"
#include "weft/loop/protocol.h"
#include "weft/loop/transport.h"

namespace weft::loop::detail {

// A protocol lives until the last call of it has returned, without counting each call in an atomic.
class ProtocolHolder {
 public:
  // Around each call of a protocol. The transport is to be kept alive by its caller.
  class Call {
   public:
    explicit Call(ProtocolHolder& holder) noexcept : holder_(holder) { ++holder_.calls_; }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    ~Call() {
      if (--holder_.calls_ == 0 && !holder_.retired_.empty()) [[unlikely]]
        holder_.drop_retired();
    }

   private:
    ProtocolHolder& holder_;
  };

  BaseProtocol* get() const { return protocol_.get(); }
  const std::shared_ptr<BaseProtocol>& shared() const { return protocol_; }
  // Strong: on std::bad_alloc nothing has changed.
  void set(std::shared_ptr<BaseProtocol> protocol);
  // connection_lost() has returned, or never will be called.
  void drop() noexcept;

 private:
  void drop_retired() noexcept;

  std::shared_ptr<BaseProtocol> protocol_;
  std::vector<std::shared_ptr<BaseProtocol>> retired_;
  std::uint32_t calls_ = 0;
};

// The protocol of a stream of bytes, which is of one of two kinds.
class StreamProtocol {
 public:
  // Throws UsageError if it is null, or neither a Protocol nor a BufferedProtocol.
  void set(std::shared_ptr<BaseProtocol> protocol);
  void drop() noexcept;

  ProtocolHolder& holder() { return holder_; }
  BaseProtocol* get() const { return holder_.get(); }
  const std::shared_ptr<BaseProtocol>& shared() const { return holder_.shared(); }
  // One of them, or neither after drop().
  Protocol* plain() const { return plain_; }
  BufferedProtocol* buffered() const { return buffered_; }

  // Calls without a guard: see ProtocolHolder::Call.
  void connection_made(Transport transport);
  bool eof_received();

 private:
  ProtocolHolder holder_;
  Protocol* plain_ = nullptr;
  BufferedProtocol* buffered_ = nullptr;
};

// When to tell a protocol to pause and to resume writing: once each, in turns.
// (asyncio: _FlowControlMixin.)
class FlowControl {
 public:
  static constexpr std::size_t kHigh = std::size_t{64} << 10;

  // Throws UsageError unless high >= low. Nothing is told.
  void set_limits(std::optional<std::size_t> high, std::optional<std::size_t> low);
  std::pair<std::size_t, std::size_t> limits() const { return {low_, high_}; }
  bool paused() const { return paused_; }
  // With how much is buffered now. What the protocol throws goes to the exception handler.
  void maybe_pause(TransportCore& transport, ProtocolHolder& protocol, std::size_t size) {
    if (size > high_ && !paused_) pause(transport, protocol);
  }
  void maybe_resume(TransportCore& transport, ProtocolHolder& protocol, std::size_t size) {
    if (paused_ && size <= low_) resume(transport, protocol);
  }

 private:
  void pause(TransportCore& transport, ProtocolHolder& protocol);
  void resume(TransportCore& transport, ProtocolHolder& protocol);

  std::size_t high_ = kHigh;
  std::size_t low_ = kHigh / 4;
  bool paused_ = false;
};

}  // namespace weft::loop::detail
