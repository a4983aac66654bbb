// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/src/transports/race.h"

#include <algorithm>
#include <utility>

#include "weft/loop/detail/connecting.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/wait.h"

namespace weft::loop::detail {

namespace {

// Cancels what is left of the attempts, on whatever way the race ends. A descriptor that one of
// them still returns is closed with its task.
class Attempts {
 public:
  Attempts() = default;
  Attempts(const Attempts&) = delete;
  Attempts& operator=(const Attempts&) = delete;
  ~Attempts() {
    for (Task<UniqueFd>& task : tasks) {
      if (!task.cancel() && !task.cancelled()) static_cast<void>(task.exception());
    }
  }
  // The first that has succeeded.
  UniqueFd take_winner() {
    for (Task<UniqueFd>& task : tasks) {
      if (task.done() && !task.cancelled() && task.exception() == nullptr)
        return task.take_result();
    }
    return {};
  }
  std::vector<Task<UniqueFd>> pending() const {
    std::vector<Task<UniqueFd>> left;
    for (const Task<UniqueFd>& task : tasks) {
      if (!task.done()) left.push_back(task);
    }
    return left;
  }

  std::vector<Task<UniqueFd>> tasks;
};

}  // namespace

Coro<UniqueFd> race(LoopCore& core, std::vector<RaceEntry> entries, fibers::Duration delay,
                    std::vector<std::exception_ptr>& errors) {
  EventLoop& loop = facade_of(core);
  Attempts attempts;
  attempts.tasks.reserve(entries.size());
  for (std::size_t started = 0;;) {
    fibers::Instant next = fibers::kForever;
    if (started < entries.size()) {
      attempts.tasks.push_back(loop.create_task(entries[started]()));
      if (++started < entries.size()) next = fibers::later(loop.time(), delay);
    }
    // Until it is time for the next, or there is nothing left to wait for.
    for (bool time_for_next = false; !time_for_next;) {
      std::vector<Task<UniqueFd>> pending = attempts.pending();
      if (pending.empty()) break;
      WaitOptions options{.return_when = ReturnWhen::kFirstCompleted};
      if (next != fibers::kForever) options.timeout = next - loop.time();
      co_await wait(std::move(pending), options);
      if (UniqueFd won = attempts.take_winner()) co_return won;
      time_for_next =
          next != fibers::kForever && (loop.time() >= next || attempts.tasks.back().done());
    }
    if (started == entries.size() && attempts.pending().empty()) break;
  }
  for (Task<UniqueFd>& task : attempts.tasks) {
    if (!task.cancelled()) errors.push_back(task.exception());
  }
  co_return UniqueFd();
}

AddressInfos interleave(AddressInfos infos, int first_count) {
  std::vector<std::pair<int, AddressInfos>> by_family;
  for (auto& info : infos) {
    auto found = std::ranges::find(by_family, info.family, &std::pair<int, AddressInfos>::first);
    if (found == by_family.end()) {
      by_family.emplace_back(info.family, AddressInfos());
      found = by_family.end() - 1;
    }
    found->second.push_back(std::move(info));
  }
  AddressInfos ordered;
  std::vector<std::size_t> next(by_family.size(), 0);
  const auto take = [&](std::size_t family) {
    if (next[family] < by_family[family].second.size())
      ordered.push_back(std::move(by_family[family].second[next[family]++]));
  };
  for (int i = 1; i < first_count; ++i) take(0);
  while (ordered.size() < infos.size()) {
    for (std::size_t family = 0; family < by_family.size(); ++family) take(family);
  }
  return ordered;
}

}  // namespace weft::loop::detail
