// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/check_streams.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/run.h"
#include "weft/fibers/socket.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/memory_stream.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers::testing {
namespace {

std::string message_of(const std::function<void()>& check) {
  try {
    check();
  } catch (const AssertionError& error) {
    return error.what();
  }
  return "no rule is broken";
}

FIBER_TEST(CheckStreamsTest, TakeStreamsAndPointersToStreams) {
  check_one_way_stream([] {
    auto [s, r] = memory_stream_one_way_pair();
    return std::pair<std::unique_ptr<SendStream>, MemoryReceiveStream>(
        std::make_unique<MemorySendStream>(std::move(s)), std::move(r));
  });
}

FIBER_TEST(CheckStreamsTest, UnexpectedErrorsAreTold) {
  const std::string message = message_of([] {
    check_one_way_stream([] {
      auto pair = memory_stream_one_way_pair();
      pair.first.send_all_hook = [] { throw std::runtime_error("oh no"); };
      return pair;
    });
  });
  EXPECT_NE(message.find("check_one_way_stream: the rule \"what is sent arrives\" is broken"),
            std::string::npos);
  EXPECT_NE(message.find("oh no"), std::string::npos) << message;
}

FIBER_TEST(CheckStreamsTest, StreamUnderWhichNothingGoesOnIsTold) {
  const std::string message = message_of([] {
    check_one_way_stream([] {
      auto pair = memory_stream_one_way_pair();
      pair.first.send_all_hook = nullptr;
      return pair;
    });
  });
  EXPECT_NE(message.find("\"what is sent arrives\""), std::string::npos) << message;
  EXPECT_NE(message.find("DeadlockError"), std::string::npos) << message;
}

FIBER_TEST(CheckStreamsTest, MakerMayFail) {
  EXPECT_NE(message_of([] {
              check_two_way_stream([]() -> std::pair<MemoryStream, MemoryStream> {
                throw std::runtime_error("no network today");
              });
            }).find("no network today"),
            std::string::npos);
}

FIBER_TEST(CheckStreamsTest, CancellationFromOutsideIsNotABrokenRule) {
  CancelScope scope;
  scope.cancel();
  scope.run([] { check_one_way_stream(memory_stream_one_way_pair); });
  EXPECT_TRUE(scope.cancelled_caught());
}

TEST(CheckStreamsTest, WithAClockThatDoesNotJumpAStuckStreamIsGivenUp) {
  MockClock clock(10'000.0);
  std::string message;
  run(
      [&] {
        message = message_of([] {
          check_one_way_stream([] {
            auto pair = memory_stream_one_way_pair();
            pair.first.send_all_hook = [] { sleep_forever(); };
            return pair;
          });
        });
      },
      {.clock = &clock});
  EXPECT_NE(message.find("nothing went on for 30 seconds"), std::string::npos) << message;
}

}  // namespace
}  // namespace weft::fibers::testing
