// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Finding the task that hogs the thread: which computes, or makes a system call that blocks, where
// all others have to wait for it.
//
//   run(main, {.instruments = {std::make_shared<Watchdog>(WatchdogOptions{.limit = 50ms})}});
//
//   task 'parse' #7 has kept the thread for 61 ms without a wait:
//     read_everything(std::string const&) at parse.cc:31 [server+0x2a1f]
//     ...
//
// A thread of its own looks at the run four times a limit. It only reads whether the run has looked
// for I/O meanwhile; tasks hand over to each other as without it. If the run has not, it sends a
// signal to the run's thread, where the handler notes who is running, and where: at first to know
// whom to suspect, and once more when the limit has passed.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "weft/fibers/instrument.h"

namespace weft::fibers {

// Somebody has not come to a wait for at least that long.
struct HogReport {
  std::string task;           // Its name; empty: a call from outside, a callback of the scheduler.
  std::uint64_t task_id = 0;  // Task::id(), or 0.
  Duration at_least{};
  // Where it is, innermost first: see describe_frame in backtrace.h.
  std::vector<const void*> backtrace;

  // As above: a line, and one for each function.
  std::string describe() const;
};

struct WatchdogOptions {
  Duration limit = std::chrono::milliseconds(100);
  // Called once for each hogging, by the watchdog's thread, beside the run: it must not use what
  // belongs to tasks. Empty: logs a warning.
  std::function<void(const HogReport&)> report = {};
  // The signal that is sent; 0 means SIGURG, which nobody misses, for its default is to be ignored.
  // A handler that was there before is called for all that the watchdog has not sent.
  int signal = 0;
  // For tests: the time, instead of the machine's. Then there is no thread; call look().
  std::function<Duration()> clock = {};
};

// A resource, for one run at a time. Taken off a run that goes on, it has to be destroyed as well,
// or it takes silence for hogging.
class Watchdog final : public Instrument {
 public:
  // Throws UsageError for a limit that is not above zero, std::system_error for a bad signal.
  explicit Watchdog(WatchdogOptions options = {});
  ~Watchdog() override;

  // What its thread does from time to time: looks whether the run has made progress, and reports.
  //
  // Blocks: the thread, until the run's thread has taken the signal; a second at most.
  // Cancel: does not apply.
  // Threads: any but the run's own.
  void look();

  void before_run() override;
  void after_run() override;
  void before_io_wait(Duration timeout) override;
  void after_io_wait(Duration timeout) override;

 private:
  class Dog;
  std::unique_ptr<Dog> dog_;
};

}  // namespace weft::fibers
