// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <algorithm>
#include <array>
#include <charconv>

#include "fibers/core/current_scheduler.h"
#include "fibers/core/nursery_access.h"
#include "fibers/core/sleep.h"
#include "fibers/core/text.h"
#include "weft/fibers/backtrace.h"
#include "weft/fibers/inspect.h"

namespace weft::fibers {

namespace {

using detail::concat;
using detail::Scheduler;
using detail::TaskBlock;

std::string_view file_of(const std::source_location& site) {
  std::string_view file = site.file_name();
  if (const auto slash = file.rfind('/'); slash != file.npos) file.remove_prefix(slash + 1);
  return file;
}

const char* state_text(TaskState state) {
  switch (state) {
    case TaskState::kReady:
      return "  ready";
    case TaskState::kRunning:
      return "  running";
    case TaskState::kWaiting:
      return "  waiting for ";
    case TaskState::kDone:
      return "  done";
  }
  return "";
}

// Writes a tree without recursion: tasks and nurseries may be nested deeper than a stack allows.
class TreeWriter {
 public:
  TreeWriter(Scheduler& scheduler, detail::DescribeFrame frames)
      : scheduler_(scheduler), describe_frame_(frames) {}

  std::string write(const TaskBlock& root) {
    add_task(root, "");
    while (!todo_.empty()) {
      const Item item = std::move(todo_.back());
      todo_.pop_back();
      add({item.indent, item.last ? "└─ " : "├─ "});
      const std::string below = concat({item.indent, item.last ? "   " : "│  "});
      if (item.nursery != nullptr) {
        const std::source_location site = NurseryAccess::site(*item.nursery);
        add({"nursery at ", file_of(site), ":", site.line(), cancelled(*item.nursery), "\n"});
        push_tasks(*item.nursery, below);
      } else {
        add_task(*item.task, below);
      }
    }
    return std::move(text_);
  }

 private:
  void add(std::initializer_list<detail::Piece> pieces) { detail::append(text_, pieces); }

  struct Item {
    std::string indent;
    bool last;
    Nursery* nursery;
    const TaskBlock* task;
  };

  // A task, and later what hangs below it.
  void add_task(const TaskBlock& task, const std::string& below) {
    add({task.name(), " #", task.number, state_text(task.present_state()), task.waiting_for()});
    add_deadline(task);
    add({"  started at ", file_of(task.site), ":", task.site.line(), "\n"});
    add_frames(task, below);
    push_nurseries(task, below);
  }

  // Between a task and the nurseries that hang below it.
  void add_frames(const TaskBlock& task, const std::string& indent) {
    if (describe_frame_ == nullptr) return;
    const char* const lead = task.innermost_nursery != nullptr ? "│    " : "     ";
    for (const void* address : backtrace(task)) {
      for (const std::string& frame : describe_frame_(address)) add({indent, lead, frame, "\n"});
    }
  }

  void push_nurseries(const TaskBlock& task, const std::string& indent) {
    // Innermost first, which on this stack comes out last.
    for (Nursery* n = task.innermost_nursery; n != nullptr; n = NurseryAccess::next(*n)) {
      todo_.push_back({indent, n == task.innermost_nursery, n, nullptr});
    }
  }

  void push_tasks(Nursery& nursery, const std::string& indent) {
    for (const TaskBlock* t = NurseryAccess::first_child(nursery); t != nullptr;
         t = t->next_in_nursery) {
      todo_.push_back({indent, t == NurseryAccess::first_child(nursery), nullptr, t});
    }
  }

  void add_deadline(const TaskBlock& task) {
    if (task.cancel_status->effectively_cancelled) return add({", cancelled"});
    const Instant earliest =
        std::min(detail::earliest_deadline(task), detail::Sleeper::end_of_wait(task));
    if (earliest == kForever) return;
    const std::chrono::duration<double> left = time_between(scheduler_.now(), earliest);
    std::array<char, 32> seconds;
    const auto end = std::to_chars(seconds.data(), seconds.data() + seconds.size(), left.count(),
                                   std::chars_format::general, 4);
    add({", deadline in ", std::string_view(seconds.data(), end.ptr), "s"});
  }

  static const char* cancelled(Nursery& nursery) {
    return ScopeAccess::status(nursery.cancel_scope()).effectively_cancelled ? ", cancelled" : "";
  }

  Scheduler& scheduler_;
  const detail::DescribeFrame describe_frame_;  // Null: no backtraces.
  std::string text_;
  std::vector<Item> todo_;
};

}  // namespace

std::string detail::task_tree(DescribeFrame describe) {
  Scheduler& scheduler = detail::current_scheduler();
  if (scheduler.root_task == nullptr) return "(no tasks)\n";
  return TreeWriter(scheduler, describe).write(detail::block_of(*scheduler.root_task));
}

std::string dump_task_tree() {
  return detail::task_tree(nullptr);
}

}  // namespace weft::fibers
