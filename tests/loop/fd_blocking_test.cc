// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Readers whose callbacks wait.

#include <algorithm>
#include <memory>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/timeouts.h"

namespace weft::loop {
namespace {

using testing::Pipe;
using testing::with_loop;
using namespace std::chrono_literals;

FIBER_TEST(FdBlockingTest, ReaderThatBlocksIsNotEnteredAgainUntilItReturns) {
  with_loop([](EventLoop& loop) {
    const Pipe pipe;
    int entered = 0;
    int inside = 0;
    int most = 0;
    loop.add_reader(pipe.reader(), [&] {
      ++entered;
      most = std::max(most, ++inside);
      fibers::sleep(1s);
      pipe.take();
      --inside;
    });
    pipe.put();
    pipe.put();
    fibers::sleep(500ms);
    EXPECT_EQ(entered, 1);
    fibers::sleep(3s);
    EXPECT_EQ(entered, 2);
    EXPECT_EQ(most, 1);
    loop.remove_reader(pipe.reader());
  });
}

FIBER_TEST(FdBlockingTest, RemovingABlockedReaderLetsItFinish) {
  with_loop([](EventLoop& loop) {
    const Pipe pipe;
    auto resource = std::make_shared<int>(0);
    bool finished = false;
    loop.add_reader(pipe.reader(), [&finished, resource] {
      fibers::sleep(1s);
      finished = resource.use_count() > 1;
    });
    pipe.put();
    fibers::sleep(500ms);
    loop.remove_reader(pipe.reader());
    EXPECT_EQ(resource.use_count(), 2);
    fibers::sleep(1s);
    EXPECT_TRUE(finished);
    EXPECT_EQ(resource.use_count(), 1);
  });
}

FIBER_TEST(FdBlockingTest, HandleOfABlockedReaderCancelsTheCallAndRemoves) {
  bool cancelled = false;
  with_loop([&](EventLoop& loop) {
    const Pipe pipe;
    Handle handle = loop.add_reader(pipe.reader(), [&] {
      try {
        fibers::sleep_forever();
      } catch (const fibers::Cancelled&) {
        cancelled = true;
        throw;
      }
    });
    pipe.put();
    fibers::sleep(1s);
    handle.cancel();
    loop.wait_blocked();
    EXPECT_TRUE(cancelled);
    EXPECT_FALSE(loop.remove_reader(pipe.reader()));
  });
}

FIBER_TEST(FdBlockingTest, DescriptorClosedWhileItsCallbackBlocksIsReportedAndDropped) {
  with_loop([](EventLoop& loop) {
    int errors = 0;
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext&) { ++errors; });
    Pipe pipe;
    const int number = pipe.reader();
    loop.add_reader(number, [&] {
      fibers::sleep(1s);
      pipe.close_reader();
    });
    pipe.put();
    fibers::sleep(2s);
    EXPECT_EQ(errors, 1);
    EXPECT_FALSE(loop.remove_reader(number));
  });
}

}  // namespace
}  // namespace weft::loop
