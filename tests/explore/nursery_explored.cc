// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/nursery.h"

#include <stdexcept>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/catch.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

// explores: open_nursery
EXPLORE_TEST(NurseryExplored, EveryErrorArrivesAndEveryTaskEnds) {
  exploration.prune();
  int ended = 0;
  std::size_t errors = 0;
  try {
    open_nursery([&](Nursery& nursery) {
      for (int i = 0; i < 2; ++i) {
        nursery.start_soon([&] {
          ++ended;
          throw std::runtime_error("one of two");
        });
      }
      nursery.start_soon([&] {
        try {
          sleep_forever();
        } catch (const Cancelled&) {
          ++ended;
          throw;
        }
      });
    });
  } catch (const ExceptionGroup& group) {
    errors = group.exceptions().size();
  }
  EXPECT_EQ(errors, 2U);
  EXPECT_EQ(ended, 3);
}

// explores: Nursery.start
EXPLORE_TEST(NurseryExplored, StartingGivesTheValueOrTheError) {
  bool stays = false;
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { scope.cancel(); });
    scope.run([&] {
      const int value = nursery.start<int>([&](TaskStatus<int>& status) {
        checkpoint();
        status.started(7);
        stays = true;
        checkpoint();
      });
      EXPECT_EQ(value, 7);
    });
    // Either the start was cancelled, or the task has moved to the nursery and is not touched.
    EXPECT_TRUE(stays || scope.cancelled_caught());
  });
}

// explores: open_nursery
EXPLORE_TEST(NurseryExplored, ATaskMayStartOthersWhileTheNurseryCloses) {
  exploration.prune();
  int ran = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        checkpoint();
        nursery.start_soon([&] {
          checkpoint();
          ++ran;
        });
      });
    }
  });
  EXPECT_EQ(ran, 2);
}

// Errors of several kinds, each handled by whom it concerns: none gets lost, none comes twice.
// explores: open_nursery
EXPLORE_TEST(NurseryExplored, EveryErrorFindsItsHandler) {
  exploration.prune();
  int thrown = 0;
  std::size_t handled = 0;
  const auto count = [&](const ExceptionGroup& group) { handled += group.exceptions().size(); };
  catch_(
      [&] {
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] {
            checkpoint();
            ++thrown;
            throw std::runtime_error("one");
          });
          nursery.start_soon([&] {
            checkpoint();
            ++thrown;
            throw std::logic_error("another");
          });
          nursery.start_soon([] { sleep_forever(); });
        });
      },
      on<std::runtime_error>(count), on<std::logic_error>(count));
  EXPECT_EQ(handled, static_cast<std::size_t>(thrown));
  EXPECT_GE(handled, 1U);
}

// Being cancelled from outside takes no error away.
// explores: open_nursery
EXPLORE_TEST(NurseryExplored, AnErrorComesThroughACancellation) {
  exploration.prune();
  CancelScope scope;
  bool thrown = false;
  bool caught = false;
  open_nursery([&](Nursery& outside) {
    outside.start_soon([&] {
      try {
        scope.run([&] {
          open_nursery([&](Nursery& nursery) {
            for (int i = 0; i < 2; ++i) nursery.start_soon([] { sleep_forever(); });
            nursery.start_soon([&] {
              try {
                checkpoint();
              } catch (const Cancelled&) {
                thrown = true;
                throw std::runtime_error("while leaving");
              }
            });
          });
        });
      } catch (const ExceptionGroup& group) {
        caught = true;
        EXPECT_EQ(group.exceptions().size(), 1U);
      }
    });
    outside.start_soon([&] { scope.cancel(); });
  });
  EXPECT_EQ(caught, thrown);
}

// A nursery is closed as soon as its body and its last task have ended, before its parent runs.
// explores: open_nursery
EXPLORE_TEST(NurseryExplored, RefusesArrivalsWhenItsLastTaskHasEnded) {
  Nursery* closing = nullptr;
  bool body_ended = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      open_nursery([&](Nursery& inner) {
        closing = &inner;
        inner.start_soon([] { checkpoint(); });
        body_ended = true;
      });
      closing = nullptr;
    });
    nursery.start_soon([&] {
      for (int i = 0; i < 4; ++i, checkpoint()) {
        if (closing == nullptr || !body_ended) continue;
        if (closing->child_tasks().empty()) {
          EXPECT_THROW(closing->start_soon([] {}), UsageError);
        } else if (i == 2) {
          closing->start_soon([] {});
        }
      }
    });
  });
}

}  // namespace
}  // namespace weft::fibers
