// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/shared_wait.h"

#include <cerrno>

#include "fibers/core/alarm.h"
#include "fibers/core/check.h"
#include "fibers/core/current_scheduler.h"
#include "fibers/core/scheduler.h"

namespace weft::fibers {

namespace detail {

namespace {

Poller& poller_to_share() {
  Scheduler& run = current_scheduler();
  WEFT_REQUIRE(!run.host().exists,
               "this run is a guest: its host does the waiting, so bring the other loop there");
  WEFT_REQUIRE(!run.poller().waits_elsewhere(),
               "this run shares its waits with another loop already; end that first");
  return run.poller();
}

}  // namespace

// The run's side. The other loop calls its handlers in here, in no task, as calls from outside are.
class SharedPoll final : public Poller::Elsewhere {
 public:
  explicit SharedPoll(SharedWait& with)
      : with_(with),
        poller_(poller_to_share()),
        alarm_(poller_.io()),
        pollable_fd_(poller_.io().fd_for_host()) {
    poller_.wait_elsewhere(this);
  }
  SharedPoll(const SharedPoll&) = delete;
  SharedPoll& operator=(const SharedPoll&) = delete;
  ~SharedPoll() { poller_.wait_elsewhere(nullptr); }

  int pollable_fd() const { return pollable_fd_; }

  std::size_t look(Duration timeout, const Poller::Wait* told_of) override {
    FoundEvents found;
    const SharedWait::Turn turn = timeout <= Duration::zero() ? with_.poll() : wait(timeout);
    if (turn.run_is_readable) poller_.io().set().wait(Duration::zero(), found);
    if (told_of != nullptr) poller_.wait_is_over(*told_of);
    return poller_.io().deliver(found) + turn.done;
  }

 private:
  // The deadline comes by the alarm: other loops know no time as fine as ours.
  SharedWait::Turn wait(Duration timeout) {
    if (!alarm_.ring_by(machine_later(timeout))) {
      throw_system_error(errno, "timerfd_settime: the run cannot be woken for a deadline");
    }
    poller_.wakeup().about_to_wait();
    const bool called = poller_.has_calls();
    SharedWait::Turn turn = called ? with_.poll() : with_.wait();
    poller_.wakeup().awake();
    if (called) ++turn.done;
    return turn;
  }

  SharedWait& with_;
  Poller& poller_;
  Alarm alarm_;
  const int pollable_fd_;
};

}  // namespace detail

SharedWait::SharedWait() : poll_(std::make_unique<detail::SharedPoll>(*this)) {}
SharedWait::~SharedWait() = default;

int SharedWait::pollable_fd() const noexcept {
  return poll_->pollable_fd();
}

}  // namespace weft::fibers
