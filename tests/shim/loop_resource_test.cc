// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/shim/loop_resource.h"

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/shim/shim_test_support.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/open_loop.h"

namespace weft::shim {
namespace {

using namespace std::chrono_literals;

std::vector<std::string>& events() {
  static std::vector<std::string> list;
  return list;
}

class Tracked {
 public:
  explicit Tracked(loop::EventLoop& loop) : loop_(loop) { events().emplace_back("made"); }
  void close() {
    // The loop can still be used.
    loop_.call_soon([] { events().emplace_back("callback of close"); });
    events().emplace_back("closed");
  }

 private:
  loop::EventLoop& loop_;
};

FIBER_TEST(LoopResourceTest, IsMadeOnceAndClosedWhileTheLoopRuns) {
  events().clear();
  std::shared_ptr<Tracked> kept;
  open_loop([&](EventLoop& loop) {
    kept = loop_resource<Tracked>(loop);
    EXPECT_EQ(kept, loop_resource<Tracked>(loop));
    open_loop([&](EventLoop& inner) { EXPECT_NE(kept, loop_resource<Tracked>(inner)); });
    events().clear();
  });
  EXPECT_EQ(events(), (std::vector<std::string>{"closed", "callback of close"}));
  EXPECT_EQ(kept.use_count(), 1);
}

FIBER_TEST(LoopResourceTest, HooksRunInReverseOrderAndMayWait) {
  std::vector<int> order;
  open_loop([&](EventLoop& loop) {
    at_close(loop, [&] { order.push_back(1); });
    at_close(loop, [&] {
      fibers::sleep(1s);
      order.push_back(2);
    });
  });
  EXPECT_EQ(order, (std::vector{2, 1}));
}

FIBER_TEST(LoopResourceTest, AHookThatFailsDoesNotKeepTheOthersFromRunning) {
  bool ran = false;
  const auto error = error_of([&] {
    open_loop([&](EventLoop& loop) {
      at_close(loop, [&] { ran = true; });
      at_close(loop, [] { throw std::runtime_error("cannot close"); });
    });
  });
  EXPECT_TRUE(ran);
  EXPECT_TRUE(holds<fibers::ExceptionGroup>(error));
}

FIBER_TEST(LoopResourceTest, AHookHasFiveSeconds) {
  const fibers::Instant start = fibers::current_time();
  open_loop([&](EventLoop& loop) { at_close(loop, [] { fibers::sleep_forever(); }); });
  EXPECT_EQ(fibers::current_time() - start, 5s);
}

FIBER_TEST(LoopResourceTest, TooLateIsAUsageError) {
  std::exception_ptr of_hook;
  std::exception_ptr of_mark;
  open_loop([&](EventLoop& loop) {
    // The callback's turn comes when the resources have been closed.
    at_close(loop, [&] {
      loop.call_soon([&] {
        of_hook = error_of([&] { at_close(loop, [] {}); });
        of_mark = error_of([&] { autoclose(loop, 0); });
      });
    });
  });
  EXPECT_TRUE(holds<fibers::UsageError>(of_hook));
  EXPECT_TRUE(holds<fibers::UsageError>(of_mark));
}

FIBER_TEST(LoopResourceTest, ALoopOfItsOwnHasNoResources) {
  fibers::open_nursery([](fibers::Nursery& nursery) {
    EventLoop loop(nursery);
    EXPECT_THROW(loop_resource<Tracked>(loop), fibers::UsageError);
  });
}

}  // namespace
}  // namespace weft::shim
