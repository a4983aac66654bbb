// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/src/testing/fault_gate.h"

#include <unwind.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "weft/fibers/lowlevel.h"
#include "weft/fibers/task.h"

namespace weft::fibers::testing {

namespace {

// What the gate does itself, and what a signal handler does in the middle of it, does not count.
thread_local bool tls_inside = false;

class Inside {
 public:
  Inside() : entered_(!std::exchange(tls_inside, true)) {}
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside() {
    if (entered_) tls_inside = false;
    errno = error_;
  }
  bool entered() const { return entered_; }

 private:
  bool entered_;
  int error_ = errno;
};

// Calls whose first argument is a number, but no descriptor.
bool concerns_descriptor(const sys::Asked& asked) {
  constexpr auto kOthers = std::to_array<std::string_view>(
      {"socket", "socketpair", "eventfd", "epoll_create1", "timerfd_create", "kill", "tgkill",
       "waitpid", "pidfd_open"});
  return asked.fd >= 0 && std::find(kOthers.begin(), kOthers.end(), asked.name) == kOthers.end();
}

}  // namespace

std::string FaultTarget::token() const {
  std::string token = place.in_worker ? "worker." : "";
  token += place.name + "." + std::to_string(place.number);
  return fault_name.empty() ? token : token + "." + fault_name;
}

FaultGate& FaultGate::instance() {
  static auto* const gate = new FaultGate;
  return *gate;
}

void FaultGate::arm(const FaultTarget* target, bool allocations) {
  {
    const std::lock_guard lock(mutex_);
    target_ = target;
    run_thread_ = std::this_thread::get_id();
    for (auto& each : counters_) each.clear();
    allocations_ = {};
    points_ = {};
    hit_ = false;
    place_[0] = '\0';
  }
  sys::gate = this;
  if (allocations) sys::allocation_gate = this;
}

void FaultGate::disarm() {
  sys::allocation_gate = nullptr;
  sys::gate = nullptr;
  const std::lock_guard lock(mutex_);
  points_.allocations = allocations_;
  target_ = nullptr;
}

std::size_t FaultGate::count(const char* name, bool worker) {
  auto& counters = counters_[worker ? 1 : 0];
  auto found = std::find_if(counters.begin(), counters.end(),
                            [&](const Counter& each) { return std::strcmp(each.name, name) == 0; });
  if (found == counters.end()) found = counters.insert(found, {name, 0});
  return found->count++;
}

bool FaultGate::is_target(std::string_view name, std::size_t number, bool worker) const {
  return target_ != nullptr && !hit_ && target_->place.number == number &&
         target_->place.in_worker == worker && target_->place.name == name;
}

void FaultGate::note_hit(const char* what) {
  hit_ = true;
  note_stack();
  const bool in_task = in_trio_task();
  const std::string task = in_task ? std::string(current_task().name()) : std::string();
  std::snprintf(place_.data(), place_.size(), "%s%s%s%s", what,
                in_task       ? " in task '"
                : in_worker() ? " in another thread"
                              : " outside all tasks",
                task.c_str(), in_task ? "'" : "");
}

void FaultGate::note_stack() {
  depth_ = 0;
  const auto take = [](_Unwind_Context* context, void* argument) {
    auto& gate = *static_cast<FaultGate*>(argument);
    const auto address = _Unwind_GetIP(context);
    if (address == 0 || gate.depth_ == gate.stack_.size()) return _URC_END_OF_STACK;
    gate.stack_[gate.depth_++] = reinterpret_cast<const void*>(address);
    return _URC_NO_REASON;
  };
  _Unwind_Backtrace(take, this);
}

sys::Answer FaultGate::before(const sys::Asked& asked) noexcept {
  const Inside inside;
  if (!inside.entered()) return {};
  const std::lock_guard lock(mutex_);
  const bool worker = in_worker();
  const std::size_t number = count(asked.name, worker);
  if (target_ == nullptr) {
    points_.calls.push_back({{asked.name, number, worker}, asked, faults_of(asked)});
    return {};
  }
  if (!is_target(asked.name, number, worker)) return {};
  const std::vector<Fault> faults = faults_of(asked);
  const auto fault = std::find_if(faults.begin(), faults.end(), [&](const Fault& each) {
    return name_of(asked, each) == target_->fault_name;
  });
  if (fault == faults.end()) return {};
  std::string what = "call " + std::to_string(number) + " of " + asked.name + "()";
  if (concerns_descriptor(asked)) what += " for " + std::to_string(asked.fd);
  what += fault->error == 0 ? " took a part only" : " gave " + target_->fault_name;
  note_hit(what.c_str());
  return {.error = fault->error,
          .after = fault->after,
          .size = fault->error == 0 ? (asked.size + 1) / 2 : 0};
}

bool FaultGate::allocation_fails() noexcept {
  const Inside inside;
  if (!inside.entered()) return false;
  const std::lock_guard lock(mutex_);
  const bool worker = in_worker();
  const std::size_t number = allocations_[worker ? 1 : 0]++;
  if (!is_target(kAllocation, number, worker)) return false;
  note_hit(("allocation " + std::to_string(number) + " failed").c_str());
  return true;
}

}  // namespace weft::fibers::testing
