// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Little primitives, each with a bug of the kind that only some schedules show: exploring finds it,
// and says by which schedule. What a scenario like those of the neighbours would not find here, it
// would not find there.

#include <gmock/gmock.h>

#include <cstddef>
#include <deque>
#include <stdexcept>
#include <string>
#include <utility>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/parking_lot.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

using testing::explore;
using testing::ExploreError;
using ::testing::HasSubstr;

// Explores `scenario`, which has to fail with `text` in some schedule and not in the first, and to
// fail again in that one.
template <class Scenario>
void expect_found(Scenario&& scenario, const std::string& text) {
  std::string token;
  try {
    explore(scenario);
    ADD_FAILURE() << "the bug was not found";
  } catch (const ExploreError& error) {
    EXPECT_THAT(error.what(), HasSubstr(text));
    token = error.token();
  }
  EXPECT_NE(token, "s") << "every schedule shows it: no canary";
  EXPECT_THROW(explore(scenario, {.replay = token}), ExploreError);
}

void require(bool holds, const char* otherwise) {
  if (!holds) throw std::logic_error(otherwise);
}

// Wakes the next one without handing over: whoever asks before that one runs gets in as well.
class LockThatDoesNotHandOver {
 public:
  void acquire() {
    if (std::exchange(taken_, true)) lot_.park();
  }
  void release() {
    taken_ = false;
    lot_.unpark();
  }

 private:
  bool taken_ = false;
  ParkingLot lot_;
};

TEST(CanariesExplored, ALockThatDoesNotHandOver) {
  expect_found(
      [] {
        LockThatDoesNotHandOver lock;
        int inside = 0;
        open_nursery([&](Nursery& nursery) {
          for (int i = 0; i < 3; ++i) {
            nursery.start_soon([&, i] {
              if (i == 0) checkpoint();
              lock.acquire();
              require(++inside == 1, "two inside");
              checkpoint();
              --inside;
              lock.release();
            });
          }
        });
      },
      "two inside");
}

// Wakes one for each item, and forgets that the woken one may be cancelled at its next checkpoint.
class QueueThatTrustsTheWoken {
 public:
  void put(int item) {
    items_.push_back(item);
    lot_.unpark();
  }
  int get() {
    if (items_.empty()) {
      lot_.park();
      checkpoint();
    }
    require(!items_.empty(), "woken for nothing");
    const int item = items_.front();
    items_.pop_front();
    return item;
  }

 private:
  std::deque<int> items_;
  ParkingLot lot_;
};

TEST(CanariesExplored, AQueueWhoseWokenTaskMayBeCancelled) {
  expect_found(
      [] {
        QueueThatTrustsTheWoken queue;
        CancelScope leaves;
        bool got = false;
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] { got = leaves.run([&] { queue.get(); }); });
          nursery.start_soon([&] { queue.get(); });
          nursery.start_soon([&] {
            queue.put(1);
            for (int i = 0; i < 2; ++i) checkpoint();
            leaves.cancel();
            for (int i = 0; i < 3; ++i) checkpoint();
            if (got) queue.put(2);  // For the other one.
          });
        });
      },
      "DeadlockError");
}

// Looks, waits, and then acts on what it saw.
class LimiterThatLooksTooEarly {
 public:
  explicit LimiterThatLooksTooEarly(int tokens) : tokens_(tokens) {}
  void acquire() {
    while (tokens_ == 0) lot_.park();
    checkpoint();
    --tokens_;
    require(tokens_ >= 0, "more was lent than there is");
  }
  void release() {
    ++tokens_;
    lot_.unpark();
  }

 private:
  int tokens_;
  ParkingLot lot_;
};

TEST(CanariesExplored, ALimiterThatLooksTooEarly) {
  expect_found(
      [] {
        LimiterThatLooksTooEarly limiter(1);
        open_nursery([&](Nursery& nursery) {
          for (int i = 0; i < 2; ++i) {
            nursery.start_soon([&, i] {
              if (i == 1) checkpoint();
              limiter.acquire();
              checkpoint();
              limiter.release();
            });
          }
        });
      },
      "more was lent than there is");
}

// Lets everybody in who asked before it was opened; who asks while they go is forgotten.
class GateThatForgets {
 public:
  void wait() {
    if (open_) return;
    checkpoint();
    lot_.park();
  }
  void open() {
    open_ = true;
    lot_.unpark_all();
  }

 private:
  bool open_ = false;
  ParkingLot lot_;
};

TEST(CanariesExplored, AGateThatForgetsWhoIsOnTheWay) {
  expect_found(
      [] {
        GateThatForgets gate;
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] { gate.wait(); });
          nursery.start_soon([&] {
            checkpoint();
            gate.open();
          });
        });
      },
      "DeadlockError");
}

}  // namespace
}  // namespace weft::fibers
