// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/cancel_sweep.h"

#include <absl/cleanup/cleanup.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <limits>
#include <map>
#include <optional>
#include <string_view>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/format_exception.h"
#include "weft/fibers/inspect.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/run.h"
#include "weft/fibers/schedule_source.h"
#include "weft/fibers/task.h"
#include "weft/fibers/testing/left_over.h"
#include "weft/fibers/testing/mock_clock.h"

namespace weft::fibers::testing {

namespace {

constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();

struct Moment {
  CancelMoment moment;
  std::string_view text;
  std::string_view token;
};
constexpr auto kMoments = std::to_array<Moment>({
    {CancelMoment::kOnArrival, "on arrival", "arrival"},
    {CancelMoment::kParked, "while it waited", "parked"},
    {CancelMoment::kWoken, "when it had just been woken", "woken"},
});

std::string_view text_of(CancelMoment moment) {
  return kMoments[static_cast<std::size_t>(moment)].text;
}

// Where one run is cancelled.
struct CancelTarget {
  std::size_t checkpoint = kNever;
  CancelMoment moment = CancelMoment::kOnArrival;
  // "12.woken".
  std::string token() const {
    return std::to_string(checkpoint) + "." +
           std::string(kMoments[static_cast<std::size_t>(moment)].token);
  }
};

CancelTarget cancel_target_of(const std::string& token) {
  const char* const end = token.data() + token.size();
  CancelTarget target;
  const auto [dot, error] = std::from_chars(token.data(), end, target.checkpoint);
  if (error == std::errc() && dot != end && *dot == '.') {
    for (const Moment& each : kMoments) {
      target.moment = each.moment;
      if (std::string_view(dot + 1, static_cast<std::size_t>(end - dot - 1)) == each.token)
        return target;
    }
  }
  throw UsageError("'" + token +
                   "' is not the token of a cancellation; copy it from the message of the failure");
}

// One run, cancelled at `target`; the tasks take turns as always. A task that comes to `patience`
// more of them although it is cancelled will never end.
class OneRun final : public ScheduleSource {
 public:
  OneRun(const CancelTarget& target, std::size_t patience) : target_(target), patience_(patience) {}

  void run(const std::function<void()>& body, const CancelSweepOptions& options) {
    MockClock clock(0.0, Duration::zero());
    fibers::run(
        [&] {
          if (target_.moment == CancelMoment::kParked) start_canceller();
          CancelScope& scope = scope_.emplace();
          active_ = true;
          const absl::Cleanup ended = [this] { active_ = false; };
          scope.run(body);
          if (const std::string said = last_swallowed_cancelled(); !said.empty()) {
            throw std::runtime_error(said);
          }
        },
        {.clock = options.real_time ? nullptr : &clock,
         .stack_size = options.stack_size,
         .schedule_source = this,
         .check_captures = true});
  }

  std::size_t checkpoints() const { return reached_; }
  // Whether the moment has come: a task that nobody woke was never just woken.
  bool cancelled() { return scope_->cancel_called(); }
  // Whether the checkpoint has been reached at all.
  bool arrived() const { return reached_ > target_.checkpoint; }
  const std::string& place() const { return place_; }
  // Where everybody was when the cancellation came.
  const std::string& tree() const { return tree_; }

 private:
  void at_cancel_point(Task& task, const char* what) override {
    if (!active_) return;
    if (arrived() && scope_->cancel_called() && ++since_[task.id()] > patience_)
      give_up(task, what);
    if (reached_++ != target_.checkpoint) return;
    place_ = "checkpoint " + std::to_string(target_.checkpoint) + ", '" + what + "' in task '" +
             std::string(task.name()) + "', " + std::string(text_of(target_.moment));
    switch (target_.moment) {
      case CancelMoment::kOnArrival:
        cancel();
        break;
      case CancelMoment::kParked:
        reschedule(*canceller_);
        break;
      case CancelMoment::kWoken:
        arrived_ = task.id();
    }
  }

  // Always the first: what would run next without a source.
  std::size_t choose(const ReadyTasks& ready) override {
    if (arrived_ != 0 && active_ && ready[0].id() == arrived_) {
      arrived_ = 0;
      cancel();
    }
    return 0;
  }

  void cancel() {
    tree_ = dump_task_tree();
    scope_->cancel("the sweep has come to this checkpoint");
  }

  // Nothing that is thrown would end it: that is what is wrong with it.
  [[noreturn]] void give_up(const Task& task, const char* what) const {
    const std::string text =
        "cancel_sweep: cancelled at " + place_ + ":\ntask '" + std::string(task.name()) + "' #" +
        std::to_string(task.id()) + " never ends, and has come to " + std::to_string(patience_) +
        " waits since, now '" + what +
        "'; catch (...) blocks have to rethrow what they do not know\n" + dump_task_tree();
    std::fputs(text.c_str(), stderr);
    std::abort();
  }

  void start_canceller() {
    spawn_system_task(
        [this] {
          canceller_ = &current_task();
          wait_task_rescheduled([](const RaiseCancel&) { return Abort::kSucceeded; },
                                {"cancel_sweep"});
          cancel();
        },
        {.name = "cancel_sweep"});
    while (canceller_ == nullptr) checkpoint();
  }

  const CancelTarget target_;
  const std::size_t patience_;
  std::optional<CancelScope> scope_;
  bool active_ = false;
  std::size_t reached_ = 0;
  Task* canceller_ = nullptr;
  std::uint64_t arrived_ = 0;
  std::map<std::uint64_t, std::size_t> since_;  // Checkpoints of each task since the cancellation.
  std::string place_;
  std::string tree_;
};

bool says_stuck(const std::exception_ptr& error) {
  const auto matches = [](const std::exception_ptr& e) {
    return holds<DeadlockError>(e) || holds<InternalError>(e);
  };
  try {
    std::rethrow_exception(error);
  } catch (const BaseExceptionGroup& group) {
    return group.subgroup(matches) != nullptr;
  } catch (...) {
    return matches(error);
  }
}

class CancelSweep {
 public:
  CancelSweep(const std::function<void()>& body, const CancelSweepOptions& options)
      : body_(body), options_(options) {}

  CancelSweepResult run() {
    result_.checkpoints = count();
    if (const std::string token = wanted_token(); !token.empty()) {
      cancel_at_token(token);
      return result_;
    }
    const std::size_t affordable = options_.effort / std::max<std::size_t>(result_.checkpoints, 1);
    result_.swept =
        std::min({result_.checkpoints, options_.most, std::max<std::size_t>(affordable, 1)});
    for (std::size_t i = 0; i < result_.swept; ++i) {
      const std::size_t checkpoint = i * result_.checkpoints / result_.swept;
      for (const Moment& each : kMoments) cancel_at({checkpoint, each.moment});
    }
    return result_;
  }

 private:
  std::size_t count() {
    OneRun one({}, kNever);
    try {
      one.run(body_, options_);
    } catch (...) {
      if (!options_.may_throw) throw;
    }
    if (options_.check) options_.check();
    patience_ = 10'000 + 10 * one.checkpoints();
    return one.checkpoints();
  }

  std::string wanted_token() const {
    if (!options_.replay.empty()) return options_.replay;
    const char* const wanted = std::getenv("WEFT_CANCEL");  // NOLINT(concurrency-mt-unsafe)
    return wanted != nullptr ? wanted : "";
  }

  void cancel_at_token(const std::string& token) {
    if (!cancel_at(cancel_target_of(token))) {
      throw UsageError("the token '" + token + "' belongs to another body: this one comes to " +
                       std::to_string(result_.checkpoints) + " checkpoints");
    }
    result_.swept = 1;
  }

  // Whether the checkpoint was reached. A task that nobody woke there was never just woken.
  bool cancel_at(const CancelTarget& target) {
    OneRun one(target, patience_);
    try {
      try {
        one.run(body_, options_);
      } catch (...) {
        if (!options_.may_throw || says_stuck(std::current_exception())) throw;
      }
      if (const std::string left = since_.find(); !left.empty()) throw std::runtime_error(left);
      if (options_.check) options_.check();
    } catch (...) {
      throw_failure(one, target);
    }
    if (one.cancelled()) ++result_.runs;
    return one.arrived();
  }

  [[noreturn]] static void throw_failure(const OneRun& one, const CancelTarget& target) {
    std::string what = "cancelled at " + one.place() + ":\n" +
                       format_exception(std::current_exception(), {.backtraces = false});
    if (!one.tree().empty()) what += "\nthe tasks just before that:\n" + one.tree();
    std::throw_with_nested(
        CancelSweepError(what + "to run it alone: WEFT_CANCEL=" + target.token(), target.token()));
  }

  const std::function<void()>& body_;
  const CancelSweepOptions& options_;
  const LeftOver since_;
  CancelSweepResult result_;
  std::size_t patience_ = 0;
};

}  // namespace

CancelSweepResult cancel_sweep(const std::function<void()>& body,
                               const CancelSweepOptions& options) {
  return CancelSweep(body, options).run();
}

}  // namespace weft::fibers::testing
