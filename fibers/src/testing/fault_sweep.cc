// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/fault_sweep.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <new>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "fibers/src/testing/children.h"
#include "fibers/src/testing/fault_gate.h"
#include "fibers/src/testing/fault_limit.h"
#include "weft/fibers/backtrace.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/format_exception.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/left_over.h"
#include "weft/fibers/testing/mock_clock.h"

namespace weft::fibers::testing {

namespace {

// A body that fails with an error of its own is in order, if one can see from where it comes.
constexpr const char* kUnexplained =
    "\nwhich the fault does not explain: rethrow what you caught, nest it "
    "(std::throw_with_nested), or "
    "name this in FaultSweepOptions::allowed";

// Growth counts as a leak when it comes so often in a row: what is kept for later is kept once.
constexpr int kLeaks = 3;

bool lacks_memory(const FaultTarget& target) {
  constexpr std::array<std::string_view, 4> kCalls{kAllocation, "mmap", "mprotect", "madvise"};
  return std::find(kCalls.begin(), kCalls.end(), target.place.name) != kCalls.end();
}

// Asks `f` of each exception that is no group.
template <class F>
bool all_leaves(const std::exception_ptr& error, const F& f) {
  try {
    std::rethrow_exception(error);
  } catch (const BaseExceptionGroup& group) {
    const auto& inside = group.exceptions();
    return std::all_of(inside.begin(), inside.end(),
                       [&](const std::exception_ptr& each) { return all_leaves(each, f); });
  } catch (...) {
    return f(error);
  }
}

bool explains(const FaultTarget& target, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::bad_alloc&) {
    return lacks_memory(target);
  } catch (const std::system_error& e) {
    if (target.fault.error != 0 && e.code().value() == target.fault.error) return true;
  } catch (...) {
    static_cast<void>(0);  // Only what is nested matters.
  }
  try {
    std::rethrow_exception(error);
  } catch (const std::nested_exception& outer) {
    const std::exception_ptr cause = outer.nested_ptr();
    return cause != nullptr && all_leaves(cause, [&](const std::exception_ptr& each) {
             return explains(target, each);
           });
  } catch (...) {
    return false;
  }
}

// The numbers of a token are in the middle: "worker.read.3.EINTR".
FaultTarget fault_target_of(const std::string& token) {
  FaultTarget target;
  std::string_view rest = token;
  constexpr std::string_view kWorker = "worker.";
  target.place.in_worker = rest.substr(0, kWorker.size()) == kWorker;
  if (target.place.in_worker) rest.remove_prefix(kWorker.size());
  const std::size_t dot = std::min(rest.find('.'), rest.size());
  target.place.name = rest.substr(0, dot);
  rest.remove_prefix(std::min(dot + 1, rest.size()));
  const auto [end, error] =
      std::from_chars(rest.data(), rest.data() + rest.size(), target.place.number);
  const std::string_view fault(end, static_cast<std::size_t>(rest.data() + rest.size() - end));
  if (error != std::errc() || (!fault.empty() && fault.front() != '.')) {
    throw UsageError("'" + token + "' is not the token of a fault; copy it from the message");
  }
  target.fault_name = fault.empty() ? fault : fault.substr(1);
  return target;
}

// A matcher of GoogleTest that has no memory for its second part loses the first.
bool failed_in_googletest() {
  bool allocating = false;
  for (const void* const address : FaultGate::instance().stack()) {
    const std::string name = describe_address(address);
    if (!allocating) {
      allocating = name.find("operator new") != std::string::npos;
    } else if (name.starts_with("testing::") || name.starts_with("_ZN7testing") ||
               name.starts_with("_ZNK7testing")) {
      return true;
    } else if (name.find("weft::") != std::string::npos) {
      return false;
    }
  }
  return false;
}

class FaultSweep {
 public:
  FaultSweep(const std::function<void()>& body, const FaultSweepOptions& options)
      : body_(body), options_(options), limit_(options.time_limit) {}

  FaultSweepResult run() {
    std::string wanted = replay();
    if (!wanted.empty()) static_cast<void>(fault_target_of(wanted));  // Refuses what is none.
    std::vector<FaultTarget> targets = find_targets();
    if (!wanted.empty()) keep_only(targets, wanted);
    const std::size_t count = std::min(targets.size(), options_.most);
    for (std::size_t i = 0; i < count && failed_ < options_.failures; ++i) {
      attempt(targets[i * targets.size() / count]);
    }
    if (failed_ > 0) throw FaultSweepError(failures_, first_token_);
    return result_;
  }

 private:
  std::string replay() const {
    if (!options_.replay.empty()) return options_.replay;
    const char* const wanted = std::getenv("WEFT_FAULT");  // NOLINT(concurrency-mt-unsafe)
    return wanted != nullptr ? wanted : "";
  }

  void keep_only(std::vector<FaultTarget>& targets, const std::string& token) const {
    std::erase_if(targets, [&](const FaultTarget& each) { return each.token() != token; });
    if (!targets.empty()) return;
    std::string why =
        "the fault '" + token + "' belongs to another body: this one comes to no such place";
    if (fault_target_of(token).place.name == kAllocation && !allocations()) {
      why = "the fault '" + token +
            "' cannot come: allocations fail only in a program that links weft::fail_allocations, "
            "and with FaultSweepOptions::allocations";
    }
    throw UsageError(why);
  }

  bool allocations() const { return options_.allocations && sys::allocations_may_fail; }

  // The first run makes what is made once in a process.
  std::vector<FaultTarget> find_targets() {
    for (int i = 0; i < 2; ++i) {
      limit_.begin("none");
      const std::exception_ptr error = once(nullptr);
      limit_.end();
      if (error != nullptr && !options_.may_throw) std::rethrow_exception(error);
      if (options_.check) options_.check();
    }
    const FaultPoints points = FaultGate::instance().take_points();
    result_.calls = points.calls.size();
    std::vector<FaultTarget> targets;
    for (const FaultPoint& point : points.calls) {
      if (!options_.calls) break;
      for (const Fault& fault : point.faults) {
        targets.push_back({point.place, fault, name_of(point.asked, fault)});
      }
    }
    for (const bool in_worker : {false, true}) {
      if (!allocations()) break;
      const std::size_t count = points.allocations[in_worker ? 1 : 0];
      result_.allocations += count;
      for (std::size_t i = 0; i < count; ++i)
        targets.push_back({{std::string(kAllocation), i, in_worker}, {}, {}});
    }
    return targets;
  }

  // The run, in the thread that it is to have. Gives what it threw.
  std::exception_ptr once(const FaultTarget* target) {
    std::exception_ptr error;
    const auto body = [&] {
      const std::size_t stacks = stack_statistics().in_use;
      error = armed(target);
      stacks_left_ = stack_statistics().in_use - stacks;
    };
    if (options_.own_thread) {
      std::thread(body).join();
    } else {
      body();
    }
    return error;
  }

  std::exception_ptr armed(const FaultTarget* target) {
    MockClock clock(0.0, Duration::zero());
    const RunOptions options{.clock = &clock,
                             .stack_size = options_.stack_size,
                             .in_order = true,
                             .check_captures = true};
    FaultGate::instance().arm(target, allocations());
    std::exception_ptr error;
    try {
      options_.in_run ? fibers::run([this] { body_(); }, options) : body_();
    } catch (...) {
      error = std::current_exception();
    }
    FaultGate::instance().disarm();
    return error;
  }

  void attempt(const FaultTarget& target) {
    try {
      for (int i = 0; i < kLeaks && leaves_memory(target); ++i) {
        if (i + 1 < kLeaks || failed_in_googletest()) continue;
        throw std::runtime_error("memory is left over, each time");
      }
    } catch (...) {
      std::string what = format_exception(std::current_exception(), {.backtraces = false});
      if (options_.check) clean_up();
      while (what.ends_with('\n')) what.pop_back();
      note_failure(target, what + hint_);
    }
  }

  void note_failure(const FaultTarget& target, const std::string& what) {
    if (failed_++ == 0) first_token_ = target.token();
    failures_ += (failures_.empty() ? "" : "\n\n") + std::string("when ") +
                 FaultGate::instance().place() + ":\n" + what +
                 "\nto run it alone: WEFT_FAULT=" + target.token();
  }

  // What is checked after each run may also be what makes room for the next.
  void clean_up() const {
    try {
      options_.check();
    } catch (...) {
      static_cast<void>(0);  // It has failed already.
    }
  }

  bool leaves_memory(const FaultTarget& target) {
    const LeftOver since;
    const bool had_children = has_child_process();
    const std::int64_t memory = sys::allocations_alive;
    hint_ = "";
    limit_.begin(target.token());
    std::exception_ptr error = once(&target);
    limit_.end();
    if (FaultGate::instance().hit()) ++result_.runs;
    if (error != nullptr && !is_fine(target, error)) {
      hint_ = holds<DeadlockError>(error) ? "" : kUnexplained;
      std::rethrow_exception(error);
    }
    error = nullptr;
    if (stacks_left_ != 0) throw std::runtime_error("stacks are left over");
    if (const std::string left = since.find(); !left.empty()) throw std::runtime_error(left);
    if (!had_children && !children_go()) throw std::runtime_error("a child is left over");
    if (options_.check) options_.check();
    return allocations() && !memory_comes_down_to(memory);
  }

  bool is_fine(const FaultTarget& target, const std::exception_ptr& error) const {
    return all_leaves(error, [&](const std::exception_ptr& each) {
      if (holds<DeadlockError>(each)) return false;
      if (options_.may_throw || (options_.allowed && options_.allowed(each))) return true;
      const bool noticed = target.place.name == kAllocation || !is_invisible(target.fault);
      return noticed && FaultGate::instance().hit() && explains(target, each);
    });
  }

  // Another thread may be about to let go of what it had.
  static bool memory_comes_down_to(std::int64_t memory) {
    for (int i = 0; i < 20; ++i) {
      if (sys::allocations_alive <= memory) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }

  const std::function<void()>& body_;
  const FaultSweepOptions& options_;
  FaultLimit limit_;
  FaultSweepResult result_;
  std::size_t stacks_left_ = 0;
  const char* hint_ = "";
  std::size_t failed_ = 0;
  std::string failures_;
  std::string first_token_;
};

}  // namespace

FaultSweepResult fault_sweep(const std::function<void()>& body, const FaultSweepOptions& options) {
  return FaultSweep(body, options).run();
}

}  // namespace weft::fibers::testing
