// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/uv/handle.h"

#include <map>
#include <set>

#include "shim/flavours/uv/src/handle_state.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/uv/request.h"

namespace weft::uv {

namespace detail {

// The handles of a loop that weft looks after.
struct LoopHandles {
  const uv_loop_t* loop;
  std::set<const uv_handle_t*> all;  // Abseil's does not survive a lack of memory.
  std::size_t closing = 0;
};

namespace {

thread_local std::map<const uv_loop_t*, LoopHandles> loops;

void on_closed(uv_handle_t* handle) {
  HandleState& state = state_of(handle);
  state.closed = true;
  --state.loop.closing;
  state.when_closed.set();
  free_if_left(state);
}

}  // namespace

void free_if_left(HandleState& state) noexcept {
  if (state.owned || !state.closed || state.users > 0) return;
  LoopHandles& loop = state.loop;
  loop.all.erase(state.handle);
  state.destroy(state.handle);
  delete &state;
  if (loop.all.empty()) loops.erase(loop.loop);
}

void close(HandleState& state) noexcept {
  if (std::exchange(state.closing, true)) return;
  ++state.loop.closing;
  uv_close(state.handle, &on_closed);
  // libuv says nothing to these.
  if (state.reader != nullptr) {
    std::exchange(state.reader, nullptr)->done.fail(error_of([] {
      throw fibers::ClosedResourceError("a handle of libuv's was closed");
    }));
  }
  state.acceptors.unpark_all();
  if (state.accepts_from != nullptr) state.accepts_from->acceptors.unpark_all();
  started();
}

HandleState& state_of(const uv_handle_t* handle) noexcept {
  return *static_cast<HandleState*>(handle->data);
}

bool close_if_ours(uv_handle_t* handle) noexcept {
  const auto loop = loops.find(handle->loop);
  if (loop == loops.end() || !loop->second.all.contains(handle)) return false;
  close(state_of(handle));
  return true;
}

std::size_t closing_handles(const uv_loop_t* loop) noexcept {
  const auto found = loops.find(loop);
  return found == loops.end() ? 0 : found->second.closing;
}

OwnedState own_handle(uv_handle_t* handle, uv_close_cb destroy) {
  try {
    LoopHandles& loop =
        loops.try_emplace(handle->loop, LoopHandles{handle->loop, {}, 0}).first->second;
    loop.all.insert(handle);
    handle->data = new HandleState(handle, destroy, loop);
  } catch (...) {
    uv_close(handle, destroy);
    const auto loop = loops.find(handle->loop);
    if (loop != loops.end()) {
      loop->second.all.erase(handle);
      if (loop->second.all.empty()) loops.erase(loop);
    }
    throw;
  }
  return OwnedState(&state_of(handle));
}

void FreeHandle::operator()(HandleState* state) const noexcept {
  state->owned = false;
  close(*state);
  free_if_left(*state);
}

}  // namespace detail

void AnyHandle::aclose() {
  const detail::InUse use(*this);
  close_soon();
  use.state().when_closed.wait();
}

void AnyHandle::close_soon() noexcept {
  detail::close(*state_);
}

bool AnyHandle::is_closing() const noexcept {
  return state_->closing;
}

}  // namespace weft::uv
