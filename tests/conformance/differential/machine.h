// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Carries a program of program.py out on weft::loop.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "weft/loop/event.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/lock.h"
#include "weft/loop/queue.h"
#include "weft/loop/task.h"
#include "weft/loop/task_group.h"

namespace weft::differential {

// A word, or a list.
struct Node {
  std::string word;
  std::vector<Node> list;

  bool is_list() const { return word.empty(); }
  const Node& operator[](std::size_t i) const { return list.at(i); }
  int number(std::size_t i) const { return std::stoi(list.at(i).word); }
};

// What the tasks of a program are.
enum class Form : std::uint8_t { kCoroutines, kStacks, kMixed };

class Machine {
 public:
  Machine(loop::EventLoop& loop, const Node& program, Form form);

  // Starts task 0, and arranges for the end.
  void start();
  // The trace, with how each task has ended. Nothing is noted after that.
  std::vector<std::string> finish();

 private:
  using Result = loop::Coro<std::string>;
  struct Operation;

  void log(int me, const std::string& text);
  void launch(int task);
  loop::Coro<int> body(int me);
  loop::Coro<void> ops(int me, const Node& list);
  loop::Coro<void> op(int me, const Node& node);
  void cancel_all();
  std::string state(int task) const;

  bool is_present(int me, const std::string& word) const;
  loop::Future<int> target(const std::string& word) const;
  std::vector<std::string> present(int me, const Node& op, std::size_t from) const;
  std::vector<loop::Future<int>> targets(const std::vector<std::string>& words) const;

  // One operation each.
  Result sleep(int me, const Node& op);
  Result yield(int me, const Node& op);
  Result raise(int me, const Node& op);
  Result set(int me, const Node& op);
  Result fail(int me, const Node& op);
  Result cancel_future(int me, const Node& op);
  Result await(int me, const Node& op);
  Result shield(int me, const Node& op);
  Result spawn(int me, const Node& op);
  Result group_spawn(int me, const Node& op);
  Result cancel(int me, const Node& op);
  Result cancelling(int me, const Node& op);
  Result gather(int me, const Node& op);
  Result wait(int me, const Node& op);
  Result put(int me, const Node& op);
  Result get(int me, const Node& op);
  Result get_nowait(int me, const Node& op);
  Result event_set(int me, const Node& op);
  Result event_clear(int me, const Node& op);
  Result event_wait(int me, const Node& op);
  Result try_ops(int me, const Node& op);
  Result timeout(int me, const Node& op);
  Result wait_for(int me, const Node& op);
  Result lock(int me, const Node& op);
  Result group(int me, const Node& op);

  loop::EventLoop& loop_;
  const Node& bodies_;
  const Form form_;
  std::vector<std::string> trace_;
  bool over_ = false;
  std::vector<loop::Future<int>> futures_;
  std::deque<loop::Lock> locks_;
  std::deque<loop::Event> events_;
  std::deque<loop::Queue<int>> queues_;
  std::vector<loop::Task<int>> tasks_;
  std::vector<std::vector<loop::TaskGroup*>> groups_;
};

}  // namespace weft::differential
