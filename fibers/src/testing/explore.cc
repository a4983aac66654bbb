// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/explore.h"

#include <absl/cleanup/cleanup.h>
#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "fibers/src/testing/schedules.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/format_exception.h"
#include "weft/fibers/run.h"
#include "weft/fibers/task.h"
#include "weft/fibers/testing/explore_guest.h"
#include "weft/fibers/testing/mock_clock.h"

namespace weft::fibers::testing {

namespace {

// FNV-1a.
class TraceHash {
 public:
  void add(std::uint64_t word) {
    for (int i = 0; i < 8; ++i, word >>= 8) add_byte(static_cast<unsigned char>(word));
  }
  void add(std::string_view text) {
    for (const char c : text) add_byte(static_cast<unsigned char>(c));
    add_byte(0);
  }
  std::uint64_t value() const { return value_; }

 private:
  void add_byte(unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001b3; }

  std::uint64_t value_ = 0xcbf29ce484222325;
};

// One schedule: makes the run choose as `schedules` wants, and notes what happens.
class OneSchedule final : public ScheduleSource {
 public:
  OneSchedule(Schedules& schedules, const ExploreOptions& options)
      : schedules_(schedules), options_(options) {}

  // Null if the body held.
  std::exception_ptr run(const ExploreHost& host, const std::function<void(Exploration&)>& body) {
    MockClock clock(0.0, Duration::zero());
    try {
      host([&] { run_body(body); }, {.clock = &clock,
                                     .stack_size = options_.stack_size,
                                     .schedule_source = this,
                                     .check_captures = true});
    } catch (...) {
      return std::current_exception();
    }
    if (!ended_) {
      misuse_ = std::make_exception_ptr(UsageError(
          "the host of an explored guest run returned before the run was over; it has to turn its "
          "loop until then"));
    }
    return nullptr;
  }

  // Why what it notes cannot be relied on; null if it can.
  const std::exception_ptr& misuse() const { return misuse_; }
  const std::vector<std::size_t>& choices() const { return choices_; }
  std::uint64_t trace_hash() const { return trace_.value(); }

 private:
  bool fair() const override { return options_.fair; }

  std::size_t choose(const ReadyTasks& ready) override {
    if (++steps_ > options_.steps) cut_short();
    std::size_t chosen = 0;
    if (ready.size() > 1) {
      chosen = decide(ready);
      choices_.push_back(chosen);
    }
    trace_.add(ready.size());
    trace_.add(ordinal(ready[chosen]));
    return chosen;
  }

  void at_cancel_point(Task&, const char* what) override { trace_.add(what); }

  void run_body(const std::function<void(Exploration&)>& body) {
    const absl::Cleanup end = [this] { ended_ = true; };
    CancelScope& scope = scope_.emplace();
    scope.run([&] {
      const absl::Cleanup forget = [this] { exploration_.prune(nullptr); };
      body(exploration_);
    });
    if (too_long()) throw std::runtime_error(too_long_text());
  }

  std::size_t decide(const ReadyTasks& ready) {
    if (misuse_ != nullptr) return 0;
    try {
      return schedules_.choose(ready, exploration_);
    } catch (...) {
      misuse_ = std::current_exception();
      return 0;
    }
  }

  // By when they first ran, for their numbers depend on the runs before.
  std::uint64_t ordinal(const Task& task) {
    return ordinals_.try_emplace(task.id(), ordinals_.size()).first->second;
  }

  bool too_long() const { return steps_ > options_.steps; }
  std::string too_long_text() const {
    return "the body has not come to an end within " + std::to_string(options_.steps) +
           " steps; see ExploreOptions::steps and fair";
  }
  void cut_short() {
    if (steps_ == options_.steps + 1) {
      scope_->cancel("too many steps");
    } else if (steps_ > 2 * options_.steps + 1000) {
      std::fprintf(stderr, "%s; it does not end when it is cancelled either: WEFT_REPLAY=%s\n",
                   too_long_text().c_str(), schedules_.token(choices_).c_str());
      std::abort();
    }
  }

  Schedules& schedules_;
  const ExploreOptions& options_;
  Exploration exploration_;
  std::optional<CancelScope> scope_;
  bool ended_ = false;
  std::vector<std::size_t> choices_;
  std::uint64_t steps_ = 0;
  TraceHash trace_;
  absl::flat_hash_map<std::uint64_t, std::uint64_t> ordinals_;
  std::exception_ptr misuse_;
};

std::string wanted_token(const ExploreOptions& options) {
  if (!options.replay.empty()) return options.replay;
  const char* replay = std::getenv("WEFT_REPLAY");
  return replay != nullptr ? replay : "";
}

[[noreturn]] void throw_failure(const std::exception_ptr& error, std::uint64_t schedule,
                                const std::string& token) {
  try {
    std::rethrow_exception(error);
  } catch (...) {
    std::throw_with_nested(ExploreError("schedule " + std::to_string(schedule) + " failed:\n" +
                                            format_exception(error, {.backtraces = false}) +
                                            "to run it alone: WEFT_REPLAY=" + token,
                                        token));
  }
}

}  // namespace

bool is_replay(const ExploreOptions& options) {
  return !wanted_token(options).empty();
}

namespace detail {

ExploreResult explore_erased(const std::function<void(Exploration&)>& body,
                             const ExploreOptions& options) {
  return explore_guest_erased(
      [](const std::function<void()>& main, const RunOptions& run) { fibers::run(main, run); },
      body, options);
}

ExploreResult explore_guest_erased(const ExploreHost& host,
                                   const std::function<void(Exploration&)>& body,
                                   const ExploreOptions& options) {
  const std::string token = wanted_token(options);
  const auto schedules = token.empty() ? make_schedules(options) : replay_of(token);
  ExploreResult result;
  TraceHash trace;
  for (bool more = true; more && result.schedules < options.schedules;) {
    schedules->begin();
    OneSchedule one(*schedules, options);
    std::exception_ptr error = one.run(host, body);
    if (one.misuse() != nullptr) std::rethrow_exception(one.misuse());
    ++result.schedules;
    result.choices = std::max(result.choices, one.choices().size());
    trace.add(one.trace_hash());
    if (error == nullptr && options.failed && options.failed()) {
      error = std::make_exception_ptr(std::runtime_error("a check did not hold"));
    }
    if (error != nullptr) {
      throw_failure(error, result.schedules, schedules->token(one.choices()));
    }
    more = schedules->next(one.choices().size()) && token.empty();
  }
  result.pruned = schedules->pruned();
  result.exhausted = schedules->exhausted();
  result.trace_hash = trace.value();
  return result;
}

}  // namespace detail

}  // namespace weft::fibers::testing
