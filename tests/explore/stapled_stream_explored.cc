// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/stapled_stream.h"

#include <string>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/lockstep_stream.h"
#include "weft/fibers/testing/memory_stream.h"

namespace weft::fibers {
namespace {

using testing::lockstep_stream_one_way_pair;
using testing::memory_stream_one_way_pair;

// One that sends to itself: the halves do not keep each other out.
// explores: StapledStream
EXPLORE_TEST(StapledStreamExplored, TheHalvesAreIndependent) {
  auto [send, receive] = lockstep_stream_one_way_pair();
  StapledStream loop(std::move(send), std::move(receive));
  std::string got;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      loop.send_all("abc");
      loop.send_eof();
    });
    nursery.start_soon([&] {
      for (std::string some; !(some = loop.receive_some(2)).empty();) got += some;
    });
  });
  EXPECT_EQ(got, "abc");
}

// explores: StapledStream
EXPLORE_TEST(StapledStreamExplored, ClosingTellsWhoeverUsesEitherHalf) {
  auto [to_nobody, ignored] = lockstep_stream_one_way_pair();
  auto [unused, from_nobody] = lockstep_stream_one_way_pair();
  StapledStream stream(std::move(to_nobody), std::move(from_nobody));
  int told = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      try {
        stream.send_all("x");
      } catch (const ClosedResourceError&) {
        ++told;
      }
    });
    nursery.start_soon([&] {
      try {
        stream.receive_some();
      } catch (const ClosedResourceError&) {
        ++told;
      }
    });
    nursery.start_soon([&] { stream.aclose(); });
  });
  EXPECT_EQ(told, 2);
}

// Closing is done, both halves of it, also for who is cancelled in the middle.
// explores: StapledStream
EXPLORE_TEST(StapledStreamExplored, ACancelledCloseHasClosedBoth) {
  auto out = memory_stream_one_way_pair();
  auto in = memory_stream_one_way_pair();
  StapledStream stream(out.first, in.second);
  CancelScope leaves;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { leaves.run([&] { stream.aclose(); }); });
    nursery.start_soon([&] { leaves.cancel(); });
    nursery.start_soon([&] { EXPECT_EQ(out.second.receive_some(), ""); });
  });
  EXPECT_THROW(stream.send_all("x"), ClosedResourceError);
  EXPECT_THROW(stream.receive_some(), ClosedResourceError);
}

}  // namespace
}  // namespace weft::fibers
