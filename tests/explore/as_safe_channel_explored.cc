// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/as_safe_channel.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

// explores: as_safe_channel
EXPLORE_TEST(AsSafeChannelExplored, TheProducerIsNeverAhead) {
  int sent = 0;
  std::vector<int> got;
  as_safe_channel<int>(
      [&](SafeSendChannel<int>& out) {
        for (; sent < 3; ++sent) out.send(sent);
      },
      [&](SafeReceiveChannel<int>& in) {
        for (const int item : in) {
          // The item is counted when the next one is wanted.
          EXPECT_EQ(sent, item);
          got.push_back(item);
          checkpoint();
        }
      });
  EXPECT_EQ(got, (std::vector{0, 1, 2}));
}

// Whoever is cancelled, before or after an item was meant for it: the next one gets it.
// explores: as_safe_channel
EXPLORE_TEST(AsSafeChannelExplored, ACancelledReceiverTakesNoItemAlong) {
  CancelScope leaves;
  std::vector<int> got;
  as_safe_channel<int>(
      [&](SafeSendChannel<int>& out) {
        for (int i = 0; i < 3; ++i) out.send(i);
      },
      [&](SafeReceiveChannel<int>& in) {
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] { leaves.run([&] { got.push_back(in.receive()); }); });
          nursery.start_soon([&] { got.push_back(in.receive()); });
          nursery.start_soon([&] {
            checkpoint();
            leaves.cancel();
          });
        });
        while (const auto item = in.next()) got.push_back(*item);
      });
  std::sort(got.begin(), got.end());
  EXPECT_EQ(got, (std::vector{0, 1, 2}));
}

// The regular end is never what a receiver sees of an error.
// explores: as_safe_channel
EXPLORE_TEST(AsSafeChannelExplored, AnErrorOfTheProducerIsNotTheEnd) {
  bool ended = false;
  bool body_failed = false;
  std::exception_ptr error;
  try {
    as_safe_channel<int>(
        [&](SafeSendChannel<int>& out) {
          out.send(1);
          throw std::runtime_error("of the producer");
        },
        [&](SafeReceiveChannel<int>& in) {
          open_nursery([&](Nursery& nursery) {
            nursery.start_soon([&] {
              while (in.next()) checkpoint();
              ended = true;
            });
            nursery.start_soon([&] {
              checkpoint();
              checkpoint();
              body_failed = true;
              throw std::logic_error("of the body");
            });
          });
        });
  } catch (...) {
    error = std::current_exception();
  }
  EXPECT_NE(error, nullptr);
  EXPECT_FALSE(ended);
  const auto [cancelled, rest] = split(error, is_any_of<Cancelled>());
  EXPECT_EQ(cancelled, nullptr);
  EXPECT_EQ(split(error, is_any_of<std::logic_error>()).first != nullptr, body_failed);
}

// explores: as_safe_channel
EXPLORE_TEST(AsSafeChannelExplored, NobodyIsLeftWhenItIsCancelled) {
  CancelScope scope;
  int alive = 0;
  struct Counted {
    int& count;
    explicit Counted(int& of) : count(++of) {}
    ~Counted() { --count; }
  };
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      scope.run([&] {
        as_safe_channel<int>(
            [&](SafeSendChannel<int>& out) {
              const Counted counted(alive);
              for (int i = 0; i < 2; ++i) out.send(i);
            },
            [&](SafeReceiveChannel<int>& in) {
              const Counted counted(alive);
              while (in.next()) checkpoint();
            });
      });
      EXPECT_EQ(alive, 0);
    });
    nursery.start_soon([&] {
      checkpoint();
      checkpoint();
      scope.cancel();
    });
  });
}

}  // namespace
}  // namespace weft::fibers
