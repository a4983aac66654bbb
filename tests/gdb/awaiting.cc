// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// For tests/gdb/run: asyncio's tasks that await each other in every way, and all_are_parked() as in
// parked.cc.

#include <chrono>
#include <cstdlib>
#include <vector>

#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/call_graph.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/gather.h"
#include "weft/loop/shield.h"
#include "weft/loop/task_group.h"
#include "weft/loop/wait.h"

namespace {

namespace fibers = weft::fibers;
using namespace weft::loop;  // NOLINT: a program that is all about it.

Coro<void> fetch(Future<void> future) {
  co_await future;
}
Coro<void> middle(Future<void> future) {
  co_await fetch(future);
}
Coro<void> lead(Task<void> child, Task<void> sibling, Task<void> stack) {
  co_await gather(child, sibling, stack);
}
Coro<void> wait_for_both(std::vector<Future<void>> both) {
  co_await wait(both);
}

}  // namespace

extern "C" [[gnu::noinline]] void all_are_parked(bool aborts) {
  if (aborts) std::abort();
  asm volatile("" ::: "memory");
}

int main(int argc, char**) {
  fibers::run([argc] {
    fibers::open_nursery([argc](fibers::Nursery& nursery) {
      EventLoop loop(nursery);
      loop.start();
      const auto future = loop.create_future<void>();
      auto child = loop.create_task(middle(future), {.name = "child"});
      auto sibling = loop.create_task(fetch(future), {.name = "sibling"});
      auto stack =
          loop.create_task([] { fibers::sleep(std::chrono::hours(1)); }, {.name = "stack"});
      auto parent = loop.create_task(lead(child, sibling, stack), {.name = "parent"});
      auto shielded = loop.create_task(fetch(future), {.name = "shielded"});
      auto waits = loop.create_task(wait_for_both({parent, shield(shielded)}), {.name = "waits"});
      auto one = loop.create_task(fetch(future), {.name = "one"});
      auto two = loop.create_task(fetch(future), {.name = "two"});
      future_add_to_awaited_by(one, two);
      future_add_to_awaited_by(two, one);
      loop.call_later(std::chrono::milliseconds(1), [&, argc] {
        all_are_parked(argc > 1);
        stack.cancel();
        Future<void>(future).set_result();
      });
      wait(waits);
      loop.stop();
      loop.wait_stopped();
    });
  });
}
