// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/cancel_sweep.h"

#include <absl/cleanup/cleanup.h>

#include <algorithm>
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

std::string_view text_of(CancelMoment moment) {
  switch (moment) {
    case CancelMoment::kOnArrival:
      return "on arrival";
    case CancelMoment::kParked:
      return "while it waited";
    case CancelMoment::kWoken:
      return "when it had just been woken";
  }
  return "";
}

// One run, cancelled at the checkpoint with the number `target`; the tasks take turns as always. A
// task that comes to `patience` more of them although it is cancelled will never end.
class OneRun final : public ScheduleSource {
 public:
  OneRun(std::size_t target, CancelMoment moment, std::size_t patience)
      : target_(target), moment_(moment), patience_(patience) {}

  void run(const std::function<void()>& body, const CancelSweepOptions& options) {
    MockClock clock(0.0, Duration::zero());
    fibers::run(
        [&] {
          if (moment_ == CancelMoment::kParked) start_canceller();
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
         .schedule_source = this});
  }

  std::size_t checkpoints() const { return reached_; }
  // Whether the moment has come: a task that nobody woke was never just woken.
  bool cancelled() { return scope_->cancel_called(); }
  const std::string& place() const { return place_; }

 private:
  void at_cancel_point(Task& task, const char* what) override {
    if (!active_) return;
    if (reached_ > target_ && scope_->cancel_called() && ++since_[task.id()] > patience_)
      give_up(task, what);
    if (reached_++ != target_) return;
    place_ = "checkpoint " + std::to_string(target_) + ", '" + what + "' in task '" +
             std::string(task.name()) + "', " + std::string(text_of(moment_));
    switch (moment_) {
      case CancelMoment::kOnArrival:
        scope_->cancel("the sweep has come to this checkpoint");
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
      scope_->cancel("the sweep has come to this checkpoint");
    }
    return 0;
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
          scope_->cancel("the sweep has come to this checkpoint");
        },
        {.name = "cancel_sweep"});
    while (canceller_ == nullptr) checkpoint();
  }

  const std::size_t target_;
  const CancelMoment moment_;
  const std::size_t patience_;
  std::optional<CancelScope> scope_;
  bool active_ = false;
  std::size_t reached_ = 0;
  Task* canceller_ = nullptr;
  std::uint64_t arrived_ = 0;
  std::map<std::uint64_t, std::size_t> since_;  // Checkpoints of each task since the cancellation.
  std::string place_;
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

class Sweep {
 public:
  Sweep(const std::function<void()>& body, const CancelSweepOptions& options)
      : body_(body), options_(options) {}

  CancelSweepResult run() {
    CancelSweepResult result;
    result.checkpoints = count();
    const std::size_t affordable = options_.effort / std::max<std::size_t>(result.checkpoints, 1);
    const std::size_t wanted =
        std::min({result.checkpoints, options_.most, std::max<std::size_t>(affordable, 1)});
    for (std::size_t i = 0; i < wanted; ++i) {
      const std::size_t target = i * result.checkpoints / wanted;
      for (const CancelMoment moment :
           {CancelMoment::kOnArrival, CancelMoment::kParked, CancelMoment::kWoken}) {
        if (cancel_at(target, moment)) ++result.runs;
      }
    }
    return result;
  }

 private:
  std::size_t count() {
    OneRun one(kNever, CancelMoment::kOnArrival, kNever);
    try {
      one.run(body_, options_);
    } catch (...) {
      if (!options_.may_throw) throw;
    }
    if (options_.check) options_.check();
    patience_ = 10'000 + 10 * one.checkpoints();
    return one.checkpoints();
  }

  // Whether the moment came.
  bool cancel_at(std::size_t target, CancelMoment moment) {
    OneRun one(target, moment, patience_);
    try {
      try {
        one.run(body_, options_);
      } catch (...) {
        if (!options_.may_throw || says_stuck(std::current_exception())) throw;
      }
      if (const std::string left = since_.find(); !left.empty()) throw std::runtime_error(left);
      if (options_.check) options_.check();
      return one.cancelled();
    } catch (...) {
      const std::string what = format_exception(std::current_exception(), {.backtraces = false});
      std::throw_with_nested(CancelSweepError("cancelled at " + one.place() + ":\n" + what));
    }
  }

  const std::function<void()>& body_;
  const CancelSweepOptions& options_;
  const LeftOver since_;
  std::size_t patience_ = 0;
};

}  // namespace

CancelSweepResult cancel_sweep(const std::function<void()>& body,
                               const CancelSweepOptions& options) {
  return Sweep(body, options).run();
}

}  // namespace weft::fibers::testing
