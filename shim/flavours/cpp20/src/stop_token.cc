// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/cpp20/stop_token.h"

#include "shim/flavours/cpp20/src/thread_mark.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/no_suspend.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/task.h"
#include "weft/fibers/unwrapped.h"

namespace weft::cpp20 {

namespace detail {

namespace {

// A task that waits for nothing but its cancellation, and passes it on.
class Watcher {
 public:
  explicit Watcher(std::stop_source& source) : source_(source) {}

  bool begun() const { return begun_; }
  void run() {
    begun_ = true;
    if (ended_) return;
    task_ = &fibers::current_task();
    fibers::wait_task_rescheduled(
        [this](const fibers::RaiseCancel&) {
          task_ = nullptr;
          stop();
          return fibers::Abort::kSucceeded;
        },
        {"a cancellation, for a std::stop_token", -1, this});
  }
  void end() {
    ended_ = true;
    if (task_ != nullptr) fibers::reschedule(*std::exchange(task_, nullptr));
  }

 private:
  void stop() {
    if (!fibers::in_trio_task()) {
      source_.request_stop();
      return;
    }
    const fibers::NoSuspend guard("a callback of a std::stop_token");
    source_.request_stop();
  }

  std::stop_source& source_;
  fibers::Task* task_ = nullptr;
  bool begun_ = false;
  bool ended_ = false;
};

}  // namespace

void with_stop_token(const std::function<void(std::stop_token)>& body) {
  fibers::checkpoint_if_cancelled();
  std::stop_source source;
  Watcher watcher(source);
  fibers::open_unwrapped_nursery([&](fibers::Nursery& nursery) {
    nursery.start_soon([&watcher] { watcher.run(); },
                       {.name = "std::stop_token", .unchecked_captures = true});
    struct EndAtEnd {
      Watcher& watcher;
      ~EndAtEnd() { watcher.end(); }
    } const end{watcher};
    // Else a cancellation at the beginning of the body would stop the token later.
    while (!watcher.begun()) fibers::cancel_shielded_checkpoint();
    body(source.get_token());
  });
}

}  // namespace detail

CancelOnStop::CancelOnStop(fibers::CancelScope& scope, std::stop_token token)
    : scope_(std::make_shared<fibers::CancelScope*>(&scope)),
      on_stop_(std::move(token), Stop{fibers::current_token(), detail::thread_mark(), scope_}) {}

void CancelOnStop::Stop::operator()() const noexcept {
  const auto cancel = [s = scope] {
    if (*s != nullptr) (*s)->cancel("a std::stop_token");
  };
  if (thread == detail::thread_mark()) return cancel();
  detail::post(run, cancel);
}

}  // namespace weft::cpp20
