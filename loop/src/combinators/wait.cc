// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/wait.h"

#include <cstddef>
#include <utility>

#include "weft/fibers/errors.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/handle.h"

namespace weft::loop::detail {

namespace {

// Lies in the coroutine's frame. Its callbacks are taken off again when that goes.
class Wait {
 public:
  Wait(EventLoop& loop, ReturnWhen return_when)
      : waiter_(loop.create_future<void>()), return_when_(return_when) {}
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;
  ~Wait() {
    for (Handle& callback : callbacks_) callback.cancel();
  }
  // If it throws, the destructor takes off what is there by then.
  void begin(const std::vector<FutureBase>& futures, fibers::Duration timeout) {
    EventLoop& loop = waiter_.get_loop();
    left_ = futures.size();
    callbacks_.reserve(futures.size() + 1);
    if (timeout != fibers::Duration::max()) {
      callbacks_.push_back(loop.call_later(timeout, [this] { wake(); }));
    }
    for (const FutureBase& future : futures) {
      callbacks_.push_back(FutureBase(future).add_done_callback(Link{this}));
    }
  }
  const Future<void>& waiter() const { return waiter_; }

 private:
  struct Link {
    void operator()(const FutureBase& done) const { wait->one_is_done(FutureAccess::core(done)); }
    AwaitedFor awaited_for() const noexcept {
      return {.future = &FutureAccess::core(wait->waiter_), .part = true};
    }
    Wait* wait;
  };
  void one_is_done(const FutureCore& future) {
    --left_;
    const bool failed =
        future.state() == FutureCore::State::kFinished && future.stored_exception() != nullptr;
    if (left_ == 0 || return_when_ == ReturnWhen::kFirstCompleted ||
        (return_when_ == ReturnWhen::kFirstException && failed)) {
      wake();
    }
  }
  void wake() {
    if (!waiter_.done()) waiter_.set_result();
  }

  Future<void> waiter_;
  const ReturnWhen return_when_;
  std::size_t left_ = 0;
  std::vector<Handle> callbacks_;
};

}  // namespace

// Which loop: that of the futures, so that a task that is none of the loop's may wait.
static EventLoop& shared_loop(const std::vector<FutureBase>& futures) {
  if (futures.empty()) {
    throw fibers::UsageError("Set of Tasks/Futures is empty; wait() would wait for ever");
  }
  for (const FutureBase& future : futures) {
    if (&future.get_loop() != &futures.front().get_loop()) {
      throw fibers::UsageError(
          "The futures belong to different loops; wait for those of each loop apart");
    }
  }
  return futures.front().get_loop();
}

Coro<void> wait_until(const std::vector<FutureBase>& futures, WaitOptions options) {
  Wait wait(shared_loop(futures), options.return_when);
  wait.begin(futures, options.timeout);
  co_await wait.waiter();
}

}  // namespace weft::loop::detail
