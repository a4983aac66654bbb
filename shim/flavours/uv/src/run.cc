// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/uv/run.h"

#include <chrono>

#include "shim/flavours/uv/src/handle_state.h"
#include "shim/flavours/uv/src/place.h"
#include "weft/fibers/clock.h"
#include "weft/fibers/detail/outside_task.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/loop/event_loop.h"
#include "weft/shim/open_loop.h"
#include "weft/uv/error.h"
#include "weft/uv/request.h"

namespace weft::uv {

namespace detail {

namespace {

void enter_place(Place& place) {
  if (this_place() != nullptr)
    throw fibers::UsageError("this thread's run has a loop of libuv's already");
  this_place() = &place;
}

}  // namespace

// --- A guest. ---

class Guest : public std::enable_shared_from_this<Guest> {
 public:
  explicit Guest(uv_loop_t* loop) : place_{.loop = loop} {}
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  void enter() { enter_place(place_); }
  void watch(fibers::GuestRun run) {
    run_.emplace(std::move(run));
    check(uv_poll_init(place_.loop, &poll_, run_->pollable_fd()), "uv_poll_init");
    poll_.data = this;
    self_ = shared_from_this();
    // As long as the descriptor is good this cannot fail.
    uv_poll_start(&poll_, UV_READABLE, [](uv_poll_t* poll, int, int) { of(poll).run_->tick(); });
  }
  void leave() noexcept {
    if (this_place() == &place_) this_place() = nullptr;
    over_ = true;
    uv_close(reinterpret_cast<uv_handle_t*>(&poll_), [](uv_handle_t* poll) {
      // The run's descriptor lasts as long as its GuestRun.
      const std::shared_ptr<Guest> self = std::move(of(poll).self_);
      self->closed_ = true;
      self->run_.reset();
    });
  }
  bool over() const { return over_; }
  bool closed() const { return closed_; }

 private:
  template <class Handle>
  static Guest& of(Handle* handle) {
    return *static_cast<Guest*>(handle->data);
  }

  Place place_;
  uv_poll_t poll_{};
  std::optional<fibers::GuestRun> run_;
  std::shared_ptr<Guest> self_;  // While libuv has the handle.
  bool over_ = false;
  bool closed_ = false;
};

std::shared_ptr<Guest> make_guest(uv_loop_t* loop) {
  return std::make_shared<Guest>(loop);
}

void enter(Guest& guest) {
  guest.enter();
}

void watch(Guest& guest, fibers::GuestRun run) {
  guest.watch(std::move(run));
}

void leave(Guest& guest) noexcept {
  guest.leave();
}

void turn_to_the_end(uv_loop_t* loop, const Guest& guest) {
  while (!guest.over()) uv_run(loop, UV_RUN_ONCE);
  while (!guest.closed() || closing_handles(loop) > 0) uv_run(loop, UV_RUN_NOWAIT);
}

// --- A loop of libuv's inside weft's. ---

namespace {

class NestedLoop {
 public:
  explicit NestedLoop(loop::EventLoop& host) : host_(host) {
    check(uv_loop_init(&loop_), "uv_loop_init");
    try {
      // It also keeps the loop alive: else uv_run would do nothing, and there would be no timeout.
      check(uv_async_init(&loop_, &waker_, nullptr), "uv_async_init");
      enter_place(place_);
    } catch (...) {
      close_all();
      throw;
    }
    try {
      // The descriptor wakes the loop, whose hook then does the work.
      host_.add_reader(uv_backend_fd(&loop_), [] {});
      hook_ = host_.add_prepare([this] { return turn(); });
    } catch (...) {
      leave();
      throw;
    }
  }
  NestedLoop(const NestedLoop&) = delete;
  NestedLoop& operator=(const NestedLoop&) = delete;
  ~NestedLoop() {
    hook_.cancel();
    leave();
  }

  uv_loop_t* get() { return &loop_; }

 private:
  // What has been started since the last turn is not in libuv's epoll before the next one.
  fibers::Instant turn() {
    const fibers::detail::OutsideTask guard;
    uv_run(&loop_, UV_RUN_NOWAIT);
    const int timeout = uv_backend_timeout(&loop_);
    return timeout < 0 ? fibers::kForever
                       : fibers::later(host_.time(), std::chrono::milliseconds(timeout));
  }
  void leave() noexcept {
    host_.remove_reader(uv_backend_fd(&loop_));
    close_all();
    this_place() = nullptr;
  }
  // libuv calls the callbacks of what is closed in turns to come.
  void close_all() noexcept {
    const fibers::detail::OutsideTask guard;
    place_.waker = nullptr;
    const auto close_one = [](uv_handle_t* handle, void*) {
      if (!uv_is_closing(handle) && !close_if_ours(handle)) uv_close(handle, nullptr);
    };
    do {
      uv_walk(&loop_, close_one, nullptr);
      uv_run(&loop_, UV_RUN_DEFAULT);
    } while (uv_loop_close(&loop_) == UV_EBUSY);
  }

  loop::EventLoop& host_;
  uv_loop_t loop_{};
  uv_async_t waker_{};
  Place place_{&loop_, &waker_};
  loop::PrepareHandle hook_;
};

}  // namespace

void open_loop(const std::function<void(uv_loop_t*)>& body) {
  fibers::checkpoint_if_cancelled();
  NestedLoop nested(shim::require_loop());
  body(nested.get());
}

}  // namespace detail

void poke() {
  detail::started();
}

}  // namespace weft::uv
