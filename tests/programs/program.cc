// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The programs of programs_test, by name: how each begins, what it does, and above all how it ends.

#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/greenlet.h"
#include "weft/fibers/guest.h"
#include "weft/fibers/log.h"
#include "weft/fibers/main.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/process.h"
#include "weft/fibers/run_process.h"
#include "weft/fibers/signals.h"
#include "weft/fibers/socket.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"
#include "weft/loop/sync_loop.h"
#include "weft/shim/shim.h"

namespace {

using namespace std::chrono_literals;
namespace trio = weft::fibers;

using Body = std::function<void()>;

// --- What destructors at the end of a thread, or of the program, do. ---

// Made before weft is used for the first time, so destroyed after all that it keeps.
struct AtEnd {
  ~AtEnd() {
    if (body) body();
  }
  Body body;
};
AtEnd at_program_end;
thread_local AtEnd at_thread_end;

void report(const std::string& text) {
  std::fprintf(stdout, "%s\n", text.c_str());
  std::fflush(stdout);
}

void use_run() {
  int sum = 0;
  for (int i = 0; i < 3; ++i) {
    trio::run([&] {
      trio::open_nursery([&](trio::Nursery& nursery) {
        for (int j = 0; j < 10; ++j) nursery.start_soon([&] { ++sum; });
      });
      trio::CancelScope scope;
      scope.run([&] {
        scope.cancel();
        trio::sleep_forever();
      });
    });
  }
  report("run: " + std::to_string(sum));
}

void use_loop() {
  std::string order;
  weft::run([&](weft::EventLoop& loop) {
    loop.call_soon([&] {
      trio::sleep(1ms);
      order += 'b';
    });
    order += 'a';
    trio::sleep(5ms);
    weft::await(weft::shim::run_trio([&] { order += 'c'; }));
  });
  report("loop: " + order);
}

void use_greenlet() {
  try {
    const trio::Greenlet greenlet([] { report("greenlet: ran"); });
    greenlet.switch_to();
  } catch (const trio::GreenletError& error) {
    report("greenlet: refused");
  }
}

void use_streams() {
  trio::run([] {
    auto [left, right] = trio::socket_stream_pair();
    left.send_all("x");
    report("streams: " + right.receive_some());
    trio::log(trio::LogLevel::kInfo, "logged");
  });
}

void use_thread() {
  trio::run(
      [] { report("thread: " + std::to_string(trio::to_thread::run_sync([] { return 7; }))); });
}

void use_child() {
  trio::run([] {
    { const auto dropped = trio::open_process({"true"}); }
    report("child: " + std::to_string(trio::run_process({"false"}, {.check = false}).returncode));
  });
}

void use_guest() {
  bool done = false;
  const trio::GuestRun guest = trio::start_guest_run(
      [] { trio::sleep(1ms); }, {.done_callback = [&](trio::Outcome<void>) { done = true; }});
  while (!guest.done()) guest.tick();
  report(done ? "guest: done" : "guest: lost");
}

const std::map<std::string, Body> kUses{
    {"run", use_run},         {"loop", use_loop},     {"greenlet", use_greenlet},
    {"streams", use_streams}, {"thread", use_thread}, {"child", use_child},
    {"guest", use_guest},
};

// Uses `use` before the end, so that there is something to be destroyed, and at it.
int use_at_program_end(const Body& use) {
  at_program_end.body = use;
  use();
  return 0;
}
int use_at_thread_end(const Body& use) {
  at_thread_end.body = use;
  use();
  return 0;
}
int use_at_end_of_another_thread(const Body& use) {
  std::thread([&] { use_at_thread_end(use); }).join();
  return 0;
}
int use_only_at_program_end(const Body& use) {
  at_program_end.body = use;
  return 0;
}

// --- How main() ends. ---

[[noreturn]] void fail() {
  throw std::runtime_error("no route");
}

// Text that has not been written yet when the program ends.
void leave_output_behind() {
  std::printf("printf ");
  std::cout << "cout";
}

void interrupt_and_wait() {
  leave_output_behind();
  std::raise(SIGINT);
  trio::sleep_forever();
}

// The second one comes while the loop's task cleans up.
void interrupt_twice(weft::EventLoop& loop) {
  const auto waits = [](auto&& wait, const char* word) {
    try {
      wait();
    } catch (const weft::loop::CancelledError&) {
      std::puts(word);
    }
  };
  loop.create_task([&loop, waits] {
    waits([&] { await(loop.create_future<void>()); }, "task");
    loop.call_soon([] { std::raise(SIGINT); });
    waits([] { await(weft::loop::sleep(std::chrono::hours(1))); }, "task again");
  });
  loop.synchronize();
  try {
    std::raise(SIGINT);
    trio::sleep_forever();
  } catch (const trio::Cancelled&) {
    std::puts("body");
    throw;
  }
}

// The body cleans up in a shielded scope, where the second one finds it.
void interrupt_twice_in_the_body() {
  try {
    std::raise(SIGINT);
    trio::sleep_forever();
  } catch (const trio::Cancelled&) {
    std::puts("cancelled");
    trio::CancelScope({.shield = true}).run([] {
      try {
        std::raise(SIGINT);
        trio::sleep_forever();
      } catch (const trio::KeyboardInterrupt&) {
        std::puts("interrupted");
        throw;
      }
    });
  }
}

void fail_when_cancelled() {
  try {
    interrupt_and_wait();
  } catch (const trio::Cancelled&) {
    fail();
  }
}

// The body decides.
int return_when_cancelled() {
  try {
    interrupt_and_wait();
  } catch (const trio::Cancelled&) {
    return 3;
  }
  return 0;
}

// What is shielded is done in spite of a Ctrl-C, and heard of it is after that.
void clean_up_shielded(weft::EventLoop& loop) {
  trio::CancelScope({.shield = true}).run([&] {
    std::raise(SIGINT);
    trio::sleep(1ms);
    weft::await(loop.create_task([] { await(weft::loop::sleep(1ms)); }));
    std::puts("cleaned");
  });
  trio::sleep_forever();
}

// A callback that is at work when it comes is not cut short; nor is one that waits, until the body
// has unwound.
void interrupt_in_a_callback(weft::EventLoop& loop) {
  loop.call_soon([] {
    std::raise(SIGINT);
    std::puts("callback");
    try {
      trio::sleep_forever();
    } catch (const trio::Cancelled&) {
      std::puts("callback again");
      throw;
    }
  });
  try {
    trio::sleep_forever();
  } catch (const trio::Cancelled&) {
    std::puts("body");
    throw;
  }
}

void interrupt_beside_a_stopped_loop(weft::EventLoop& loop) {
  loop.stop();
  loop.wait_stopped();
  interrupt_and_wait();
}

void interrupt_beside_an_error() {
  trio::open_nursery([](trio::Nursery& nursery) {
    nursery.start_soon([] {
      try {
        trio::sleep_forever();
      } catch (const trio::Cancelled&) {
        fail();
      }
    });
    trio::checkpoint();
    std::raise(SIGINT);
  });
}

void fail_twice() {
  trio::open_nursery([](trio::Nursery& nursery) {
    nursery.start_soon([] { fail(); });
    nursery.start_soon([] { throw std::out_of_range("too far"); });
  });
}

int handle_interrupt() {
  try {
    interrupt_and_wait();
  } catch (const trio::KeyboardInterrupt&) {
    return 3;
  }
  return 0;
}

// The answer of a pipe without a reader, and how a child ends that gets SIGPIPE.
int write_to_a_closed_pipe() {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return 2;
  ::close(ends[0]);
  if (::write(ends[1], "x", 1) != -1 || errno != EPIPE) return 3;
  const auto child = trio::run_process({"kill -PIPE $$; exit 0"}, {.check = false, .shell = true});
  return child.returncode == -SIGPIPE ? 0 : 4;
}

void wait_for_a_signal() {
  report("ready");
  trio::sleep_forever();
}

// A child that never ends by itself. It holds this program's stdout.
int wait_with_child(const trio::ProcessOptions& options) {
  return trio::main([&] {
    const auto child = trio::open_process({"sleep", "1000000"}, options);
    report(std::to_string(child->pid()));
    trio::sleep_forever();
  });
}

const std::map<std::string, std::function<int()>> kPrograms{
    {"returns", [] { return trio::main([] {}); }},
    {"status", [] { return trio::main([] { return 7; }); }},
    {"error", [] { return trio::main([] { fail(); }); }},
    {"group", [] { return trio::main(fail_twice); }},
    {"no_exception", [] { return trio::main([] { throw 42; }); }},  // NOLINT
    {"interrupt", [] { return trio::main(interrupt_and_wait); }},
    {"interrupt_beside", [] { return trio::main(interrupt_beside_an_error); }},
    {"interrupt_late", [] { return trio::main([] { std::raise(SIGINT), fail(); }); }},
    {"interrupt_handled", [] { return trio::main(handle_interrupt); }},
    {"interrupt_blocked",
     [] {
       return trio::main([] {
         std::raise(SIGINT);
         sigset_t all;
         ::sigfillset(&all);
         ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
       });
     }},
    {"waits", [] { return trio::main(wait_for_a_signal); }},
    {"child", [] { return wait_with_child({}); }},
    {"tied_child", [] { return wait_with_child({.parent_death_signal = SIGTERM}); }},
    {"pipe", [] { return trio::main(write_to_a_closed_pipe); }},
    {"options", [] { return trio::main([] { std::raise(SIGINT); }, {.handle_interrupt = false}); }},
    {"weft_returns",
     [] { return weft::main([](weft::EventLoop& loop) { loop.call_soon([] {}); }); }},
    {"weft_status", [] { return weft::main([] { return 7; }); }},
    {"weft_error", [] { return weft::main([] { fail(); }); }},
    {"weft_strict",
     [] { return weft::main([] { fail(); }, {}, {.strict_exception_groups = true}); }},
    {"weft_callback",
     [] {
       return weft::main([](weft::EventLoop& loop) {
         loop.call_soon([] { fail(); });
         trio::sleep_forever();
       });
     }},
    {"weft_interrupt", [] { return weft::main(interrupt_and_wait); }},
    {"weft_interrupt_twice", [] { return weft::main(interrupt_twice); }},
    {"weft_interrupt_body_twice", [] { return weft::main(interrupt_twice_in_the_body); }},
    {"weft_interrupt_beside", [] { return weft::main(fail_when_cancelled); }},
    {"weft_interrupt_return", [] { return weft::main(return_when_cancelled); }},
    {"weft_interrupt_shield", [] { return weft::main(clean_up_shielded); }},
    {"weft_interrupt_callback", [] { return weft::main(interrupt_in_a_callback); }},
    {"weft_interrupt_stopped", [] { return weft::main(interrupt_beside_a_stopped_loop); }},
    {"weft_interrupt_suspended",
     [] {
       weft::loop::SyncLoop sync;
       sync.run_until_complete([] {});
       return weft::main(return_when_cancelled);
     }},
    {"weft_interrupt_late", [] { return weft::main([] { std::raise(SIGINT), fail(); }); }},
    {"weft_waits", [] { return weft::main(wait_for_a_signal); }},
};

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  if (argc > 2) {
    const Body& use = kUses.at(argv[2]);
    if (name == "program_end") return use_at_program_end(use);
    if (name == "thread_end") return use_at_thread_end(use);
    if (name == "other_thread_end") return use_at_end_of_another_thread(use);
    if (name == "only_program_end") return use_only_at_program_end(use);
  }
  const auto program = kPrograms.find(name);
  if (program == kPrograms.end()) return 99;
  return program->second();
}
