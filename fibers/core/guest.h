// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The run of a guest: guest.cc, and tick_here.cc for the ticks that callbacks of the host's make.

#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "fibers/core/alarm.h"
#include "fibers/core/check.h"
#include "fibers/core/current_scheduler.h"
#include "fibers/core/found_events.h"
#include "fibers/core/run_life.h"
#include "fibers/sys/sys.h"
#include "weft/fibers/guest.h"

namespace weft::fibers::detail {

// A run and how its host turns it. Kept by whoever will make the next tick: the host's queue, the
// helper thread, or the host's GuestRun.
class Guest final : public std::enable_shared_from_this<Guest> {
 public:
  explicit Guest(GuestSetup setup)
      : setup_(std::move(setup)),
        threadsafe_(std::make_shared<const RunSyncSoon>(std::move(setup_.threadsafe))) {}
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;
  ~Guest() {
    abandon();
    alarm_.reset();
    if (life_ != nullptr) RunLife::keep_for_ever(std::move(life_));  // The helper thread kept it.
    if (pollable_fd_ >= 0) sys::close(pollable_fd_);
  }

  static GuestRun start(GuestSetup setup) {
    GuestRun run(std::make_shared<Guest>(std::move(setup)));
    run.guest_->begin();
    return run;
  }
  // The tick that the host was told to make.
  void tick_called();
  // A tick of a host that polls, and one that it was given besides.
  bool tick_polled();
  void tick_posted();
  // One in a callback of the host's, for what has happened there: tick_here.cc.
  void tick_here();
  // The same for the end of the wait of `task` in a run that is at leisure. False if it has to be
  // made ready first: it still waits.
  [[gnu::always_inline]] inline bool resume_here(TaskBlock& task);
  bool polls() const { return *threadsafe_ == nullptr; }
  int pollable_fd() const;
  bool done() const { return life_ == nullptr; }
  // Unless the run is over: nobody will turn it any more.
  void abandon() noexcept;

 private:
  using RunSyncSoon = std::function<void(GuestTick)>;

  // While a tick goes on there is no other.
  class Ticking {
   public:
    explicit Ticking(Guest& guest) : guest_(guest) {
      WEFT_REQUIRE(tls_scheduler == &guest.scheduler(),
                   "a tick of a guest run was called on another thread than the one that started "
                   "the run; let its host's loop call it there");
      WEFT_REQUIRE(
          !guest.ticking_,
          "a tick of a guest run was called inside a tick; only the host's loop may call it");
      guest.ticking_ = true;
      guest.scheduler().host().at_leisure = false;
    }
    Ticking(const Ticking&) = delete;
    Ticking& operator=(const Ticking&) = delete;
    ~Ticking() { guest_.ticking_ = false; }

   private:
    Guest& guest_;
  };

  void begin();
  Scheduler& scheduler() const { return life_->scheduler(); }
  [[gnu::always_inline]] bool at_once() const {
    return !wait_ || wait_->timeout <= Duration::zero();
  }
  // Inline, as the steps of a tick are: each call that a switch of stacks comes in between costs a
  // return that the processor does not foresee.
  [[gnu::always_inline]] inline void turn(std::size_t events);
  [[gnu::always_inline]] inline bool turn_polled(bool look);
  [[gnu::always_inline]] inline void tick_poller(bool look);
  void tick_without_look();
  template <class F>
  [[gnu::always_inline]] inline void tick_without_poll(const F& run_tasks);
  void tick_soon();
  static bool post_tick() noexcept;
  static bool cannot_post() noexcept { return false; }
  void stop_posting() noexcept;
  void wait_in_thread();
  void wait_for_poll();
  [[gnu::always_inline]] inline bool only_tasks_count() const;
  [[gnu::always_inline]] inline bool plan_stands() const;
  void set_alarm();
  void finish(const std::exception_ptr& failure);

  GuestSetup setup_;
  // Apart, for the helper thread: when it calls this, it has given away what keeps the guest.
  std::shared_ptr<const RunSyncSoon> threadsafe_;
  std::unique_ptr<RunLife> life_;  // Null before the run, and when it is over.
  // Between ticks: what the run waits for; nothing if tasks are ready and it need not look first.
  std::optional<Poller::Wait> wait_;
  FoundEvents found_;      // For the next tick. The helper thread's while that waits.
  bool tick_due_ = false;  // A GuestTick is on its way.
  bool ticking_ = false;
  bool in_thread_ = false;  // The helper thread waits, or has done so and its tick is to come.
  std::atomic<bool> abandoned_{false};

  // --- Of hosts that poll. ---
  std::optional<Alarm> alarm_;
  bool alarm_refused_ = false;
  bool called_ = false;  // The host has been given a tick for what has happened since the last one.
  SteadyTime wait_ends_{};
  Instant planned_for_{};  // What the next deadline was then.
  int pollable_fd_ = -1;   // Our own, so that it outlives the run.
};

}  // namespace weft::fibers::detail
