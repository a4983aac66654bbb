// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/buffered_receive_stream.h"

#include <string>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/memory_stream.h"

namespace weft::fibers {
namespace {

using testing::memory_stream_one_way_pair;

// explores: BufferedReceiveStream
EXPLORE_TEST(BufferedReceiveStreamExplored, LinesDoNotDependOnThePieces) {
  auto pair = memory_stream_one_way_pair();
  BufferedReceiveStream in(pair.second);
  std::vector<std::string> lines;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      for (const char* piece : {"a\r", "\nb", "\nc"}) pair.first.send_all(piece);
      pair.first.close();
    });
    nursery.start_soon([&] {
      while (const auto line = in.receive_line()) lines.push_back(*line);
    });
  });
  EXPECT_EQ(lines, (std::vector<std::string>{"a", "b", "c"}));
}

// What had come before the cancellation is there for the next call.
// explores: BufferedReceiveStream
EXPLORE_TEST(BufferedReceiveStreamExplored, ACancelledCallLosesNoByte) {
  auto pair = memory_stream_one_way_pair();
  BufferedReceiveStream in(pair.second);
  CancelScope leaves;
  std::string got;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      pair.first.send_all("ab");
      pair.first.send_all("cd");
    });
    nursery.start_soon([&] {
      leaves.run([&] { got += in.receive_exactly(3); });
      got += in.receive_exactly(4 - got.size());
    });
    nursery.start_soon([&] {
      checkpoint();
      checkpoint();
      leaves.cancel();
    });
  });
  EXPECT_EQ(got, "abcd");
}

// explores: BufferedReceiveStream
EXPLORE_TEST(BufferedReceiveStreamExplored, ASecondReaderIsToldAndTakesNothing) {
  auto pair = memory_stream_one_way_pair();
  BufferedReceiveStream in(pair.second);
  std::string got;
  int busy = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        try {
          got += in.receive_until(";", 10);
        } catch (const BusyResourceError&) {
          ++busy;
        }
      });
    }
    nursery.start_soon([&] { pair.first.send_all("a;b"); });
  });
  EXPECT_EQ(got, "a");
  EXPECT_EQ(busy, 1);
  EXPECT_EQ(in.buffer(), "b");
}

// The end in the middle of something: what is there stays, and is not taken for the whole.
// explores: BufferedReceiveStream
EXPLORE_TEST(BufferedReceiveStreamExplored, TheEndIsNotTakenForTheWhole) {
  auto pair = memory_stream_one_way_pair();
  BufferedReceiveStream in(pair.second);
  bool incomplete = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      pair.first.send_all("ab");
      pair.first.close();
    });
    nursery.start_soon([&] {
      try {
        in.receive_exactly(3);
      } catch (const IncompleteRead&) {
        incomplete = true;
      }
      EXPECT_EQ(in.receive_exactly(2), "ab");
    });
  });
  EXPECT_TRUE(incomplete);
}

}  // namespace
}  // namespace weft::fibers
