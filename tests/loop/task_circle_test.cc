// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Tasks that await each other in a circle, none of which would ever go on, and in long chains: they
// can be cancelled.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/loop/gather.h"
#include "weft/loop/runner.h"
#include "weft/loop/task.h"

namespace weft::loop {
namespace {

using fibers::testing::wait_all_tasks_blocked;
using ::testing::ElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

using Ring = std::vector<Task<void>>;

// Awaits the next one of the ring.
Coro<void> await_next(Ring* ring, std::size_t i) {
  co_await sleep(0s);
  co_await (*ring)[(i + 1) % ring->size()];
}

void make_ring(EventLoop& loop, Ring& ring, std::size_t size) {
  ring.resize(size);
  for (std::size_t i = 0; i < size; ++i) ring[i] = loop.create_task(await_next(&ring, i));
  wait_all_tasks_blocked();
}

void expect_all_cancelled(const Ring& ring) {
  for (const Task<void>& task : ring) {
    ASSERT_TRUE(task.done());
    EXPECT_TRUE(task.cancelled());
  }
}

FIBER_TEST(TaskCircleTest, CancellingOneEndsAll) {
  for (const std::size_t size : {2U, 3U, 10U}) {
    Ring ring;
    with_loop([&](EventLoop& loop) {
      make_ring(loop, ring, size);
      EXPECT_TRUE(ring[0].cancel("enough"));
      EXPECT_EQ(ring[0].cancelling(), 1U);
      EXPECT_FALSE(ring[0].done()) << "it ends in its next step";
      wait_all_tasks_blocked();
      expect_all_cancelled(ring);
    });
  }
}

// The one that ends its wait is where the circle has closed.
FIBER_TEST(TaskCircleTest, TheCancellationIsRaisedOnceWhereOneWaits) {
  std::vector<std::string> log;
  Ring ring(2);
  with_loop([&](EventLoop& loop) {
    const auto body = [&log, &ring](std::size_t i) {
      return [&log, &ring, i] {
        try {
          await(sleep(0s));
          await(ring[1 - i]);
        } catch (const CancelledError& error) {
          log.push_back(std::to_string(i) + " " + error.message());
          if (i == 0) return;  // Swallows it.
          throw;
        }
        log.push_back(std::to_string(i) + " goes on");
      };
    };
    ring[0] = loop.create_task(body(0));
    ring[1] = loop.create_task(body(1));
    wait_all_tasks_blocked();
    EXPECT_TRUE(ring[0].cancel("enough"));
    wait_all_tasks_blocked();
    EXPECT_TRUE(ring[0].done() && ring[1].done());
    EXPECT_FALSE(ring[0].cancelled());
  });
  EXPECT_THAT(log, ElementsAre("0 enough", "1 goes on"));
}

FIBER_TEST(TaskCircleTest, OneThatOnlyLeadsIntoTheCircleIsCancelledWithIt) {
  Ring ring;
  Task<void> outside;
  with_loop([&](EventLoop& loop) {
    make_ring(loop, ring, 3);
    outside = loop.create_task([](Ring* r) -> Coro<void> { co_await (*r)[1]; }(&ring));
    wait_all_tasks_blocked();
    EXPECT_TRUE(outside.cancel());
    wait_all_tasks_blocked();
    EXPECT_TRUE(outside.cancelled());
    expect_all_cancelled(ring);
  });
}

FIBER_TEST(TaskCircleTest, AGatherInBetweenMakesNoDifference) {
  Ring ring(2);
  with_loop([&](EventLoop& loop) {
    ring[0] = loop.create_task([](Ring* r) -> Coro<void> {
      co_await sleep(0s);
      co_await gather((*r)[1]);
    }(&ring));
    ring[1] = loop.create_task(await_next(&ring, 1));
    wait_all_tasks_blocked();
    EXPECT_TRUE(ring[0].cancel());
    wait_all_tasks_blocked();
    expect_all_cancelled(ring);
  });
}

// One way around, and back from the middle of it through the gather.
FIBER_TEST(TaskCircleTest, AGatherThatLeadsBackIntoTheChainEndsItToo) {
  Ring ring(3);
  with_loop([&](EventLoop& loop) {
    for (std::size_t i = 0; i < 2; ++i) ring[i] = loop.create_task(await_next(&ring, i));
    ring[2] = loop.create_task([](Ring* r) -> Coro<void> {
      co_await sleep(0s);
      co_await gather((*r)[1], (*r)[0]);
    }(&ring));
    wait_all_tasks_blocked();
    EXPECT_TRUE(ring[0].cancel());
    wait_all_tasks_blocked();
    expect_all_cancelled(ring);
  });
}

// Longer than any stack is deep.
TEST(TaskChainTest, CancellingTheFirstOfAHundredThousandEndsAll) {
  Ring chain(100'000);
  fibers::run([&] {
    with_loop([&](EventLoop& loop) {
      chain.back() = loop.create_task([]() -> Coro<void> { co_await sleep(1h); });
      for (std::size_t i = chain.size() - 1; i-- > 0;) {
        chain[i] = loop.create_task(await_next(&chain, i));
      }
      wait_all_tasks_blocked();
      EXPECT_TRUE(chain.front().cancel("enough"));
      EXPECT_EQ(chain.front().cancelling(), 1U);
      EXPECT_EQ(chain[chain.size() / 2].cancelling(), 1U);
      EXPECT_EQ(chain.back().cancelling(), 1U);
      wait_all_tasks_blocked();
    });
  });
  expect_all_cancelled(chain);
}

// Which cancels all tasks, each in its turn.
TEST(TaskCircleTest, ARunnerEndsThem) {
  Ring ring;
  run([&]() -> Coro<void> {
    ring.resize(3);
    for (std::size_t i = 0; i < 3; ++i) {
      ring[i] = running_loop()->create_task(await_next(&ring, i));
    }
    co_await sleep(1ms);
  });
  expect_all_cancelled(ring);
}

}  // namespace
}  // namespace weft::loop
