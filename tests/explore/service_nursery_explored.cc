// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/service_nursery.h"

#include <stdexcept>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/event.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

// A service that notes when it hears of its end.
void serve(const bool& body_ended) {
  try {
    sleep_forever();
  } catch (const Cancelled&) {
    EXPECT_TRUE(body_ended);
    throw;
  }
}

struct Ends {
  bool& flag;
  ~Ends() { flag = true; }
};

// explores: open_service_nursery
EXPLORE_TEST(ServiceNurseryExplored, ServicesHearOfACancellationAfterTheBody) {
  exploration.prune();
  CancelScope scope;
  bool body_ended = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      scope.run([&] {
        open_service_nursery([&](ServiceNursery& services) {
          const Ends ends{body_ended};
          for (int i = 0; i < 2; ++i) services.start_soon([&] { serve(body_ended); });
          checkpoint();
          checkpoint();
        });
      });
      EXPECT_TRUE(body_ended);
    });
    nursery.start_soon([&] {
      checkpoint();
      scope.cancel();
    });
  });
}

// explores: open_service_nursery
EXPLORE_TEST(ServiceNurseryExplored, AServicesErrorCancelsTheBodyAndThenTheOthers) {
  exploration.prune();
  bool body_ended = false;
  bool body_cut = false;
  std::size_t errors = 0;
  try {
    open_service_nursery([&](ServiceNursery& services) {
      const Ends ends{body_ended};
      services.start_soon([&] { serve(body_ended); });
      for (int i = 0; i < 2; ++i) {
        services.start_soon([] {
          checkpoint();
          throw std::runtime_error("of a service");
        });
      }
      try {
        sleep_forever();
      } catch (const Cancelled&) {
        body_cut = true;
        throw;
      }
    });
  } catch (const ExceptionGroup& group) {
    errors = group.exceptions().size();
  }
  EXPECT_TRUE(body_cut);
  // The second one hears of no cancellation but the body's end.
  EXPECT_GE(errors, 1U);
  EXPECT_LE(errors, 2U);
}

// Started by a task that is cancelled meanwhile: it ends with its caller, or is a service.
// explores: open_service_nursery
EXPLORE_TEST(ServiceNurseryExplored, StartingIsCancelledOrGivesAService) {
  CancelScope callers;
  bool body_ended = false;
  bool running = false;
  open_service_nursery([&](ServiceNursery& services) {
    const Ends ends{body_ended};
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        callers.run([&] {
          services.start([&](auto& status) {
            checkpoint();
            status.started();
            running = true;
            serve(body_ended);
          });
        });
        EXPECT_EQ(running, !callers.cancelled_caught());
      });
      nursery.start_soon([&] {
        checkpoint();
        callers.cancel();
      });
    });
  });
}

}  // namespace
}  // namespace weft::fibers
