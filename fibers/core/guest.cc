// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/guest.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <string_view>

#include "fibers/core/alarm.h"
#include "fibers/core/check.h"
#include "fibers/core/current_scheduler.h"
#include "fibers/core/found_events.h"
#include "fibers/core/host_call.h"
#include "fibers/core/overflow.h"
#include "fibers/core/run_life.h"
#include "fibers/sys/lasting.h"
#include "fibers/sys/sys.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/inspect.h"
#include "weft/fibers/log.h"
#include "weft/fibers/thread_cache.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace detail {

namespace {

// Reports a guest that is not over when its thread ends: a helper thread that waits for it would
// keep it for ever.
struct LastGuest {
  LastGuest() = default;
  LastGuest(const LastGuest&) = delete;
  LastGuest& operator=(const LastGuest&) = delete;
  ~LastGuest() {
    if (const auto left = guest.lock()) left->abandon();
  }
  std::weak_ptr<Guest> guest;
};

[[noreturn]] void throw_failed(const std::exception_ptr& cause) {
  try {
    std::rethrow_exception(cause);
  } catch (...) {
    std::throw_with_nested(
        InternalError("the guest run cannot go on: " + describe_exception(cause)));
  }
}

}  // namespace

void Guest::begin() {
  refuse_second_run();
  install_overflow_handler();
  auto life = std::make_unique<RunLife>(setup_.main, setup_.options);
  life->scheduler().host().exists = true;
  if (polls()) {
    alarm_.emplace(life->scheduler().io());
    pollable_fd_ = sys::fcntl(life->scheduler().io().fd_for_host(), F_DUPFD_CLOEXEC, 0);
    if (pollable_fd_ < 0) throw_system_error(errno, "fcntl");
  }
  life->begin();
  life_ = std::move(life);
  sys::ThreadObject<LastGuest>::get().guest = weak_from_this();
  // The first step of the root task: it opens the system nursery and starts main, which waits for
  // a tick.
  scheduler().run_ready_tasks(0);
  tick_soon();  // By the descriptor: the host that drops the GuestRun now has abandoned it.
  if (!polls()) return;
  host_call = {&scheduler(), setup_.not_threadsafe ? &post_tick : &cannot_post, this};
}

// One batch, and what is to be waited for then.
void Guest::turn(std::size_t events) {
  if (wait_) {
    scheduler().poller().wait_is_over(*wait_);
    scheduler().poller().after_wait(*wait_, events);
  }
  scheduler().run_ready_tasks();
  wait_.reset();
  if (!scheduler().over()) wait_ = scheduler().poller().before_wait();
}

// False if it was not yet time for a turn: the alarm was set for something earlier that is no more,
// or the host ticks without having been asked to. Without a `look`, what has come in will make the
// descriptor readable all the same.
bool Guest::turn_polled(bool look) {
  std::size_t events = std::exchange(called_, false) ? 1 : 0;
  if (wait_ && look) {
    scheduler().io().set().wait(Duration::zero(), found_);
    events += scheduler().io().deliver(found_);
  }
  if (wait_ && events == 0 && !at_once() && machine_now() < wait_ends_) {
    set_alarm();
    return false;
  }
  turn(events);
  return true;
}

void Guest::wait_for_poll() {
  if (at_once()) return tick_soon();
  planned_for_ = scheduler().deadlines().lower_bound();
  wait_ends_ = machine_later(wait_->timeout);
  set_alarm();
}

void Guest::tick_called() {
  WEFT_REQUIRE(life_ != nullptr && (tick_due_ || ticking_),
               "a GuestTick was called twice; each is for one tick");
  const Ticking guard(*this);
  tick_due_ = in_thread_ = false;
  std::exception_ptr failure = capture([this] {
                                 turn(wait_ ? scheduler().io().deliver(found_) : 0);
                                 if (wait_) scheduler().io().set().wait(Duration::zero(), found_);
                               }).error();
  if (failure != nullptr || scheduler().over()) return finish(failure);
  if (at_once() || found_.count != 0) return tick_soon();
  failure = capture([this] { wait_in_thread(); }).error();
  if (failure != nullptr) finish(failure);
}

void Guest::tick_poller(bool look) {
  std::exception_ptr failure;
  {
    const Ticking guard(*this);
    try {
      if (turn_polled(look) && !scheduler().over()) wait_for_poll();
    } catch (...) {
      failure = std::current_exception();
    }
  }
  if (failure != nullptr || scheduler().over()) finish(failure);
}

void Guest::tick_without_look() {
  called_ = true;
  tick_poller(false);
}

bool Guest::tick_polled() {
  WEFT_REQUIRE(polls(), "this guest run asks for its ticks through run_sync_soon_threadsafe");
  if (life_ != nullptr) tick_poller(true);
  return life_ != nullptr;
}

// A tick of the descriptor's may have been first, or the last.
void Guest::tick_posted() {
  tick_due_ = false;
  if (life_ != nullptr && called_) tick_poller(false);
}

void Guest::tick_soon() {
  if (polls()) {
    scheduler().call_host();
    return;
  }
  tick_due_ = true;
  const RunSyncSoon& soon = setup_.not_threadsafe ? setup_.not_threadsafe : *threadsafe_;
  soon(GuestTick(shared_from_this()));
}

// For whatever has happened to this thread's run on the host's thread. Another thread may have
// dropped its guest.
bool Guest::post_tick() noexcept {
  const std::shared_ptr<Guest> guest = sys::ThreadObject<LastGuest>::get().guest.lock();
  if (guest == nullptr) return false;
  guest->called_ = true;
  if (guest->tick_due_) return true;
  try {
    guest->setup_.not_threadsafe(GuestTick(guest));
  } catch (...) {
    guest->called_ = false;
    return false;  // There is no memory for it, say. The wake-up needs none.
  }
  return guest->tick_due_ = true;
}

void Guest::stop_posting() noexcept {
  if (host_call.run == &scheduler()) host_call = {};
}

// Without an alarm nobody would tick for a deadline. The run ends with an error, and is ticked
// without a pause until all its tasks have unwound.
void Guest::set_alarm() {
  if (alarm_->ring_by(wait_ends_)) {
    scheduler().host().at_leisure = true;
    return;
  }
  if (!std::exchange(alarm_refused_, true)) {
    current_token().run_sync_soon([number = errno] {
      throw_system_error(number, "timerfd_settime: the host cannot be woken for a deadline");
    });
  }
  tick_soon();
}

// The thread looks, and touches nothing else of the run.
void Guest::wait_in_thread() {
  const auto look = [io = &scheduler().io(), found = &found_, timeout = wait_->timeout] {
    io->set().wait(timeout, *found);
  };
  auto deliver = [self = shared_from_this()](const Outcome<void>&) mutable {
    if (self->abandoned_) return self.reset();
    self->tick_due_ = true;
    const auto soon = self->threadsafe_;
    (*soon)(GuestTick(std::move(self)));
  };
  scheduler().host().at_leisure = true;
  in_thread_ = true;
  start_thread_soon(look, std::move(deliver), "weft guest");
}

// The run is over, or has failed as no run should. The host may drop the guest in its callback.
[[gnu::cold]] void Guest::finish(const std::exception_ptr& failure) {
  const auto keep = shared_from_this();
  ticking_ = true;
  stop_posting();
  std::exception_ptr error;
  try {
    if (failure != nullptr) throw_failed(failure);
    life_->end();
    life_->rethrow();
  } catch (...) {
    error = std::current_exception();
  }
  alarm_.reset();
  if (scheduler().over()) {
    life_.reset();
  } else {
    scheduler().give_up();
    RunLife::keep_for_ever(std::move(life_));
  }
  ticking_ = false;
  setup_.done(std::move(error));
}

void Guest::abandon() noexcept {
  if (life_ == nullptr || abandoned_.exchange(true)) return;
  constexpr std::string_view kText =
      "a guest run was abandoned: its host dropped it before it was over. Its tasks are neither "
      "run nor unwound any more; keep the host's loop going until done_callback";
  if (tls_scheduler != &scheduler()) {
    // The run's thread still believes in it, so it has to stay. Nothing asks for ticks there.
    scheduler().host().at_leisure = false;
    log_quietly(LogLevel::kWarning, [&] { return kText; });
    static_cast<void>(life_.release());
    return;
  }
  log_quietly(LogLevel::kWarning, [&] { return std::string(kText) + ":\n" + dump_task_tree(); });
  stop_posting();
  scheduler().give_up();
  tls_scheduler = nullptr;
  if (in_thread_) {
    scheduler().entries()->wakeup().wake();  // The helper thread is the last that keeps it.
  } else {
    alarm_.reset();
    RunLife::keep_for_ever(std::move(life_));
  }
}

int Guest::pollable_fd() const {
  WEFT_REQUIRE(polls(),
               "this guest run asks for its ticks through run_sync_soon_threadsafe; leave "
               "that out to poll for them");
  return pollable_fd_;
}

GuestRun start_guest(GuestSetup setup) {
  return Guest::start(std::move(setup));
}

}  // namespace detail

// The calls keep the guest: it may be dropped in its done_callback.
void GuestTick::operator()() const {
  const auto guest = guest_;
  guest->polls() ? guest->tick_posted() : guest->tick_called();
}

bool GuestRun::tick() const {
  const auto guest = guest_;
  return guest->tick_polled();
}

int GuestRun::pollable_fd() const {
  return guest_->pollable_fd();
}

bool GuestRun::done() const {
  return guest_->done();
}

}  // namespace weft::fibers
