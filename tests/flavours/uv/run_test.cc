// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/uv/run.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/flavours/uv/uv_testing.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/open_loop.h"
#include "weft/uv/handle.h"
#include "weft/uv/request.h"

namespace weft::uv {
namespace {

using namespace std::chrono_literals;
using fibers::Event;

// A timer of the program's own, as libuv has it.
UV_TEST(ACallbackOfLibuvsWakesATask) {
  struct Rings {
    Event event;
    std::string library = "unknown";
  };
  Rings rings;
  {
    Handle<uv_timer_t> timer([](uv_timer_t* t) { return uv_timer_init(current_loop(), t); });
    // `data` is weft's; a program that has its own handles does not need Handle.
    static Rings* ringing = nullptr;
    ringing = &rings;
    uv_timer_start(
        timer.get(),
        [](uv_timer_t*) {
          EXPECT_FALSE(fibers::in_trio_task());
          EXPECT_THROW(fibers::checkpoint(), fibers::UsageError);
          try {
            ringing->library = current_async_library();
          } catch (const fibers::UsageError&) {
            ringing->library = "none";
          }
          ringing->event.set();
        },
        1, 0);
    poke();
    rings.event.wait();
  }
  EXPECT_EQ(rings.library, "none");
  EXPECT_EQ(current_async_library(), "trio");
}

UV_TEST(TheRunsOwnDeadlinesGoOn) {
  const auto before = fibers::current_time();
  fibers::sleep(1ms);
  EXPECT_GE(fibers::current_time() - before, 1ms);
  EXPECT_FALSE(fibers::move_on_after(1ms, [] { fibers::sleep_forever(); }));
}

UV_TEST(ASecondLoopIsRefused) {
  EXPECT_THROW(open_loop([](uv_loop_t*) {}), fibers::UsageError);
}

// What a host had in its loop stays there, and goes on meanwhile.
TEST(UvRunTest, TheHostsOwnCallbacksGoOn) {
  uv_loop_t loop{};
  ASSERT_EQ(uv_loop_init(&loop), 0);
  int ticks = 0;
  uv_timer_t timer{};
  uv_timer_init(&loop, &timer);
  timer.data = &ticks;
  uv_timer_start(
      &timer, [](uv_timer_t* t) { ++*static_cast<int*>(t->data); }, 0, 1);
  const std::string value = run(&loop, [&] {
    while (ticks < 3) fibers::sleep(1ms);
    return std::string("value");
  });
  EXPECT_EQ(value, "value");
  EXPECT_NE(uv_is_active(reinterpret_cast<uv_handle_t*>(&timer)), 0);
  EXPECT_THROW(run(&loop, [] { throw std::out_of_range("far"); }), std::out_of_range);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
  uv_run(&loop, UV_RUN_DEFAULT);
  EXPECT_EQ(uv_loop_close(&loop), 0);
}

TEST(UvRunTest, AGuestIsToldOfByDone) {
  uv_loop_t loop{};
  ASSERT_EQ(uv_loop_init(&loop), 0);
  std::vector<int> values;
  start_guest_run(
      &loop, [owned = std::make_unique<int>(7)] { return *owned; },
      [&](fibers::Outcome<int> outcome) { values.push_back(outcome.unwrap()); });
  uv_run(&loop, UV_RUN_DEFAULT);
  EXPECT_EQ(values, std::vector<int>{7});
  EXPECT_EQ(uv_loop_close(&loop), 0);
}

// A handle of the program's own that nobody has closed.
FIBER_TEST(UvOpenLoopTest, ClosesWhatIsLeft) {
  static uv_timer_t left;
  shim::open_loop([] {
    open_loop([](uv_loop_t* loop) {
      uv_timer_init(loop, &left);
      uv_timer_start(
          &left, [](uv_timer_t*) {}, 1000, 1000);
    });
  });
  EXPECT_NE(uv_is_closing(reinterpret_cast<uv_handle_t*>(&left)), 0);
}

FIBER_TEST(UvOpenLoopTest, AHandleMayOutliveTheLoop) {
  shim::open_loop([] {
    std::unique_ptr<Handle<uv_timer_t>> timer;
    open_loop([&](uv_loop_t* loop) {
      timer = std::make_unique<Handle<uv_timer_t>>(
          [loop](uv_timer_t* t) { return uv_timer_init(loop, t); });
    });
    if (timer != nullptr) {
      EXPECT_TRUE(timer->is_closing());
      timer->aclose();
    }
  });
}

FIBER_TEST(UvOpenLoopTest, WithoutALoopThereIsNone) {
  EXPECT_THROW(current_loop(), fibers::UsageError);
  EXPECT_THROW(open_loop([](uv_loop_t*) {}), fibers::UsageError);
  EXPECT_EQ(shim::open_loop([] { return open_loop([](uv_loop_t*) { return 5; }); }), 5);
}

}  // namespace
}  // namespace weft::uv
