// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/schedule_source.h"

#include <algorithm>

#include "fibers/core/scheduler.h"

namespace weft::fibers {

namespace detail {

namespace {

// splitmix64: the same sequence everywhere, unlike the standard distributions.
std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

class SeededSource final : public ScheduleSource {
 public:
  explicit SeededSource(std::uint64_t seed) : state_(seed) {}

  std::size_t choose(const ReadyTasks& ready) override {
    return mix(state_ += 0x9e3779b97f4a7c15) % ready.size();
  }

 private:
  std::uint64_t state_;
};

// --- The hash of all tasks. ---

class Hash {
 public:
  void add(std::uint64_t word) { value_ = mix(value_ ^ word) + 0x9e3779b97f4a7c15; }
  void add(const void* pointer) { add(reinterpret_cast<std::uintptr_t>(pointer)); }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0;
};

// Everything a parked task has on its stack, also what the sanitizers believe nobody reads.
__attribute__((no_sanitize("address", "thread"))) void add_stack(Hash& hash,
                                                                 const TaskBlock& task) {
  const auto* at = static_cast<const std::uint64_t*>(task.context.point);
  const auto* const end = reinterpret_cast<const std::uint64_t*>(&task);
  for (; at < end; ++at) hash.add(*at);
}

std::uint64_t hash_of(const TaskBlock& task) {
  Hash hash;
  hash.add(&task);
  hash.add(static_cast<std::uint64_t>(task.present_state()) << 8 |
           static_cast<std::uint64_t>(task.wake));
  hash.add(task.cancel_status);
  hash.add(reinterpret_cast<const void*>(task.abort));
  hash.add(task.context.exceptions.caught);
  add_stack(hash, task);
  return hash.value();
}

// Whether locals may lie elsewhere than on the stack.
bool locals_move([[maybe_unused]] const TaskBlock& task) {
#ifdef WEFT_ASAN
  return task.context.asan_fake_stack != nullptr;
#else
  return false;
#endif
}

// What earlier tenants of a new task's stack have left there would make equal states look different
// in the gaps of its frames. Deeper than this a parked task seldom stands.
constexpr std::size_t kScrubbed = 16 * 1024;

__attribute__((no_sanitize("address", "thread"))) void scrub(const TaskBlock& task) {
  auto* const end = static_cast<std::uint64_t*>(task.context.point);
  auto* const low =
      reinterpret_cast<std::uint64_t*>(task.stack.bottom + guard_size(task.stack.size));
  for (auto* at = std::max(low, end - kScrubbed / sizeof(std::uint64_t)); at < end; ++at) *at = 0;
}

}  // namespace

std::unique_ptr<ScheduleSource> seeded_source(std::uint64_t seed) {
  return std::make_unique<SeededSource>(seed);
}

TaskBlock& Scheduler::take_chosen(std::uint32_t tasks) {
  const ReadyTasks ready(*this, source_->fair() ? tasks : ready_.size());
  std::size_t chosen = source_->choose(ready);
  if (chosen >= ready.size()) {
    crash(std::make_exception_ptr(UsageError(
        "ScheduleSource::choose() has to give the index of a ready task, less than size()")));
    chosen = 0;
  }
  std::swap(ready_.at(0), ready_.at(static_cast<std::uint32_t>(chosen)));
  TaskBlock& task = *ready_.pop();
  if (!task.watched()) scrub(task);  // It has never run.
  task.unusual |= TaskBlock::kWatched;
  return task;
}

// A sum, because the order in which the tasks are found says nothing. The order of the ready ones
// does not count either: it is what is being chosen.
std::uint64_t Scheduler::state_hash(std::size_t choosable) {
  Hash whole;
  whole.add(static_cast<std::uint64_t>(now().time_since_epoch().count()));
  for (std::uint32_t from = 0; from < ready_.size();) {
    const std::uint32_t to =
        from < choosable ? static_cast<std::uint32_t>(choosable) : ready_.size();
    std::uint64_t sum = 0;
    for (; from < to; ++from) sum += mix(reinterpret_cast<std::uintptr_t>(ready_.at(from)));
    whole.add(sum);
  }
  std::uint64_t tasks = 0;
  for (const TaskBlock* task : all_tasks()) {
    if (locals_move(*task)) return 0;
    tasks += hash_of(*task);
  }
  whole.add(tasks);
  return std::max<std::uint64_t>(whole.value(), 1);
}

}  // namespace detail

Task& ReadyTasks::operator[](std::size_t index) const {
  WEFT_REQUIRE(index < size_, "there are fewer ready tasks than that; see ReadyTasks::size()");
  return scheduler_.ready_task(index);
}

std::uint64_t ReadyTasks::state_hash() const {
  return scheduler_.state_hash(size_);
}

void ScheduleSource::at_cancel_point(Task& /*task*/, const char* /*what*/) {}

}  // namespace weft::fibers
