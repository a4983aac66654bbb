// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/task_tables.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "weft/loop/detail/call_graph_core.h"
#include "weft/loop/detail/task_core.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/task.h"

namespace weft::loop {

namespace {

using detail::FutureCore;
using detail::TaskCore;

// --- Whom each task waits for. ---

// A task of the loop, or a fiber that waits for one.
struct Member {
  std::string title;
  std::vector<std::string> frames;  // Outermost first.
  std::vector<std::size_t> awaits;  // Other members.
  bool awaited = false;
};

class Graph {
 public:
  explicit Graph(const EventLoop& loop) : tasks_(all_tasks(loop)) {
    for (const TaskBase& task : tasks_) {
      Member& member = members_.emplace_back();
      member.title = "(T) " + task.get_name();
      for (const auto& entry : detail::frames_of(FutureAccess::task(task))) {
        member.frames.insert(member.frames.begin(), entry.frame);
      }
    }
    for (std::size_t i = 0; i < tasks_.size(); ++i) add_awaiters(FutureAccess::core(tasks_[i]), i);
  }
  std::string tree() const {
    std::string text = cycles();
    std::vector<std::size_t> roots;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      if (!members_[i].awaited) roots.push_back(i);
    }
    std::vector<std::size_t> path;
    draw(roots, "", path, text);
    return text;
  }

 private:
  // Futures that are no tasks, such as a gather's, pass it on.
  void add_awaiters(const FutureCore& future, std::size_t awaited) {
    if (std::ranges::find(passed_, &future) != passed_.end()) return;
    passed_.push_back(&future);
    const detail::Awaiters awaiters = detail::awaiters_of(future);
    for (FutureCore* by : awaiters.futures) {
      const std::size_t i = index_of(*by);
      i == tasks_.size() ? add_awaiters(*by, awaited) : add_edge(i, awaited);
    }
    for (const fibers::Task* fiber : awaiters.fibers) add_edge(index_of(*fiber), awaited);
    passed_.pop_back();
  }
  void add_edge(std::size_t from, std::size_t to) {
    std::vector<std::size_t>& awaits = members_[from].awaits;
    if (std::ranges::find(awaits, to) == awaits.end()) awaits.push_back(to);
    members_[to].awaited = true;
  }
  std::size_t index_of(const FutureCore& future) const {
    std::size_t i = 0;
    while (i < tasks_.size() && &FutureAccess::core(tasks_[i]) != &future) ++i;
    return i;
  }
  std::size_t index_of(const fibers::Task& fiber) {
    const std::string title = "(F) " + detail::name_of_fiber(fiber);
    for (std::size_t i = tasks_.size(); i < members_.size(); ++i) {
      if (members_[i].title == title) return i;
    }
    members_.emplace_back().title = title;
    return members_.size() - 1;
  }

  // --- Circles. ---

  std::string cycles() const {
    std::vector<char> seen(members_.size(), 0);
    std::vector<std::size_t> path;
    std::string text;
    for (std::size_t i = 0; i < members_.size(); ++i) find_cycles(i, seen, path, text);
    if (text.empty()) return text;
    return "ERROR: await-graph contains cycles\n" + text;
  }
  // Depth first; each member once. One that is met again on its own path closes a circle.
  void find_cycles(std::size_t at, std::vector<char>& seen, std::vector<std::size_t>& path,
                   std::string& text) const {
    const auto before = std::ranges::find(path, at);
    if (before != path.end()) {
      text += "cycle: ";
      for (auto each = before; each != path.end(); ++each) text += members_[*each].title + " -> ";
      text += members_[at].title + "\n";
      return;
    }
    if (std::exchange(seen[at], 1) != 0) return;
    path.push_back(at);
    for (const std::size_t next : members_[at].awaits) find_cycles(next, seen, path, text);
    path.pop_back();
  }

  // --- The tree. ---

  void draw(const std::vector<std::size_t>& those, const std::string& lead,
            std::vector<std::size_t>& path, std::string& text) const {
    for (const std::size_t i : those) {
      const bool last = i == those.back();
      const bool again = std::ranges::find(path, i) != path.end();
      text += lead + (last ? "└── " : "├── ") + members_[i].title + (again ? " again" : "") + "\n";
      if (again) continue;
      std::string below = lead + (last ? "    " : "│   ");
      for (const std::string& frame : members_[i].frames) {
        text.append(below).append("└──  ").append(frame).append("\n");
        below += "    ";
      }
      path.push_back(i);
      draw(members_[i].awaits, below, path, text);
      path.pop_back();
    }
  }

  const std::vector<TaskBase> tasks_;
  std::vector<Member> members_;  // The tasks, in their order, then fibers.
  std::vector<const FutureCore*> passed_;
};

// --- The table. ---

std::string state_of(const TaskBase& task) {
  const TaskCore& core = FutureAccess::task(task);
  if (current_task() == task) return "running";
  if (const FutureCore* const awaited = core.awaiting(); awaited != nullptr && core.at_rest()) {
    TaskCore* const other = const_cast<FutureCore*>(awaited)->task();
    return other == nullptr ? "awaits a future" : "awaits " + other->name();
  }
  if (core.at_rest()) return "ready";
  const detail::TaskCode code = core.code();
  if (code.fiber != nullptr) return "waits for " + code.fiber->waiting_for();
  return "waits in a step";
}

std::string awaiters_text(const TaskBase& task) {
  std::string text;
  const auto add = [&text](const std::string& name) { text += (text.empty() ? "" : ", ") + name; };
  const detail::Awaiters awaiters = detail::awaiters_of(FutureAccess::core(task));
  for (FutureCore* by : awaiters.futures) {
    add(by->task() == nullptr ? "a future" : by->task()->name());
  }
  for (const fibers::Task* fiber : awaiters.fibers) add(detail::name_of_fiber(*fiber));
  return text;
}

using Row = std::vector<std::string>;

Row row_of(const TaskBase& task) {
  std::string frames;
  for (const auto& entry : detail::frames_of(FutureAccess::task(task))) {
    frames += (frames.empty() ? "" : " <- ") + entry.frame;
  }
  return {task.get_name(), state_of(task), std::move(frames), awaiters_text(task)};
}

std::string layout(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i] + std::string(widths[i] + 2 - row[i].size(), ' ');
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

template <class Render>
std::string of_every_loop(Render&& render) {
  std::string text;
  std::size_t number = 0;
  for (const EventLoop* loop : detail::loops_of_thread()) {
    text += "loop " + std::to_string(++number) + "\n" + render(*loop);
  }
  return text;
}

}  // namespace

std::string ps(const EventLoop& loop) {
  std::vector<Row> rows{{"task name", "state", "coroutine stack", "awaited by"}};
  for (const TaskBase& task : all_tasks(loop)) rows.push_back(row_of(task));
  return layout(rows);
}

std::string ps() {
  return of_every_loop([](const EventLoop& loop) { return ps(loop); });
}

std::string pstree(const EventLoop& loop) {
  return Graph(loop).tree();
}

std::string pstree() {
  return of_every_loop([](const EventLoop& loop) { return pstree(loop); });
}

}  // namespace weft::loop
