// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Counts the system calls and allocations of a run, or lets one of them fail.

#pragma once

#include <array>
#include <cstddef>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "fibers/src/testing/fault_table.h"
#include "fibers/sys/allocations.h"
#include "fibers/sys/call.h"

namespace weft::fibers::testing {

// What a place that is no call, but an allocation, is named.
inline constexpr std::string_view kAllocation = "new";

// The n-th call of a function, counted from 0, on the run's thread or on all others together.
struct FaultPlace {
  std::string name;
  std::size_t number = 0;
  bool in_worker = false;
};

struct FaultTarget {
  FaultPlace place;
  Fault fault;
  std::string fault_name;
  // "read.3.EINTR", "worker.new.17".
  std::string token() const;
};

struct FaultPoint {
  FaultPlace place;
  sys::Asked asked;
  std::vector<Fault> faults;
};

// What a run has come through.
struct FaultPoints {
  std::vector<FaultPoint> calls;
  std::array<std::size_t, 2> allocations{};  // On the run's thread, on others.
};

// There is one: threads that a run has left behind may still be in it.
class FaultGate final : public sys::Gate, public sys::AllocationGate {
 public:
  static FaultGate& instance();

  // From here to disarm() this thread is the run's. Counts if there is no target.
  void arm(const FaultTarget* target, bool allocations);
  void disarm();

  // --- After disarm(). ---
  FaultPoints take_points() { return std::move(points_); }
  // Whether the target was reached, and where.
  bool hit() const { return hit_; }
  const char* place() const { return place_.data(); }
  // The stack there, the innermost call first.
  std::span<const void* const> stack() const { return {stack_.data(), depth_}; }

 private:
  FaultGate() = default;
  sys::Answer before(const sys::Asked& asked) noexcept override;
  void after() noexcept override {}
  bool allocation_fails() noexcept override;

  bool in_worker() const { return std::this_thread::get_id() != run_thread_; }
  std::size_t count(const char* name, bool worker);
  bool is_target(std::string_view name, std::size_t number, bool worker) const;
  void note_hit(const char* what);
  void note_stack();

  std::mutex mutex_;
  const FaultTarget* target_ = nullptr;
  std::thread::id run_thread_;
  struct Counter {
    const char* name;
    std::size_t count;
  };
  std::array<std::vector<Counter>, 2> counters_;
  std::array<std::size_t, 2> allocations_{};
  FaultPoints points_;
  bool hit_ = false;
  std::array<char, 256> place_{};
  std::array<const void*, 24> stack_{};
  std::size_t depth_ = 0;
};

}  // namespace weft::fibers::testing
