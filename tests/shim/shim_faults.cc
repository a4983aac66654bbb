// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Programs of the shim, run once for each of their allocations with that one failing. Every run
// ends: as if nothing had happened, or with std::bad_alloc or a group that holds it.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "tests/faults/faults_testing.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/schedule_source.h"
#include "weft/fibers/testing/mock_clock.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"
#include "weft/loop/errors.h"
#include "weft/shim/aio_as_trio.h"
#include "weft/shim/open_loop.h"
#include "weft/shim/portal.h"
#include "weft/shim/trio_as_aio.h"

namespace weft::shim {
namespace {

using namespace std::chrono_literals;
using fibers::sleep;
using fibers::testing::expect_no_fault_harms;
using fibers::testing::FaultSweepOptions;

FaultSweepOptions allocations_only() {
  return {.calls = false, .in_run = false};
}

void ordinary_program(EventLoop& loop) {
  auto [sender, receiver] = fibers::open_memory_channel<int>(1);
  auto answer = loop.create_future<int>();
  loop.call_later(1ms, [answer]() mutable { answer.set_result(7); });
  loop.call_soon([sender = sender.clone()]() mutable {
    sleep(1ms);
    sender.send(1);
    sender.close();
  });
  sender.close();
  int sum = 0;
  fibers::fail_after(10s, [&, &from = receiver] {
    sum += from.receive();
    sum += await(answer);
    sum += fibers::to_thread::run_sync([] { return 10; });
    sum += await(run_trio([] {
      sleep(1ms);
      return 100;
    }));
    sum += aio_as_trio([] { return 1000; })();
  });
  EXPECT_EQ(sum, 1118);
}

TEST(ShimFaults, AnOrdinaryProgram) {
  expect_no_fault_harms([] { weft::run([](EventLoop& loop) { ordinary_program(loop); }); },
                        allocations_only());
}

// Each kind of code that needs the loop while it unwinds.
void program_that_unwinds(EventLoop& loop) {
  const auto clean_up = [](const std::function<void()>& fn) {
    try {
      fibers::sleep_forever();
    } catch (const fibers::Cancelled&) {
      fibers::CancelScope shield({.shield = true});
      shield.run(fn);
      throw;
    }
  };
  loop.call_soon([=] { clean_up([] { await(run_trio([] { aio_as_trio([] {}); })); }); });
  run_trio_task([=] { clean_up([] { aio_as_trio([] { sleep(1ms); })(); }); });
  loop.call_soon([] { throw fibers::KeyboardInterrupt(); });
  clean_up([] { aio_as_trio([] {})(); });
}

bool is_expected(const std::exception_ptr& error) {
  return fibers::holds<fibers::KeyboardInterrupt>(error);
}

bool only_cancelled(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const fibers::BaseExceptionGroup& group) {
    return group.split(&fibers::holds<loop::CancelledError>).second == nullptr;
  }
}

void run_in_order(std::uint64_t seed, void (*body)(EventLoop&)) {
  fibers::testing::MockClock clock(0.0, fibers::Duration::zero());
  try {
    fibers::run([&] { open_loop(body); }, {.clock = &clock, .schedule_seed = seed});
  } catch (const fibers::BaseExceptionGroup& group) {
    const auto rest = group.split(&is_expected).second;
    if (rest == nullptr) return;
    try {
      std::rethrow_exception(rest);
    } catch (const fibers::BaseExceptionGroup& others) {
      // Callbacks may see that tasks have been cancelled, but not without its cause.
      const auto [cause, beside] = others.split(&fibers::holds<std::bad_alloc>);
      std::rethrow_exception(
          cause != nullptr && beside != nullptr && only_cancelled(beside) ? cause : rest);
    }
  }
}

TEST(ShimFaults, TheShutDownInManyOrders) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    expect_no_fault_harms([seed] { run_in_order(seed, &program_that_unwinds); },
                          allocations_only());
  }
}

// More callbacks block than there are runners.
void program_of_blocking_callbacks(EventLoop& loop) {
  int done = 0;
  for (int i = 0; i < 5; ++i) {
    loop.call_soon([&] {
      await(run_trio([] { sleep(1ms); }));
      ++done;
    });
  }
  sleep(10ms);
}

TEST(ShimFaults, TheLoopIsHandedOverInManyOrders) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    expect_no_fault_harms([seed] { run_in_order(seed, &program_of_blocking_callbacks); },
                          allocations_only());
  }
}

}  // namespace
}  // namespace weft::shim
