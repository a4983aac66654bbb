// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/chrome_trace.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

namespace weft::fibers {

namespace {

// Tasks are numbered from 1.
constexpr std::uint64_t kWhoRan = 0;

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      std::array<char, 8> escape;
      std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(c));
      result += escape.data();
    } else {
      result += c;
    }
  }
  return result + '"';
}

}  // namespace

ChromeTrace::ChromeTrace(const std::string& path) : file_(path) {
  if (!file_) {
    throw std::system_error(errno, std::generic_category(), "cannot write a trace to " + path);
  }
  file_ << "[\n";
  name_track(kWhoRan, quoted("who ran"));
}

ChromeTrace::~ChromeTrace() {
  finish();
}

void ChromeTrace::begin_event() {
  if (!std::exchange(first_, false)) file_ << ",\n";
}

void ChromeTrace::name_track(std::uint64_t track, std::string_view quoted_name) {
  begin_event();
  file_ << R"({"ph":"M","name":"thread_name","pid":1,"tid":)" << track << R"(,"args":{"name":)"
        << quoted_name << "}}";
}

void ChromeTrace::slice(std::uint64_t track, std::string_view quoted_name, Clock::time_point begin,
                        Clock::time_point end) {
  using Microseconds = std::chrono::duration<double, std::micro>;
  std::array<char, 96> times;
  std::snprintf(times.data(), times.size(), R"("ts":%.3f,"dur":%.3f})",
                Microseconds(begin - start_).count(), Microseconds(end - begin).count());
  begin_event();
  file_ << R"({"ph":"X","name":)" << quoted_name << R"(,"pid":1,"tid":)" << track << ','
        << times.data();
}

// Also of a task that was there before the instrument.
ChromeTrace::Track& ChromeTrace::track_of(const Task& task) {
  const auto [found, is_new] = tracks_.try_emplace(task.id());
  if (is_new) {
    found->second.name = quoted(task.name());
    name_track(task.id(), found->second.name);
  }
  return found->second;
}

void ChromeTrace::change(std::uint64_t id, Track& track, std::string_view to) {
  const Clock::time_point now = Clock::now();
  if (!track.present.empty()) slice(id, track.present, track.since, now);
  track.present = to;
  track.since = now;
}

void ChromeTrace::task_spawned(Task& task) {
  track_of(task);
}

void ChromeTrace::task_scheduled(Task& task) {
  Track& track = track_of(task);
  // In the middle of its step, by a checkpoint: the step goes on.
  if (track.present != "\"running\"") change(task.id(), track, "\"ready\"");
}

void ChromeTrace::before_task_step(Task& task) {
  change(task.id(), track_of(task), "\"running\"");
}

void ChromeTrace::after_task_step(Task& task) {
  Track& track = track_of(task);
  if (track.present == "\"running\"") slice(kWhoRan, track.name, track.since, Clock::now());
  switch (task.state()) {
    case TaskState::kWaiting:
      return change(task.id(), track, quoted(task.waiting_for()));
    case TaskState::kReady:
      return change(task.id(), track, "\"ready\"");
    case TaskState::kRunning:  // This was its last step.
    case TaskState::kDone:
      change(task.id(), track, "");
      tracks_.erase(task.id());
  }
}

void ChromeTrace::before_io_wait(Duration /*timeout*/) {
  io_since_ = Clock::now();
}

void ChromeTrace::after_io_wait(Duration timeout) {
  const bool may_sleep = timeout > Duration::zero();
  slice(kWhoRan, may_sleep ? "\"(waiting for events)\"" : "\"(looking for events)\"", io_since_,
        Clock::now());
}

void ChromeTrace::after_run() {
  finish();
}

void ChromeTrace::finish() {
  if (std::exchange(finished_, true)) return;
  for (auto& [id, track] : tracks_) change(id, track, "");
  file_ << "\n]\n";
  file_.close();
}

}  // namespace weft::fibers
