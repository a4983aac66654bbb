// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Finding the task that hogs the thread: it computes, or makes a blocking system call, and all
// others have to wait for it.
//
//   run(main, {.instruments = {std::make_shared<Watchdog>(WatchdogOptions{.limit = 50ms})}});
//
//   task 'parse' #7 has kept the thread for 61 ms without a wait:
//     read_everything(std::string const&) at parse.cc:31 [server+0x2a1f]
//     ...
//
// The watchdog has a thread that looks at the run four times in each limit. It only reads whether
// the run has polled for I/O since; tasks hand over to each other at full speed. If the run has not
// polled, the thread sends a signal to the run's thread, whose handler notes the running task and
// its stack: first to have a suspect, and again when the limit has passed.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "weft/fibers/instrument.h"

namespace weft::fibers {

// A task has not come to a wait for at least that long.
struct HogReport {
  std::string task;           // Its name. Empty: a call from outside, a callback of the scheduler.
  std::uint64_t task_id = 0;  // Task::id(), or 0.
  Duration at_least{};
  // Where it is, innermost first: see describe_frame in backtrace.h.
  std::vector<const void*> backtrace;

  // The text above: one line, and one for each function.
  std::string describe() const;
};

struct WatchdogOptions {
  Duration limit = std::chrono::milliseconds(100);
  // Called once for each hog, on the watchdog's thread, while the run goes on: it must not touch
  // what belongs to tasks. Empty: logs a warning.
  std::function<void(const HogReport&)> report = {};
  // The signal to send. 0 means SIGURG, which is ignored by default. A handler that was there
  // before is called for signals that the watchdog has not sent.
  int signal = 0;
  // For tests: a clock instead of the machine's. Then there is no thread; call look().
  std::function<Duration()> clock = {};
};

// A resource, for one run at a time. If you remove it from a run that goes on, destroy it too: it
// would take the silence for a hog.
class Watchdog final : public Instrument {
 public:
  // Throws UsageError for a limit that is not above zero, std::system_error for a bad signal.
  explicit Watchdog(WatchdogOptions options = {});
  ~Watchdog() override;

  // Checks whether the run has made progress, and reports if not. The watchdog's thread calls it.
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
