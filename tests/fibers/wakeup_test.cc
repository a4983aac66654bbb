// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/wakeup.h"

#include <gtest/gtest.h>
#include <poll.h>

#include "weft/fibers/event.h"
#include "weft/fibers/outcome.h"
#include "weft/fibers/run.h"
#include "weft/fibers/thread_cache.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

bool readable(const detail::Wakeup& wakeup) {
  pollfd fd{.fd = wakeup.fd(), .events = POLLIN, .revents = 0};
  return ::poll(&fd, 1, 0) == 1;
}

TEST(WakeupTest, WhoIsAwakeIsNotWrittenTo) {
  detail::Wakeup wakeup;
  wakeup.awake();
  wakeup.wake();
  EXPECT_FALSE(readable(wakeup));
  wakeup.about_to_wait();
  wakeup.wake();
  EXPECT_TRUE(readable(wakeup));
}

TEST(WakeupTest, AHostThatMayWaitAtAnyTimeIsWrittenToUntilItClears) {
  detail::Wakeup wakeup;
  wakeup.wake();
  EXPECT_TRUE(readable(wakeup));
  wakeup.clear();
  EXPECT_FALSE(readable(wakeup));
  wakeup.wake();
  EXPECT_TRUE(readable(wakeup));
}

// Each call comes while the run is about to wait, waits, or has just ceased to. One that got lost
// would leave the run asleep.
TEST(WakeupTest, CallsThatCrossTheBeginningOfAWaitAreNotLost) {
  constexpr int kCalls = 20'000;
  int made = 0;
  run([&made] {
    Event all;
    const Token token = current_token();
    start_thread_soon(
        [&] {
          for (int i = 0; i < kCalls; ++i) {
            token.run_sync_soon([&] {
              if (++made == kCalls) all.set();
            });
          }
        },
        [](const Outcome<void>&) {});
    all.wait();
  });
  EXPECT_EQ(made, kCalls);
}

}  // namespace
}  // namespace weft::fibers
