// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What FIBER_TEST (fiber_test.h) does besides running its body once. With WEFT_CANCEL_SWEEP in the
// environment the body is cancelled at each of its checkpoints; with WEFT_FAULT_SWEEP each of its
// system calls and allocations fails once. WEFT_FAULT_SWEEP=calls and =allocations restrict that.

#pragma once

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "weft/fibers/format_exception.h"
#include "weft/fibers/testing/cancel_sweep.h"
#include "weft/fibers/testing/fault_sweep.h"

namespace weft::fibers::testing {

// Whether the environment asks for it. The token of one cancellation or fault does so too.
inline bool cancel_sweep_wanted() {
  return std::getenv("WEFT_CANCEL_SWEEP") != nullptr || std::getenv("WEFT_CANCEL") != nullptr;
}
inline bool fault_sweep_wanted() {
  return std::getenv("WEFT_FAULT_SWEEP") != nullptr || std::getenv("WEFT_FAULT") != nullptr;
}

// Whether a body is running to be cancelled somewhere, or to have something fail.
inline bool& cancel_sweeping() {
  static bool sweeping = false;
  return sweeping;
}
inline bool& fault_sweeping() {
  static bool sweeping = false;
  return sweeping;
}

inline bool& allocation_sweeping() {
  static bool sweeping = false;
  return sweeping;
}

// What has been swept in this process so far.
struct CancelSweepTotal {
  std::size_t tests = 0;
  std::size_t checkpoints = 0;  // That these tests reach,
  std::size_t swept = 0;        // and at which they have been cancelled.
  std::size_t runs = 0;
};
inline CancelSweepTotal& cancel_sweep_total() {
  static CancelSweepTotal total;
  return total;
}
struct FaultSweepTotal {
  std::size_t tests = 0;
  std::size_t calls = 0;
  std::size_t allocations = 0;
  std::size_t runs = 0;
};
inline FaultSweepTotal& fault_sweep_total() {
  static FaultSweepTotal total;
  return total;
}

inline void add_to_total(const CancelSweepResult& swept) {
  CancelSweepTotal& total = cancel_sweep_total();
  total.tests += swept.checkpoints > 0 ? 1 : 0;
  total.checkpoints += swept.checkpoints;
  total.swept += swept.swept;
  total.runs += swept.runs;
}
inline void add_to_total(const FaultSweepResult& swept) {
  FaultSweepTotal& total = fault_sweep_total();
  total.tests += swept.runs > 0 ? 1 : 0;
  total.calls += swept.calls;
  total.allocations += swept.allocations;
  total.runs += swept.runs;
}

// Forgets the failures of this thread's expectations. It keeps no memory for them either, which a
// sweep of allocations would take for a leak.
class NoExpectations final : private ::testing::TestPartResultArray,
                             public ::testing::ScopedFakeTestPartResultReporter {
 public:
  NoExpectations() : ScopedFakeTestPartResultReporter(this) {}
  // NOLINTNEXTLINE(readability-identifier-naming): GoogleTest's.
  void ReportTestPartResult(const ::testing::TestPartResult& /*result*/) override {}
};

// Calls `sweep`, which runs a test's body again and again, with `flag` set. Expectations do not
// count then, because a body that is cut short cannot do what it should. Does nothing after a
// failure. What `sweep` throws is a failure.
template <class Sweep>
void sweep_fiber_test(bool& flag, const Sweep& sweep) {
  if (::testing::Test::HasFailure() || ::testing::Test::IsSkipped()) return;
  std::string failure;
  {
    const NoExpectations forgotten;
    flag = true;
    try {
      sweep();
    } catch (const CancelSweepError& error) {
      failure = error.what();  // What is nested is in it.
    } catch (...) {
      failure = format_exception(std::current_exception());
    }
    flag = false;
  }
  if (!failure.empty()) ADD_FAILURE() << "swept: " << failure;
}

// cancel_sweep() of a test's body. Notes the number of checkpoints as a property of the test, and
// adds it to cancel_sweep_total().
//
// Blocks: the thread, until all runs are over.
// Cancel: does not apply.
// Threads: any, outside a run.
inline void cancel_sweep_fiber_test(void (*body)()) {
  CancelSweepResult swept;
  sweep_fiber_test(cancel_sweeping(), [&] {
    swept = cancel_sweep(body, {.most = 200, .effort = 50'000, .may_throw = true});
  });
  add_to_total(swept);
  ::testing::Test::RecordProperty("swept_checkpoints", std::to_string(swept.checkpoints));
}

// The kinds of faults that the environment asks for. Every token of an allocation says "new".
inline bool sweeps_allocations() {
  const char* const token = std::getenv("WEFT_FAULT");
  if (token != nullptr) return std::string_view(token).find("new.") != std::string_view::npos;
  const char* const kinds = std::getenv("WEFT_FAULT_SWEEP");
  return kinds == nullptr || std::string_view(kinds) != "calls";
}
inline bool sweeps_calls() {
  if (std::getenv("WEFT_FAULT") != nullptr) return !sweeps_allocations();
  const char* const kinds = std::getenv("WEFT_FAULT_SWEEP");
  return kinds == nullptr || std::string_view(kinds) != "allocations";
}

// fault_sweep() of a test's body, first of its system calls, then of its allocations, of which
// there are many more: fewer of these are taken. What the body throws does not count either; tasks,
// descriptors, memory and deadlocks do. Notes the number of faults, and adds it to
// fault_sweep_total().
//
// Blocks: the thread, until all runs are over.
// Cancel: does not apply.
// Threads: any, outside a run.
inline void fault_sweep_fiber_test(void (*body)()) {
  FaultSweepResult swept;
  FaultSweepOptions options{.allocations = false, .may_throw = true, .own_thread = false};
  if (sweeps_calls()) {
    options.most = 300;
    sweep_fiber_test(fault_sweeping(), [&] { swept = fault_sweep(body, options); });
  }
  if (sweeps_allocations()) {
    options.most = 40;
    std::swap(options.calls, options.allocations);
    allocation_sweeping() = true;
    sweep_fiber_test(fault_sweeping(), [&] {
      const FaultSweepResult result = fault_sweep(body, options);
      swept.allocations = result.allocations;
      swept.runs += result.runs;
    });
    allocation_sweeping() = false;
  }
  add_to_total(swept);
  ::testing::Test::RecordProperty("faults", std::to_string(swept.runs));
}

}  // namespace weft::fibers::testing

// Use it at the beginning of a FIBER_TEST whose body cannot end properly if it is cancelled
// somewhere, because of what it tests. The test is then not swept.
#define WEFT_NOT_SWEPT(why) \
  if (::weft::fibers::testing::cancel_sweeping()) return

// Use it at the beginning of a FIBER_TEST whose body cannot go on, or cannot end, if something in
// it fails. Nothing is made to fail then.
#define WEFT_NOT_FAULT_SWEPT(why) \
  if (::weft::fibers::testing::fault_sweeping()) return

// As WEFT_NOT_FAULT_SWEPT, but its system calls may fail; only its allocations may not.
#define WEFT_NOT_ALLOCATION_SWEPT(why) \
  if (::weft::fibers::testing::allocation_sweeping()) return
