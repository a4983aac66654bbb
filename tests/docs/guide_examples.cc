// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The tests that the guide's chapter about testing shows.

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>

#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/stream.h"
#include "weft/fibers/testing/cancel_sweep.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/memory_stream.h"
#include "weft/fibers/timeouts.h"

using namespace std::chrono_literals;
using namespace weft::fibers;
using namespace weft::fibers::testing;

namespace {

// Asks, and asks again a second later, up to three times.
std::string ask(Stream& server) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    server.send_all("question\n");
    const auto answer = move_on_after(1s, [&] { return std::string(server.receive_some()); });
    if (answer.finished()) return answer.value();
  }
  throw TooSlowError();
}

FIBER_TEST(GuideAskTest, GivesUpAfterThreeSeconds) {
  auto [ours, theirs] = memory_stream_pair();
  const Instant begun = current_time();
  EXPECT_THROW(ask(ours), TooSlowError);
  EXPECT_EQ(current_time() - begun, 3s);  // of the test's clock: in no time
}

FIBER_TEST(GuideAskTest, AsksAgain) {
  auto [ours, theirs] = memory_stream_pair();
  open_nursery([&, &theirs = theirs](Nursery& nursery) {
    nursery.start_soon([&] {
      sleep(1500ms);  // the first question is left unanswered
      theirs.send_all("answer\n");
    });
    EXPECT_EQ(ask(ours), "answer\n");
  });
}

// Moves an item from one end to the other.
struct Belt {
  int in = 1;
  int out = 0;
  void move() {
    checkpoint();  // a wait before the change, and none inside of it
    --in;
    ++out;
  }
};

TEST(GuideBeltTest, LosesNothingWhereverItIsCancelled) {
  Belt belt;
  cancel_sweep(
      [&] {
        belt = {};
        belt.move();
      },
      {.check = [&] {
        if (belt.in + belt.out != 1) throw std::logic_error("an item is lost");
      }});
}

}  // namespace
