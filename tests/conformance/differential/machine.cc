// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/conformance/differential/machine.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "weft/fibers/exception_group.h"
#include "weft/loop/gather.h"
#include "weft/loop/shield.h"
#include "weft/loop/timeout.h"
#include "weft/loop/wait.h"
#include "weft/loop/wait_for.h"

namespace weft::differential {

namespace {

using loop::Coro;
using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds kEnd{50'000};

// Python's ValueError.
struct ValueError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string name_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const ValueError& e) {
    return std::string("ValueError(") + e.what() + ")";
  } catch (const loop::CancelledError&) {
    return "CancelledError";
  } catch (const loop::TimeoutError&) {
    return "TimeoutError";
  } catch (const fibers::BaseExceptionGroup& group) {
    std::string text = "Group[";
    for (const std::exception_ptr& each : group.exceptions()) {
      text += (text.back() == '[' ? "" : " ") + name_of(each);
    }
    return text + "]";
  } catch (const std::exception& e) {
    return std::string("another error: ") + e.what();
  } catch (...) {
    return "something";
  }
}

bool has_group(const Node& ops) {
  return std::any_of(ops.list.begin(), ops.list.end(), [](const Node& op) {
    return op[0].word == "group" ||
           std::any_of(op.list.begin(), op.list.end(),
                       [](const Node& part) { return part.is_list() && has_group(part); });
  });
}

bool is_cancelled_error(const std::exception_ptr& error) {
  return name_of(error) == "CancelledError";
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// What gather() gives.
std::vector<std::string> words_of(const std::vector<int>& values) {
  std::vector<std::string> words;
  words.reserve(values.size());
  for (const int value : values) words.push_back(std::to_string(value));
  return words;
}
std::vector<std::string> words_of(const std::vector<fibers::Outcome<int>>& outcomes) {
  std::vector<std::string> words;
  words.reserve(outcomes.size());
  for (const fibers::Outcome<int>& outcome : outcomes) {
    words.push_back(outcome.has_value() ? std::to_string(*outcome.peek())
                                        : name_of(outcome.error()));
  }
  return words;
}

}  // namespace

struct Machine::Operation {
  Result (Machine::*call)(int me, const Node& op);
};

Machine::Machine(loop::EventLoop& loop, const Node& program, Form form)
    : loop_(loop), bodies_(program[2]), form_(form) {
  const Node& counts = program[0];
  for (int i = 0; i < counts.number(0); ++i) futures_.push_back(loop.create_future<int>());
  locks_.resize(static_cast<std::size_t>(counts.number(1)));
  events_.resize(static_cast<std::size_t>(counts.number(2)));
  for (std::size_t i = 0; i < program[1].list.size(); ++i) {
    queues_.emplace_back(program[1].number(i));
  }
  tasks_.resize(bodies_.list.size());
  groups_.resize(bodies_.list.size());
}

void Machine::start() {
  const fibers::Instant end = loop_.time() + kEnd;
  for (const int later : {0, 1000}) {
    loop_.call_at(end + Milliseconds(later), [this] { cancel_all(); });
  }
  loop_.call_at(end + Milliseconds(5000), [this] { loop_.stop(); });
  launch(0);
}

std::vector<std::string> Machine::finish() {
  over_ = true;
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    trace_.push_back("t" + std::to_string(i) + " " + state(static_cast<int>(i)));
  }
  return std::move(trace_);
}

void Machine::log(int me, const std::string& text) {
  if (over_) return;
  const auto now = std::chrono::duration_cast<Milliseconds>(loop_.time().time_since_epoch());
  trace_.push_back(std::to_string(now.count()) + " t" + std::to_string(me) + " " + text);
}

void Machine::launch(int task) {
  const bool on_stack = form_ == Form::kStacks || (form_ == Form::kMixed && task % 2 == 1);
  auto& place = tasks_.at(static_cast<std::size_t>(task));
  if (on_stack) {
    place = loop_.create_task([this, task] { return loop::await(body(task)); });
  } else {
    place = loop_.create_task(body(task));
  }
}

Coro<int> Machine::body(int me) {
  log(me, "begins");
  co_await ops(me, bodies_[static_cast<std::size_t>(me)]);
  log(me, "ends");
  co_return me;
}

Coro<void> Machine::ops(int me, const Node& list) {
  for (const Node& each : list.list) co_await op(me, each);
}

Coro<void> Machine::op(int me, const Node& node) {
  static const std::map<std::string_view, Operation> operations{
      {"sleep", {&Machine::sleep}},
      {"yield", {&Machine::yield}},
      {"raise", {&Machine::raise}},
      {"set", {&Machine::set}},
      {"fail", {&Machine::fail}},
      {"cancel_future", {&Machine::cancel_future}},
      {"await", {&Machine::await}},
      {"shield", {&Machine::shield}},
      {"spawn", {&Machine::spawn}},
      {"group_spawn", {&Machine::group_spawn}},
      {"cancel", {&Machine::cancel}},
      {"cancelling", {&Machine::cancelling}},
      {"gather", {&Machine::gather}},
      {"wait", {&Machine::wait}},
      {"put", {&Machine::put}},
      {"get", {&Machine::get}},
      {"get_nowait", {&Machine::get_nowait}},
      {"event_set", {&Machine::event_set}},
      {"event_clear", {&Machine::event_clear}},
      {"event_wait", {&Machine::event_wait}},
      {"try", {&Machine::try_ops}},
      {"timeout", {&Machine::timeout}},
      {"wait_for", {&Machine::wait_for}},
      {"lock", {&Machine::lock}},
      {"group", {&Machine::group}},
  };
  if (over_) throw loop::CancelledError("the program is over");  // The closed loop unwinds stacks.
  const std::string& name = node[0].word;
  std::exception_ptr error;
  try {
    const std::string result = co_await (this->*operations.at(name).call)(me, node);
    log(me, name + " " + result);
  } catch (...) {
    error = std::current_exception();
  }
  if (error) {
    log(me, name + " -> " + name_of(error));
    std::rethrow_exception(error);
  }
}

void Machine::cancel_all() {
  trace_.emplace_back("the end");
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    if (tasks_[i] && !has_group(bodies_[i])) tasks_[i].cancel();
  }
}

std::string Machine::state(int task) const {
  const loop::Task<int>& asked = tasks_[static_cast<std::size_t>(task)];
  if (!asked) return "none";
  if (!asked.done()) return "pending";
  if (asked.cancelled()) return "cancelled";
  const std::exception_ptr error = asked.exception();
  return error ? name_of(error) : "done";
}

// --- What an operation is about. ---

loop::Future<int> Machine::target(const std::string& word) const {
  const auto index = static_cast<std::size_t>(std::stoi(word.substr(1)));
  return word[0] == 'f' ? futures_.at(index) : static_cast<loop::Future<int>>(tasks_.at(index));
}

// A task waits for later ones only: a cancellation that goes round in circles overflows the stack.
bool Machine::is_present(int me, const std::string& word) const {
  return target(word) && (word[0] == 'f' || std::stoi(word.substr(1)) > me);
}

std::vector<std::string> Machine::present(int me, const Node& op, std::size_t from) const {
  std::vector<std::string> words;
  for (std::size_t i = from; i < op.list.size(); ++i) {
    if (is_present(me, op[i].word)) words.push_back(op[i].word);
  }
  return words;
}

std::vector<loop::Future<int>> Machine::targets(const std::vector<std::string>& words) const {
  std::vector<loop::Future<int>> found;
  found.reserve(words.size());
  for (const std::string& word : words) found.push_back(target(word));
  return found;
}

// --- The operations. ---

Machine::Result Machine::sleep(int, const Node& op) {
  co_await loop::sleep(Milliseconds(op.number(1)));
  co_return "ok";
}

Machine::Result Machine::yield(int, const Node&) {
  co_await loop::sleep(Milliseconds(0));
  co_return "ok";
}

Machine::Result Machine::raise(int, const Node& op) {
  throw ValueError(op[1].word);
  co_return "";
}

Machine::Result Machine::set(int, const Node& op) {
  auto& future = futures_.at(static_cast<std::size_t>(op.number(1)));
  if (future.done()) co_return "done before";
  future.set_result(op.number(2));
  co_return "ok";
}

Machine::Result Machine::fail(int, const Node& op) {
  auto& future = futures_.at(static_cast<std::size_t>(op.number(1)));
  if (future.done()) co_return "done before";
  future.set_exception(ValueError(op[2].word));
  co_return "ok";
}

Machine::Result Machine::cancel_future(int, const Node& op) {
  co_return futures_.at(static_cast<std::size_t>(op.number(1))).cancel() ? "1" : "0";
}

Machine::Result Machine::await(int me, const Node& op) {
  if (!is_present(me, op[1].word)) co_return "nothing";
  const int value = co_await target(op[1].word);
  co_return std::to_string(value);
}

Machine::Result Machine::shield(int me, const Node& op) {
  if (!is_present(me, op[1].word)) co_return "nothing";
  const int value = co_await loop::shield(target(op[1].word));
  co_return std::to_string(value);
}

Machine::Result Machine::spawn(int, const Node& op) {
  if (tasks_.at(static_cast<std::size_t>(op.number(1)))) co_return "before";
  launch(op.number(1));
  co_return "ok";
}

Machine::Result Machine::group_spawn(int me, const Node& op) {
  const int task = op.number(1);
  auto& place = tasks_.at(static_cast<std::size_t>(task));
  const auto& groups = groups_[static_cast<std::size_t>(me)];
  if (place || groups.empty()) co_return "before";
  loop::TaskGroup& group = *groups.back();
  try {
    if (form_ == Form::kStacks) {
      place = group.create_task([this, task] { return loop::await(body(task)); });
    } else {
      place = group.create_task(body(task));
    }
  } catch (const fibers::UsageError&) {
    co_return "refused";
  }
  co_return "ok";
}

Machine::Result Machine::cancel(int, const Node& op) {
  auto& task = tasks_.at(static_cast<std::size_t>(op.number(1)));
  if (!task) co_return "nothing";
  co_return task.cancel() ? "1" : "0";
}

Machine::Result Machine::cancelling(int, const Node&) {
  co_return std::to_string(loop::current_task().cancelling());
}

Machine::Result Machine::gather(int me, const Node& op) {
  std::vector<loop::Future<int>> found = targets(present(me, op, 2));
  // weft sees at once what is done, Python up to 3.11 an iteration later.
  std::erase_if(found, [](const loop::Future<int>& future) { return future.done(); });
  if (op[1].word == "1") {
    const auto outcomes = co_await loop::gather(loop::return_exceptions, found);
    co_return joined(words_of(outcomes));
  }
  const auto values = co_await loop::gather(found);
  co_return joined(words_of(values));
}

Machine::Result Machine::wait(int me, const Node& op) {
  const auto words = present(me, op, 3);
  if (words.empty()) co_return "nothing";
  loop::WaitOptions options;
  if (op[1].word == "first") options.return_when = loop::ReturnWhen::kFirstCompleted;
  if (op[1].word == "error") options.return_when = loop::ReturnWhen::kFirstException;
  if (op[2].word != "-") options.timeout = Milliseconds(op.number(2));
  const auto result = co_await loop::wait(targets(words), options);
  std::vector<std::string> done;
  for (const std::string& word : words) {
    const loop::Future<int> future = target(word);
    if (std::find(result.done.begin(), result.done.end(), future) != result.done.end()) {
      done.push_back(word);
    }
  }
  co_return joined(done);
}

Machine::Result Machine::put(int, const Node& op) {
  co_await queues_.at(static_cast<std::size_t>(op.number(1))).put(op.number(2));
  co_return "ok";
}

Machine::Result Machine::get(int, const Node& op) {
  const int value = co_await queues_.at(static_cast<std::size_t>(op.number(1))).get();
  co_return std::to_string(value);
}

Machine::Result Machine::get_nowait(int, const Node& op) {
  auto& queue = queues_.at(static_cast<std::size_t>(op.number(1)));
  if (queue.empty()) co_return "empty";
  co_return std::to_string(queue.get_nowait());
}

Machine::Result Machine::event_set(int, const Node& op) {
  events_.at(static_cast<std::size_t>(op.number(1))).set();
  co_return "ok";
}

Machine::Result Machine::event_clear(int, const Node& op) {
  events_.at(static_cast<std::size_t>(op.number(1))).clear();
  co_return "ok";
}

Machine::Result Machine::event_wait(int, const Node& op) {
  co_await events_.at(static_cast<std::size_t>(op.number(1))).wait();
  co_return "ok";
}

Machine::Result Machine::try_ops(int me, const Node& op) {
  std::exception_ptr error;
  try {
    co_await ops(me, op[2]);
  } catch (...) {
    error = std::current_exception();
  }
  if (!error) co_return "nothing caught";
  while (is_cancelled_error(error) && loop::current_task().cancelling() > 0) {
    loop::current_task().uncancel();
  }
  co_await ops(me, op[3]);
  if (op[1].word == "raise") std::rethrow_exception(error);
  co_return name_of(error);
}

Machine::Result Machine::timeout(int me, const Node& op) {
  auto limit = loop::timeout(Milliseconds(op.number(1)));
  co_await limit.run(ops(me, op[2]));
  co_return "in time";
}

Machine::Result Machine::wait_for(int me, const Node& op) {
  co_await loop::wait_for(ops(me, op[2]), Milliseconds(op.number(1)));
  co_return "in time";
}

Machine::Result Machine::lock(int me, const Node& op) {
  const auto guard = co_await locks_.at(static_cast<std::size_t>(op.number(1))).scoped();
  log(me, "locked");
  co_await ops(me, op[2]);
  co_return "ok";
}

Machine::Result Machine::group(int me, const Node& op) {
  auto& groups = groups_[static_cast<std::size_t>(me)];
  co_await loop::task_group([&](loop::TaskGroup& tg) -> Coro<void> {
    groups.push_back(&tg);
    std::exception_ptr error;
    try {
      co_await ops(me, op[1]);
    } catch (...) {
      error = std::current_exception();
    }
    groups.pop_back();
    if (error) std::rethrow_exception(error);
  });
  co_return "ok";
}

}  // namespace weft::differential
