// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Writes what a run does to a file that ui.perfetto.dev and chrome://tracing show: one track a
// task, with when it ran, was ready and waited for what, and one track that says who ran.
//
//   run(main, {.instruments = {std::make_shared<ChromeTrace>("trace.json")}});

#pragma once

#include <chrono>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "weft/fibers/instrument.h"
#include "weft/fibers/task.h"

namespace weft::fibers {

// Times are of the machine's clock, in microseconds since the instrument was made, also under a
// clock of one's own. The file is complete when the run has ended, or the instrument is destroyed;
// a viewer also takes one that was cut off. If the disk is full, a warning in the log says at the
// end that some of it is missing. For one run.
class ChromeTrace final : public Instrument {
 public:
  // Throws std::system_error, with the path, if the file cannot be written.
  explicit ChromeTrace(const std::string& path);
  ~ChromeTrace() override;

  void after_run() override;
  void task_spawned(Task& task) override;
  void task_scheduled(Task& task) override;
  void before_task_step(Task& task) override;
  void after_task_step(Task& task) override;
  void before_io_wait(Duration timeout) override;
  void after_io_wait(Duration timeout) override;

 private:
  using Clock = std::chrono::steady_clock;
  // A task's life goes on as this since then.
  struct Track {
    std::string name;     // As in the file, with quotes.
    std::string present;  // Empty: nothing to show.
    Clock::time_point since{};
  };

  Track& track_of(const Task& task);
  // Ends what the track has been at, and begins something else.
  void change(std::uint64_t id, Track& track, std::string_view to);
  void slice(std::uint64_t track, std::string_view quoted_name, Clock::time_point begin,
             Clock::time_point end);
  void name_track(std::uint64_t track, std::string_view quoted_name);
  void begin_event();
  void finish();

  const std::string path_;
  std::ofstream file_;
  const Clock::time_point start_ = Clock::now();
  std::unordered_map<std::uint64_t, Track> tracks_;  // Of the living tasks, by their ids.
  Clock::time_point io_since_{};
  bool first_ = true;
  bool finished_ = false;
};

}  // namespace weft::fibers
