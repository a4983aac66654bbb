// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/chrome_trace.h"

#include <algorithm>
#include <cerrno>
#include <locale>
#include <system_error>
#include <utility>

#include "weft/fibers/log.h"

namespace weft::fibers {

namespace {

// Tasks are numbered from 1.
constexpr std::uint64_t kWhoRan = 0;

// How many bytes the character at the beginning of `text` takes; 0: it is no UTF-8.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xc0U) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first < 0xf0) {
    const bool overlong = first == 0xe0 && byte(1) < 0xa0;
    const bool surrogate = first == 0xed && byte(1) >= 0xa0;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xf0 && first < 0xf5) {
    const bool overlong = first == 0xf0 && byte(1) < 0x90;
    const bool too_large = first == 0xf4 && byte(1) >= 0x90;
    return follows(1) && follows(2) && follows(3) && !overlong && !too_large ? 4 : 0;
  }
  return 0;
}

void add_escaped(std::string& to, char c) {
  if (c == '"' || c == '\\') {
    to += {'\\', c};
  } else if (static_cast<unsigned char>(c) < 0x20) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    to += "\\u00";
    to += {kDigits[static_cast<std::size_t>(c) / 16], kDigits[static_cast<std::size_t>(c) % 16]};
  } else {
    to += c;
  }
}

// JSON is UTF-8; a name may be anything.
std::string in_quotes(std::string_view text) {
  std::string result = "\"";
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) result += "\\ufffd";
    if (length == 1) add_escaped(result, text.front());
    if (length > 1) result += text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return result + '"';
}

// With a point, whatever the program's locale writes there.
std::string microseconds(std::chrono::nanoseconds time) {
  std::string digits = std::to_string(time.count());
  if (digits.size() < 4) digits.insert(0, 4 - digits.size(), '0');
  return digits.insert(digits.size() - 3, 1, '.');
}

}  // namespace

ChromeTrace::ChromeTrace(const std::string& path) : path_(path), file_(path) {
  if (!file_) {
    throw std::system_error(errno, std::generic_category(), "cannot write a trace to " + path);
  }
  file_.imbue(std::locale::classic());  // Numbers without a separator of thousands.
  file_ << "[\n";
  name_track(kWhoRan, in_quotes("who ran"));
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
  begin_event();
  file_ << R"({"ph":"X","name":)" << quoted_name << R"(,"pid":1,"tid":)" << track << R"(,"ts":)"
        << microseconds(begin - start_) << R"(,"dur":)" << microseconds(end - begin) << '}';
}

// Also of a task that was there before the instrument.
ChromeTrace::Track& ChromeTrace::track_of(const Task& task) {
  const auto [found, is_new] = tracks_.try_emplace(task.id());
  if (is_new) {
    found->second.name = in_quotes(task.name());
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
      return change(task.id(), track, in_quotes(task.waiting_for()));
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
  // What is missing is of no consequence for the run, but its owner should know.
  if (!file_) log(LogLevel::kWarning, "the trace " + path_ + " could not be written to its end");
}

}  // namespace weft::fibers
