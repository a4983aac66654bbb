// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// How every C++ subject measures. A subject is one executable; `SUBJECT WORK SECONDS` runs one work
// for about that long and prints one JSON line, `SUBJECT --works` lists what it can do. The driver
// (tools/bench/run) starts subjects in turns and takes medians over the processes; here only the
// median of one process's batches is taken.

#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bench {

class Meter {
 public:
  using Clock = std::chrono::steady_clock;

  Meter(std::string subject, std::string work, double seconds)
      : subject_(std::move(subject)), work_(std::move(work)), budget_(seconds) {}

  // Measures batch(n), which does n counts of something, `operations_per_count` operations each:
  // n grows until one batch lasts a twentieth of the budget (that is also the warm-up), then
  // batches are measured until the budget is used up.
  template <class F>
  void run(F&& batch, double operations_per_count = 1) {
    std::uint64_t counts = 1;
    while (time(batch, counts) < budget_ * 1e9 / 20 && counts < (std::uint64_t{1} << 40))
      counts *= 2;
    do {
      const double ns = time(batch, counts);
      add(ns, static_cast<double>(counts) * operations_per_count);
    } while (more());
  }

  // For works whose set-up must not be timed: while (meter.more()) { set up; meter.add(ns, n); }.
  // At least three samples, so that the first, cold one is never the median.
  bool more() {
    if (samples_.empty()) start_ = Clock::now();
    return samples_.size() < 3 || seconds_since(start_) < budget_;
  }
  void add(double nanoseconds, double operations) {
    if (samples_.empty() && start_ == Clock::time_point{}) start_ = Clock::now();
    samples_.push_back(nanoseconds / operations);
  }
  // For works that are not about time.
  void set(double value, std::string unit) {
    samples_.assign(1, value);
    unit_ = std::move(unit);
  }
  // A further number for the JSON line.
  void note(const std::string& name, double value) { notes_.emplace_back(name, value); }

  // Prints the line and ends the process. Tearing down a million parked tasks is nobody's
  // measurement.
  [[noreturn]] void finish() {
    std::sort(samples_.begin(), samples_.end());
    std::printf(R"({"work": "%s", "subject": "%s", "value": %.6g, "unit": "%s", "batches": %zu)",
                work_.c_str(), subject_.c_str(), samples_[samples_.size() / 2], unit_.c_str(),
                samples_.size());
    for (const auto& [name, value] : notes_) std::printf(R"(, "%s": %.10g)", name.c_str(), value);
    std::puts("}");
    std::fflush(stdout);
    std::_Exit(0);
  }

  static double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

 private:
  template <class F>
  static double time(F& batch, std::uint64_t counts) {
    const auto start = Clock::now();
    batch(counts);
    return seconds_since(start) * 1e9;
  }

  std::string subject_;
  std::string work_;
  double budget_;
  Clock::time_point start_{};
  std::vector<double> samples_;
  std::vector<std::pair<std::string, double>> notes_;
  std::string unit_ = "ns";
};

struct Work {
  const char* name;
  void (*measure)(Meter&);
};

// The main function of a subject.
inline int subject_main(const char* subject, const std::vector<Work>& works, int argc,
                        char** argv) {
  const std::string_view wanted = argc > 1 ? argv[1] : "";
  if (wanted == "--works") {
    for (const Work& work : works) std::puts(work.name);
    return 0;
  }
  for (const Work& work : works) {
    if (wanted != work.name) continue;
    Meter meter(subject, work.name, argc > 2 ? std::atof(argv[2]) : 0.5);
    work.measure(meter);
    meter.finish();
  }
  std::fprintf(stderr, "usage: %s WORK [SECONDS] | --works\n", argv[0]);
  return 2;
}

// Keeps the optimiser from dropping `value`.
template <class T>
inline void keep(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

}  // namespace bench
