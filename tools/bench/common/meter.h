// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// How every C++ subject measures. A subject is one executable; `SUBJECT WORK SECONDS` runs one work
// for about that long and prints one JSON line, `SUBJECT --works` lists what it can do. The driver
// (tools/bench/run) starts subjects in turns and takes medians over the processes; here only the
// median of one process's batches is taken.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bench {

// A point in time, in nanoseconds: of the processor's time that this process has used, which is
// what is reported, and of the wall's, which shows if the process was kept waiting. All works keep
// the processor busy; on a quiet machine the two agree.
struct Moment {
  double processor = 0;
  double wall = 0;

  static Moment now() { return {read(CLOCK_PROCESS_CPUTIME_ID), read(CLOCK_MONOTONIC)}; }

 private:
  static double read(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
  }
};

class Meter {
 public:
  Meter(std::string subject, std::string work, double seconds)
      : subject_(std::move(subject)), work_(std::move(work)), budget_(seconds * 1e9) {}

  // Measures batch(n), which does n counts of something, `operations_per_count` operations each:
  // n grows until a batch lasts a twentieth of the budget, and does so again when it is warm; then
  // batches are measured until the budget is used up.
  template <class F>
  void run(F&& batch, double operations_per_count = 1) {
    std::uint64_t counts = 1;
    const auto too_short = [&] {
      const Moment start = Moment::now();
      batch(counts);
      return Moment::now().processor - start.processor < budget_ / 20;
    };
    while (too_short() || too_short()) counts *= 2;
    while (more()) {
      const Moment start = Moment::now();
      batch(counts);
      add(start, static_cast<double>(counts) * operations_per_count);
    }
  }

  // For works whose set-up must not be timed:
  //   while (meter.more()) { set up; start = Moment::now(); do n; meter.add(start, n); }
  // The first kWarmUps are not counted: they touch pages for the first time. At least five are.
  bool more() {
    const double now = Moment::now().processor;
    if (samples_.empty()) began_ = now;
    return samples_.size() < 5 || now - began_ < budget_;
  }
  // `operations` were done from `start` until now.
  void add(Moment start, double operations) {
    const Moment end = Moment::now();
    if (warm_ups_++ < kWarmUps) return;
    samples_.push_back((end.processor - start.processor) / operations);
    walls_.push_back((end.wall - start.wall) / operations);
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
    if (!walls_.empty()) note("wall", median(walls_));
    std::printf(R"({"work": "%s", "subject": "%s", "value": %.6g, "unit": "%s", "batches": %zu)",
                work_.c_str(), subject_.c_str(), median(samples_), unit_.c_str(), samples_.size());
    for (const auto& [name, value] : notes_) std::printf(R"(, "%s": %.10g)", name.c_str(), value);
    std::puts("}");
    std::fflush(stdout);
    std::_Exit(0);
  }

 private:
  static constexpr int kWarmUps = 3;

  static double median(std::vector<double>& values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  }

  std::string subject_;
  std::string work_;
  double budget_;  // Nanoseconds.
  int warm_ups_ = 0;
  double began_ = 0;
  std::vector<double> samples_;
  std::vector<double> walls_;
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
