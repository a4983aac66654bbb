// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a C++ library has to do with weft: exceptions in several tasks at once, groups of them,
// cancellation, threads. Prints what went wrong.

#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/gather.h"
#include "weft/fibers/inspect.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"

using namespace weft::fibers;

namespace {

int g_failures = 0;

void check(bool good, const char* what) {
  if (good) return;
  std::printf("libcxx: %s\n", what);
  ++g_failures;
}

// Switches to another task while it handles an exception.
std::string caught(const std::string& words) {
  try {
    throw std::runtime_error(words);
  } catch (const std::runtime_error&) {
    checkpoint();
    try {
      throw;
    } catch (const std::runtime_error& again) {
      return again.what();
    }
  }
}

void check_errors() {
  const auto [one, two] = gather([] { return caught("one"); }, [] { return caught("two"); });
  check(one == "one" && two == "two", "a task has got another one's exception");
  std::string text;
  try {
    open_nursery([](Nursery& nursery) {
      nursery.start_soon([] { sleep_forever(); });
      nursery.start_soon([] { throw std::invalid_argument("words"); });
    });
  } catch (const ExceptionGroup& group) {
    text = group.what();
  }
  check(text ==
            "exceptions from a nursery (1 sub-exception)\n"
            "  - std::invalid_argument: words",
        text.c_str());
}

void check_cancellation() {
  CancelScope scope;
  scope.run([&] {
    scope.cancel();
    checkpoint();
    check(false, "a cancelled scope has gone on");
  });
  check(scope.cancelled_caught(), "a cancelled scope has not caught its Cancelled");
  move_on_after(std::chrono::milliseconds(1), [] { sleep_forever(); });
}

}  // namespace

int main() {
  run([] {
    check_errors();
    check_cancellation();
    check(to_thread::run_sync([] { return std::string("from a thread"); }) == "from a thread",
          "a thread's value is lost");
    check(dump_task_tree().find("running") != std::string::npos, "the tree has no running task");
  });
  return g_failures;
}
