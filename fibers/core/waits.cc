// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Who waits for whom. A task in a nursery's end needs all of its tasks to end; one that waits for a
// lock or a token needs any of those who hold it to let go. Of other waits nobody knows who ends
// them.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fibers/core/current_scheduler.h"
#include "fibers/core/nursery_access.h"
#include "fibers/core/sleep.h"
#include "fibers/core/text.h"
#include "weft/fibers/detail/wait_holders.h"
#include "weft/fibers/inspect.h"

namespace weft::fibers {

namespace detail {

namespace {

// Written by static initialisers, of any thread that loads a library.
constinit std::atomic<const HoldersRule*> g_first_rule{nullptr};

class WaitGraph {
 public:
  explicit WaitGraph(const TaskBlock& root) {
    collect(root);
    for (Node& node : nodes_) find_needs(node);
    find_stuck();
  }

  std::string describe() const {
    std::string text;
    for (const Node& node : nodes_) {
      if (node.task->state == TaskState::kWaiting) append(text, {"  ", line(node), "\n"});
    }
    return text += cycles();
  }

 private:
  // How many of a nursery's tasks, or of a limiter's borrowers, a line names.
  static constexpr std::size_t kMostNamed = 8;

  struct Node {
    const TaskBlock* task;
    std::vector<std::size_t> needs;  // Whose progress would end this wait, if anybody's is known.
    bool needs_all = false;          // Of those, every one; else any.
    bool others = false;             // Any of them may also be nobody of this run.
    bool stuck = true;
  };

  static std::string name(const TaskBlock& task) {
    return concat({task.name(), " #", task.number});
  }

  // Without recursion, as for the tree.
  void collect(const TaskBlock& root) {
    std::vector<const TaskBlock*> todo{&root};
    while (!todo.empty()) {
      const TaskBlock* task = todo.back();
      todo.pop_back();
      index_.emplace(task, nodes_.size());
      nodes_.push_back({.task = task, .needs = {}});
      for (Nursery* n = task->innermost_nursery; n != nullptr; n = NurseryAccess::next(*n)) {
        const TaskBlock* child = NurseryAccess::first_child(*n);
        for (; child != nullptr; child = child->next_in_nursery) todo.push_back(child);
      }
    }
  }

  void find_needs(Node& node) {
    const TaskBlock& task = *node.task;
    if (task.state != TaskState::kWaiting) return;
    std::vector<const void*> holders;
    if (task.wait_info.what == kNurseryWait) {
      node.needs_all = true;
      const auto& nursery = *static_cast<const Nursery*>(task.wait_info.on);
      const TaskBlock* child = NurseryAccess::first_child(nursery);
      for (; child != nullptr; child = child->next_in_nursery) holders.push_back(child);
      std::ranges::reverse(holders);  // Oldest first.
    } else if (const HoldersRule* rule = HoldersRule::find_rule(task.wait_info.what)) {
      rule->add_holders(task.wait_info.on, holders);
    }
    for (const void* holder : holders) {
      const auto at = index_.find(static_cast<const Task*>(holder));
      if (at != index_.end()) {
        node.needs.push_back(at->second);
      } else {
        node.others = true;
      }
    }
  }

  // Stuck is who cannot go on for lack of others who are stuck. Found from the other end: those are
  // not who run, or wait for what nobody is known to withhold, and then those who wait only for
  // such.
  void find_stuck() {
    std::vector<std::vector<std::size_t>> needed_by(nodes_.size());
    std::vector<std::size_t> missing(nodes_.size(), 1);
    std::vector<std::size_t> free;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      for (const std::size_t need : nodes_[i].needs) needed_by[need].push_back(i);
      if (nodes_[i].needs_all) missing[i] = nodes_[i].needs.size();
      if (nodes_[i].needs.empty() || nodes_[i].others) free.push_back(i);
    }
    while (!free.empty()) {
      const std::size_t i = free.back();
      free.pop_back();
      if (!std::exchange(nodes_[i].stuck, false)) continue;
      for (const std::size_t waiter : needed_by[i]) {
        if (missing[waiter] > 0 && --missing[waiter] == 0) free.push_back(waiter);
      }
    }
  }

  std::string line(const Node& node) const {
    std::string text = concat({name(*node.task), " waits for ", node.task->waiting_for()});
    if (node.needs.empty()) {
      return text += has_deadline(*node.task) ? ", until a deadline"
                                              : "; no task is known that would end this";
    }
    text += node.needs_all ? ": " : ", held by ";
    for (std::size_t i = 0; i < std::min(node.needs.size(), kMostNamed); ++i) {
      append(text, {i > 0 ? ", " : "", name(*nodes_[node.needs[i]].task)});
    }
    if (node.needs.size() > kMostNamed) {
      append(text, {" and ", node.needs.size() - kMostNamed, " more"});
    }
    if (node.others) text += " and others";
    return text += has_deadline(*node.task) ? "; until a deadline" : "";
  }

  static bool has_deadline(const TaskBlock& task) {
    return earliest_deadline(task) != kForever || Sleeper::end_of_wait(task) != kForever;
  }

  // From each stuck task one that keeps it so: these paths end in the cycles.
  std::size_t next_stuck(std::size_t i) const {
    return *std::ranges::find_if(nodes_[i].needs,
                                 [this](std::size_t need) { return nodes_[need].stuck; });
  }

  std::string cycles() const {
    std::string text;
    std::vector<std::size_t> seen_from(nodes_.size(), 0);  // Which walk has come here first.
    for (std::size_t start = 0; start < nodes_.size(); ++start) {
      if (!nodes_[start].stuck) continue;
      std::size_t at = start;
      while (seen_from[at] == 0) {
        seen_from[at] = start + 1;
        at = next_stuck(at);
      }
      if (seen_from[at] == start + 1) append(text, {"  ", cycle_through(at), "\n"});
    }
    return text;
  }

  std::string cycle_through(std::size_t start) const {
    std::string text = concat({"a cycle: ", name(*nodes_[start].task)});
    std::size_t at = start;
    do {
      at = next_stuck(at);
      append(text, {" -> ", name(*nodes_[at].task)});
    } while (at != start);
    return text;
  }

  std::vector<Node> nodes_;
  std::unordered_map<const Task*, std::size_t> index_;
};

}  // namespace

HoldersRule::HoldersRule(const char* what, Find find) noexcept
    : what_(what), find_(find), next_(g_first_rule.load()) {
  while (!g_first_rule.compare_exchange_weak(next_, this)) {
  }
}

const HoldersRule* HoldersRule::find_rule(const char* what) {
  const HoldersRule* rule = g_first_rule.load();
  while (rule != nullptr && std::string_view(rule->what_) != what) rule = rule->next_;
  return rule;
}

}  // namespace detail

std::string dump_waits() {
  const detail::Scheduler& scheduler = detail::current_scheduler();
  if (scheduler.root_task == nullptr) return {};
  return detail::WaitGraph(*scheduler.root_task).describe();
}

}  // namespace weft::fibers
