// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/call_graph.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <source_location>
#include <string_view>
#include <utility>

#include "weft/fibers/backtrace.h"
#include "weft/fibers/errors.h"
#include "weft/loop/detail/call_graph_core.h"
#include "weft/loop/detail/coro_promise.h"
#include "weft/loop/detail/task_core.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/task.h"

namespace weft::loop {

namespace detail {

// --- Edges. ---

namespace {

template <class T>
void add_once(std::vector<T>& to, T item) {
  if (std::ranges::find(to, item) == to.end()) to.push_back(item);
}

AwaitedFor awaited_for(HandleNode& node) {
  const bool stands =
      node.kind == NodeKind::kFuture && node.ops != nullptr && node.ops->awaited_for != nullptr;
  return stands ? node.ops->awaited_for(node) : AwaitedFor{};
}

void add_awaiters(const FutureCore& future, Awaiters& to) {
  for (HandleNode* node = future.first_callback(); node != nullptr; node = node->next) {
    if (node->kind == NodeKind::kTask) {
      add_once(to.futures, &static_cast<TaskNode*>(node)->task.future());
      continue;
    }
    const AwaitedFor by = awaited_for(*node);
    if (by.future == nullptr) continue;
    by.part ? add_awaiters(*by.future, to) : add_once(to.futures, by.future);
  }
  for (const FutureWaiter* waiter = future.first_waiter(); waiter != nullptr;
       waiter = waiter->next) {
    add_once(to.fibers, static_cast<const fibers::Task*>(waiter->task));
  }
}

}  // namespace

Awaiters awaiters_of(const FutureCore& future) {
  Awaiters awaiters;
  add_awaiters(future, awaiters);
  return awaiters;
}

std::string name_of_fiber(const fibers::Task& fiber) {
  return std::string(fiber.name()) + " #" + std::to_string(fiber.id());
}

// --- Frames. ---

namespace {

// "weft::loop::Coro<int> fetch(int)" without the type that it returns.
std::string_view without_result(std::string_view signature) {
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t i = 0; i < signature.size() && signature[i] != '('; ++i) {
    if (signature[i] == '<') ++depth;
    if (signature[i] == '>') --depth;
    if (signature[i] == ' ' && depth == 0) begin = i + 1;
  }
  return signature.substr(begin);
}

bool is_internal(std::string_view frame) {
  static constexpr std::array kOurs{"weft::loop::detail::", "weft::fibers::", "weft_context_"};
  return std::ranges::any_of(kOurs, [frame](std::string_view ours) {
    const std::size_t at = frame.find(ours);
    return at != std::string_view::npos && at < frame.find('(');
  });
}

void add_coroutine(const PromiseBase& promise, std::vector<FrameCallGraphEntry>& to) {
  const std::source_location& where = promise.where();
  const std::string_view file = where.file_name();
  const std::string_view function = without_result(where.function_name());
  if (is_internal(function)) return;
  to.push_back({std::string(function) + " at " + std::string(file.substr(file.rfind('/') + 1)) +
                ":" + std::to_string(where.line())});
}

void add_coroutines(const TaskCore& task, const TaskCode& code,
                    std::vector<FrameCallGraphEntry>& to) {
  // While it runs the driver does not know who is the innermost.
  if (!task.at_rest()) return add_coroutine(*code.outermost, to);
  for (auto frame = code.driver->innermost(); frame != nullptr;) {
    const PromiseBase& promise = PromiseBase::of(frame);
    add_coroutine(promise, to);
    frame = promise.awaiter();
  }
}

void add_stack(const fibers::Task& fiber, std::vector<FrameCallGraphEntry>& to) {
  try {
    for (const void* address : fibers::backtrace(fiber)) {
      for (const std::string& line : fibers::describe_frame(address)) {
        if (!is_internal(line)) to.push_back({line.substr(0, line.rfind(" ["))});
      }
    }
  } catch (const fibers::UsageError&) {
    // Of a run that is suspended at this moment: its stacks are not to be read.
  }
}

}  // namespace

std::vector<FrameCallGraphEntry> frames_of(const TaskCore& task) {
  std::vector<FrameCallGraphEntry> frames;
  if (task.future().done()) return frames;
  const TaskCode code = task.code();
  if (code.driver != nullptr) add_coroutines(task, code, frames);
  if (code.fiber != nullptr) add_stack(*code.fiber, frames);
  return frames;
}

// --- The graph. ---

namespace {

class Capture {
 public:
  explicit Capture(CallGraphOptions options) : options_(options) {}

  FutureCallGraph of(FutureCore& future) {
    FutureCallGraph graph;
    graph.future = FutureAccess::share(future);
    if (const TaskCore* const task = future.task()) {
      graph.name = task->name();
      graph.call_stack = limited(frames_of(*task));
    }
    if (std::ranges::find(path_, &future) != path_.end()) {
      graph.cycle = true;
      return graph;
    }
    path_.push_back(&future);
    const Awaiters awaiters = awaiters_of(future);
    for (FutureCore* awaiter : awaiters.futures) graph.awaited_by.push_back(of(*awaiter));
    for (const fibers::Task* fiber : awaiters.fibers) {
      FutureCallGraph& by = graph.awaited_by.emplace_back();
      by.name = name_of_fiber(*fiber);
      std::vector<FrameCallGraphEntry> frames;
      add_stack(*fiber, frames);
      by.call_stack = limited(std::move(frames));
    }
    path_.pop_back();
    return graph;
  }

 private:
  std::vector<FrameCallGraphEntry> limited(std::vector<FrameCallGraphEntry> frames) const {
    const auto have = static_cast<std::ptrdiff_t>(frames.size());
    const auto keep = std::min(options_.limit < 0 ? -options_.limit : options_.limit, have);
    if (options_.limit < 0) {
      frames.erase(frames.begin(), frames.end() - keep);
    } else {
      frames.resize(static_cast<std::size_t>(keep));
    }
    return frames;
  }

  const CallGraphOptions options_;
  std::vector<const FutureCore*> path_;
};

std::string id_of(const FutureBase& future) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "%p",
                static_cast<const void*>(&FutureAccess::core(future)));
  return text.data();
}

std::string title_of(const FutureCallGraph& graph) {
  if (!graph.future) return "* Fiber(name='" + graph.name + "')";
  const std::string id = "id=" + id_of(graph.future) + ")" + (graph.cycle ? " again" : "");
  return graph.name.empty() ? "* Future(" + id : "* Task(name='" + graph.name + "', " + id;
}

void render(const FutureCallGraph& graph, const std::string& indent, std::string& text) {
  text += indent + title_of(graph) + "\n";
  if (graph.cycle) return;
  if (!graph.call_stack.empty()) text += indent + "  + Call stack:\n";
  for (const FrameCallGraphEntry& entry : graph.call_stack) {
    text += indent + "  |   " + entry.frame + "\n";
  }
  if (!graph.awaited_by.empty()) text += indent + "  + Awaited by:\n";
  for (const FutureCallGraph& by : graph.awaited_by) render(by, indent + "    ", text);
}

// What future_add_to_awaited_by() puts among the callbacks.
struct AwaitedByEdge {
  void operator()() noexcept { waiter = {}; }
  AwaitedFor awaited_for() const noexcept {
    if (!waiter) return {};
    return {.future = &FutureAccess::core(waiter), .added = true};
  }
  FutureBase waiter;
};

HandleNode* find_edge(const FutureCore& future, const FutureCore& waiter) {
  for (HandleNode* node = future.first_callback(); node != nullptr; node = node->next) {
    const AwaitedFor by = awaited_for(*node);
    if (by.added && by.future == &waiter) return node;
  }
  return nullptr;
}

}  // namespace

}  // namespace detail

FutureCallGraph capture_call_graph(const FutureBase& future, CallGraphOptions options) {
  return detail::Capture(options).of(FutureAccess::core(future));
}

std::optional<FutureCallGraph> capture_call_graph(CallGraphOptions options) {
  const TaskBase task = current_task();
  if (!task) return std::nullopt;
  return capture_call_graph(task, options);
}

std::string format_call_graph(const FutureBase& future, CallGraphOptions options) {
  std::string text;
  detail::render(capture_call_graph(future, options), "", text);
  return text;
}

std::string format_call_graph(CallGraphOptions options) {
  const TaskBase task = current_task();
  return task ? format_call_graph(task, options) : std::string();
}

void print_call_graph(const FutureBase& future, std::FILE* file, CallGraphOptions options) {
  std::fputs(format_call_graph(future, options).c_str(), file);
}

void print_call_graph(std::FILE* file, CallGraphOptions options) {
  std::fputs(format_call_graph(options).c_str(), file);
}

void future_add_to_awaited_by(const FutureBase& future, const FutureBase& waiter) {
  if (future.done()) return;
  const detail::FutureCore& by = FutureAccess::core(waiter);
  if (detail::find_edge(FutureAccess::core(future), by) != nullptr) return;
  FutureBase(future).add_done_callback(detail::AwaitedByEdge{waiter});
}

void future_discard_from_awaited_by(const FutureBase& future, const FutureBase& waiter) {
  detail::FutureCore& of = FutureAccess::core(future);
  detail::HandleNode* const node = detail::find_edge(of, FutureAccess::core(waiter));
  if (node != nullptr) of.remove_callback(node);
}

}  // namespace weft::loop
