// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of a protocol that a StreamWriter waits on. Not for use outside weft.
// (asyncio: streams.FlowControlMixin.)

#pragma once

#include <exception>

#include "weft/loop/coro.h"
#include "weft/loop/detail/drain_core.h"
#include "weft/loop/event.h"

namespace weft::loop::detail {

class WriterSide {
 public:
  explicit WriterSide(EventLoop& loop) : flow_(loop), closed_(loop) {}
  WriterSide(const WriterSide&) = delete;
  WriterSide& operator=(const WriterSide&) = delete;
  virtual ~WriterSide() = default;

  DrainCore& flow() { return flow_; }
  // Waits for closed(), and throws its error.
  Coro<void> wait_closed();
  // Whether the other side has ended: dropping a writer that is open is then no mistake.
  bool peer_ended() const { return peer_ended_; }

 protected:
  // Nothing can be written any more.
  void closed(std::exception_ptr error);
  void peer_has_ended() noexcept { peer_ended_ = true; }

 private:
  DrainCore flow_;
  Event closed_;
  std::exception_ptr error_;
  bool peer_ended_ = false;
};

}  // namespace weft::loop::detail
