// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Greenlets: a generator that walks a tree, and two whole runs on one thread, of which each stands
// still while the other, or the program itself, goes on.
//
// Prints:
//   the tree: 1 2 3 4 5
//   first: hello
//   second: hello
//   first: hello again
//   between: 4 ms of the first run, 2 ms of the second

#include <any>
#include <chrono>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "weft/fibers/greenlet.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/mock_clock.h"
#include "weft/fibers/timeouts.h"

using namespace std::chrono_literals;
namespace trio = weft::fibers;
using trio::getcurrent;
using trio::Greenlet;

struct Tree {
  int value;
  std::unique_ptr<Tree> left, right;
};

// Hands each value, in order, to whoever has switched here: from any depth of the recursion.
void walk(const Tree* tree) {
  if (tree == nullptr) return;
  walk(tree->left.get());
  getcurrent().parent().switch_to(tree->value);
  walk(tree->right.get());
}

// A run that lives in a greenlet. It takes orders one at a time, and between two of them everything
// in it stands still: its tasks, its deadlines, its clock.
class Worker {
 public:
  using Order = std::function<void()>;

  Worker() : greenlet_([this] { trio::run([] { serve(); }, {.clock = &clock_}); }) {
    greenlet_.switch_to();
  }
  void order(Order order) { greenlet_.switch_to(std::move(order)); }
  // It goes with the last reference to its greenlet: GreenletExit unwinds the run.

 private:
  static void serve() {
    for (;;) std::any_cast<Order>(getcurrent().parent().switch_to())();
  }

  trio::testing::MockClock clock_{0, 0s};  // So that this example takes no time.
  Greenlet greenlet_;
};

int main() {
  auto left = std::make_unique<Tree>(2, std::make_unique<Tree>(1), std::make_unique<Tree>(3));
  const Tree tree{4, std::move(left), std::make_unique<Tree>(5)};
  Greenlet values([&tree] { walk(&tree); });
  std::cout << "the tree:";
  for (std::any v = values.switch_to(); values; v = values.switch_to()) {
    std::cout << ' ' << std::any_cast<int>(v);
  }
  std::cout << '\n';

  Worker first;
  Worker second;
  const auto say = [](const std::string& text) {
    return [text] {
      trio::sleep(2ms);
      std::cout << text << '\n';
    };
  };
  const auto look = [](trio::Instant& at) { return [&at] { at = trio::current_time(); }; };
  trio::Instant first_begin, second_begin, first_end, second_end;
  first.order(look(first_begin));
  second.order(look(second_begin));
  first.order(say("first: hello"));
  second.order(say("second: hello"));
  first.order(say("first: hello again"));
  first.order(look(first_end));
  second.order(look(second_end));
  const auto ms = [](trio::Duration d) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
  };
  std::cout << "between: " << ms(first_end - first_begin) << " ms of the first run, "
            << ms(second_end - second_begin) << " ms of the second\n";
}
