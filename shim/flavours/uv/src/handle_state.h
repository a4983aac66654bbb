// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A handle with its owner.

#pragma once

#include <uv.h>

#include <cstddef>
#include <exception>
#include <span>

#include "weft/fibers/event.h"
#include "weft/fibers/parking_lot.h"
#include "weft/shim/portal.h"
#include "weft/uv/handle.h"

namespace weft::uv {

namespace detail {

struct LoopHandles;

// What `raise` throws, or the std::bad_alloc if there is no memory for that: libuv is C.
template <class F>
std::exception_ptr error_of(F&& raise) noexcept {
  try {
    raise();
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

// Who waits for bytes.
struct Reader {
  std::span<char> buffer;
  shim::Completion<std::size_t> done;
};

// Lives until libuv has let go of the handle, the owner of this, and the last task that uses it.
struct HandleState {
  HandleState(uv_handle_t* h, uv_close_cb d, LoopHandles& l) : handle(h), destroy(d), loop(l) {}

  uv_handle_t* const handle;
  const uv_close_cb destroy;
  LoopHandles& loop;
  bool owned = true;
  bool closing = false;
  bool closed = false;
  std::size_t users = 0;
  fibers::Event when_closed;
  // --- Of streams. ---
  Reader* reader = nullptr;
  bool listens = false;
  std::size_t connections = 0;  // That have not been accepted.
  int listen_error = 0;
  fibers::ParkingLot acceptors;
  HandleState* accepts_from = nullptr;  // While a task waits for a connection to put into this.
};

HandleState& state_of(const uv_handle_t* handle) noexcept;
// Begins to close it, unless that has been done.
void close(HandleState& state) noexcept;
// Frees it, if nobody refers to it any more.
void free_if_left(HandleState& state) noexcept;
// Begins to close `handle`, if it is one of weft's.
bool close_if_ours(uv_handle_t* handle) noexcept;
// How many of this loop's are about to be closed.
std::size_t closing_handles(const uv_loop_t* loop) noexcept;

}  // namespace detail

struct HandleAccess {
  static detail::HandleState& state(const AnyHandle& handle) { return *handle.state_; }
};

namespace detail {

// Of a task that waits: the owner may go meanwhile, and the handle with it.
class InUse {
 public:
  explicit InUse(const AnyHandle& handle) : state_(HandleAccess::state(handle)) { ++state_.users; }
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;
  ~InUse() {
    --state_.users;
    free_if_left(state_);
  }
  HandleState& state() const { return state_; }

 private:
  HandleState& state_;
};

}  // namespace detail

}  // namespace weft::uv
