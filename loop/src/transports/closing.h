// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The rules by which transports end: those of sockets, datagrams and pipes.

#pragma once

#include <cstdint>
#include <exception>
#include <utility>

#include "loop/src/transports/transport_errors.h"
#include "weft/loop/detail/loop_object.h"

namespace weft::loop::detail {

// Two steps, each once, the second perhaps without the first: the transport is closing, while what
// was written before still goes out; then it is lost, and its protocol hears of that in the next
// iteration. (asyncio: _closing and _conn_lost.)
class Closing {
 public:
  // `told`: the turn that calls connection_lost(), with take_error().
  Closing(LoopObject& transport, const NodeOps& told) noexcept : losing_(transport, told) {}

  bool begun() const { return begun_; }
  bool lost() const { return lost_; }

  // False if it has begun already.
  bool begin() noexcept { return !std::exchange(begun_, true); }
  // Nothing if it is lost already.
  void lose(std::exception_ptr error = nullptr) noexcept {
    if (std::exchange(lost_, true)) return;
    begun_ = true;
    error_ = std::move(error);
    losing_.schedule();
  }
  // The loop is closed: the protocol is told nothing.
  void lose_in_silence() noexcept { begun_ = lost_ = true; }
  // What connection_lost() is to be told.
  const std::exception_ptr& error() const { return error_; }
  std::exception_ptr take_error() noexcept { return std::exchange(error_, nullptr); }

  // Instead of a write that comes too late. A protocol may write some times before it learns that
  // the transport is lost; one that goes on is told of in the log.
  void drop_write(const char* warning) noexcept {
    constexpr std::uint32_t kSilent = 4;
    if (dropped_++ >= kSilent) warn(warning);
  }

 private:
  OwnedCallback losing_;
  std::exception_ptr error_;
  std::uint32_t dropped_ = 0;
  bool begun_ = false;
  bool lost_ = false;
};

}  // namespace weft::loop::detail
