// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Watching a run from inside: which task runs when. For tracing, for profiling, and for finding
// what hogs the thread. A run without instruments pays nothing for them. A hook that nobody
// overrides is never called. Only the hooks of single steps make tasks hand over through the
// scheduler.
//
//   struct Counter : Instrument {
//     void before_task_step(Task& task) override { ++steps[task.id()]; }
//     std::map<std::uint64_t, int> steps;
//   };
//   auto counter = std::make_shared<Counter>();
//   run(main, {.instruments = {counter}});
//
// (Trio: abc.Instrument, lowlevel.add_instrument, lowlevel.remove_instrument.)

#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "weft/fibers/clock.h"

namespace weft::fibers {

class Task;
class InstrumentRef;

// Override the hooks that you want, as public members. They are called on the run's thread, in the
// order in which the instruments were added. A hook that waits gets a UsageError. A hook may add
// and remove instruments. An instrument that throws is reported to the log and removed.
class Instrument {
 public:
  Instrument() = default;
  Instrument(const Instrument&) = delete;
  Instrument& operator=(const Instrument&) = delete;
  virtual ~Instrument() = default;

  // Before the first task exists, and after the last has ended.
  virtual void before_run() {}
  virtual void after_run() {}
  // A task has been started. It will be scheduled.
  virtual void task_spawned(Task& /*task*/) {}
  // A task has become ready. Called in order, after the current step or poll is over.
  virtual void task_scheduled(Task& /*task*/) {}
  // A task is about to run until its next wait; it has stopped running. current_task() is that
  // task.
  virtual void before_task_step(Task& /*task*/) {}
  virtual void after_task_step(Task& /*task*/) {}
  // A task has ended. It still has its name and number.
  virtual void task_exited(Task& /*task*/) {}
  // The run is about to poll for I/O, and to sleep up to `timeout` if there is none; it has done
  // so.
  virtual void before_io_wait(Duration /*timeout*/) {}
  virtual void after_io_wait(Duration /*timeout*/) {}
};

namespace detail {

enum Hook : std::uint16_t {
  kBeforeRun = 1 << 0,
  kAfterRun = 1 << 1,
  kTaskSpawned = 1 << 2,
  kTaskScheduled = 1 << 3,
  kBeforeTaskStep = 1 << 4,
  kAfterTaskStep = 1 << 5,
  kTaskExited = 1 << 6,
  kBeforeIoWait = 1 << 7,
  kAfterIoWait = 1 << 8,
  kAllHooks = (1 << 9) - 1,
};

// If I or a base of it overrides a member, the member's class is not Instrument.
template <class C, class... A>
constexpr bool is_overridden(void (C::*)(A...)) {
  return !std::is_same_v<C, Instrument>;
}

template <class I>
constexpr std::uint16_t overridden_hooks() {
  if (std::is_same_v<I, Instrument>) return kAllHooks;  // It could be any.
  return static_cast<std::uint16_t>((is_overridden(&I::before_run) ? kBeforeRun : 0) |
                                    (is_overridden(&I::after_run) ? kAfterRun : 0) |
                                    (is_overridden(&I::task_spawned) ? kTaskSpawned : 0) |
                                    (is_overridden(&I::task_scheduled) ? kTaskScheduled : 0) |
                                    (is_overridden(&I::before_task_step) ? kBeforeTaskStep : 0) |
                                    (is_overridden(&I::after_task_step) ? kAfterTaskStep : 0) |
                                    (is_overridden(&I::task_exited) ? kTaskExited : 0) |
                                    (is_overridden(&I::before_io_wait) ? kBeforeIoWait : 0) |
                                    (is_overridden(&I::after_io_wait) ? kAfterIoWait : 0));
}

class Scheduler;
void add_instrument_to(Scheduler& run, const InstrumentRef& instrument);

}  // namespace detail

// An instrument, and which of its hooks to call. Made from a pointer to the instrument's own type,
// it calls the hooks that this type overrides. Made from a shared_ptr<Instrument>, it calls all
// hooks.
class InstrumentRef {
 public:
  template <std::derived_from<Instrument> I>
  InstrumentRef(std::shared_ptr<I> instrument)
      : instrument_(std::move(instrument)), hooks_(detail::overridden_hooks<I>()) {}
  InstrumentRef(const InstrumentRef&) = default;
  InstrumentRef(InstrumentRef&&) = default;
  InstrumentRef& operator=(const InstrumentRef&) = default;
  InstrumentRef& operator=(InstrumentRef&&) = default;
  ~InstrumentRef();  // Not inline, or each call of run() would contain it.

  const std::shared_ptr<Instrument>& get() const { return instrument_; }
  std::uint16_t hooks() const { return hooks_; }
  // Not for users: what run() and add_instrument() do.
  void add_to(detail::Scheduler& run) const { add_(run, *this); }

 private:
  std::shared_ptr<Instrument> instrument_;
  std::uint16_t hooks_;
  // A pointer, so that only programs which make an InstrumentRef carry what it refers to.
  void (*add_)(detail::Scheduler&, const InstrumentRef&) = &detail::add_instrument_to;
};

// Adds an instrument to the current run, unless it is there already. Throws UsageError outside a
// run.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
void add_instrument(InstrumentRef instrument);
// Removes an instrument. Throws UsageError if it is not there.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
void remove_instrument(const Instrument& instrument);

}  // namespace weft::fibers
