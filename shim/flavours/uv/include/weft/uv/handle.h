// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// libuv's handles with an owner. A handle of libuv's has to stay where it is until its close
// callback, which comes in a later turn of the loop; here the owner may go at any time.
//
//   weft::uv::Handle<uv_tcp_t> tcp(
//       [](uv_tcp_t* h) { return uv_tcp_init(weft::uv::current_loop(), h); });
//   weft::uv::connect(tcp, address);

#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "weft/fibers/detail/requirements.h"
#include "weft/uv/error.h"

namespace weft::uv {

namespace detail {

struct HandleState;
struct FreeHandle {
  void operator()(HandleState* state) const noexcept;
};
using OwnedState = std::unique_ptr<HandleState, FreeHandle>;
// Takes over a handle that has been initialised; `destroy` frees it.
OwnedState own_handle(uv_handle_t* handle, uv_close_cb destroy);

template <class H>
inline constexpr bool kIsStream =
    std::is_same_v<H, uv_tcp_t> || std::is_same_v<H, uv_pipe_t> || std::is_same_v<H, uv_tty_t>;

}  // namespace detail

// A handle of any kind. Belongs to its loop's thread.
class AnyHandle {
 public:
  AnyHandle(const AnyHandle&) = delete;
  AnyHandle& operator=(const AnyHandle&) = delete;
  AnyHandle(AnyHandle&&) noexcept = default;
  AnyHandle& operator=(AnyHandle&&) noexcept = default;

  // Closes the handle, unless it is closed, and waits until libuv has let go of it. Who waits for
  // something of it gets a ClosedResourceError, or ECANCELED if it is a request.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: the handle is closed in any case.
  // Threads: the run's own only.
  void aclose();
  // The same without waiting; so does the destructor.
  void close_soon() noexcept;
  bool is_closing() const noexcept;

 protected:
  explicit AnyHandle(detail::OwnedState state) : state_(std::move(state)) {}
  ~AnyHandle() = default;

 private:
  friend struct HandleAccess;
  detail::OwnedState state_;
};

// One that stream.h can use.
class StreamHandle : public AnyHandle {
 public:
  StreamHandle(const StreamHandle&) = delete;
  StreamHandle& operator=(const StreamHandle&) = delete;
  StreamHandle(StreamHandle&&) noexcept = default;
  StreamHandle& operator=(StreamHandle&&) noexcept = default;

 protected:
  using AnyHandle::AnyHandle;
  ~StreamHandle() = default;
};

// A resource that can be moved; H is uv_tcp_t, uv_timer_t and so on. Its `data` is weft's.
template <class H>
class Handle final : public std::conditional_t<detail::kIsStream<H>, StreamHandle, AnyHandle> {
  using Base = std::conditional_t<detail::kIsStream<H>, StreamHandle, AnyHandle>;

 public:
  // Calls `init(H*)`, which returns what libuv's own function does (uv_tcp_init, uv_spawn and so
  // on); throws Error if that is one.
  template <class Init>
  requires std::is_invocable_r_v<int, Init&, H*>
  explicit Handle(Init init) : Handle(make(init)) {}
  Handle(Handle&&) noexcept = default;
  Handle& operator=(Handle&&) noexcept = default;
  ~Handle() = default;

  // Libuv's own, for its other functions. Close it by this object only.
  H* get() const noexcept { return handle_; }

 private:
  struct Made {
    H* handle;
    detail::OwnedState state;
  };
  explicit Handle(Made made) : Base(std::move(made.state)), handle_(made.handle) {}
  template <class Init>
  static Made make(Init& init) {
    constexpr uv_close_cb kDestroy = [](uv_handle_t* h) { delete reinterpret_cast<H*>(h); };
    auto handle = std::make_unique<H>();
    const int result = std::invoke(init, handle.get());
    // A uv_spawn that fails has put the handle into its loop all the same; it has to be closed.
    if (std::is_same_v<H, uv_process_t> && result < 0 && handle->type == UV_PROCESS)
      detail::own_handle(reinterpret_cast<uv_handle_t*>(handle.release()), kDestroy);
    check(result, "the initialisation of a handle");
    H* const raw = handle.get();
    static_cast<void>(handle.release());
    return {raw, detail::own_handle(reinterpret_cast<uv_handle_t*>(raw), kDestroy)};
  }

  H* handle_;
};

}  // namespace weft::uv
