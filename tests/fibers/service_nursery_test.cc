// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/service_nursery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/event.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using ::testing::ElementsAre;

// Writes down when it hears of its end.
void serve(std::vector<std::string>& events) {
  try {
    sleep_forever();
  } catch (const Cancelled&) {
    events.emplace_back("service cancelled");
    throw;
  }
}

FIBER_TEST(ServiceNurseryTest, ServicesEndWithTheBody) {
  std::vector<std::string> events;
  const int result = open_service_nursery([&](ServiceNursery& services) {
    services.start_soon([&] { serve(events); });
    sleep(seconds(1));
    events.emplace_back("body ends");
    return 4;
  });
  EXPECT_EQ(result, 4);
  EXPECT_THAT(events, ElementsAre("body ends", "service cancelled"));
}

FIBER_TEST(ServiceNurseryTest, AServiceMayEndEarlier) {
  bool ended = false;
  open_service_nursery([&](ServiceNursery& services) {
    services.start_soon([&] { ended = true; });
    sleep(seconds(1));
    EXPECT_TRUE(ended);
  });
}

FIBER_TEST(ServiceNurseryTest, CancelledFromOutsideTheBodyCleansUpWithItsServices) {
  std::vector<std::string> events;
  EXPECT_FALSE(move_on_after(seconds(1), [&] {
    open_service_nursery([&](ServiceNursery& services) {
      services.start_soon([&] { serve(events); });
      try {
        sleep_forever();
      } catch (const Cancelled&) {
        CancelScope shield({.shield = true});
        shield.run([] { sleep(seconds(5)); });
        events.emplace_back("body has cleaned up");
        throw;
      }
    });
  }));
  EXPECT_THAT(events, ElementsAre("body has cleaned up", "service cancelled"));
}

FIBER_TEST(ServiceNurseryTest, AServicesErrorReachesTheBodyFirstAndThenTheOthers) {
  std::vector<std::string> events;
  try {
    open_service_nursery([&](ServiceNursery& services) {
      services.start_soon([&] { serve(events); });
      services.start_soon([] {
        sleep(seconds(1));
        throw std::out_of_range("broken");
      });
      try {
        sleep_forever();
      } catch (const Cancelled&) {
        events.emplace_back("body cancelled");
        throw;
      }
    });
    ADD_FAILURE() << "the error got lost";
  } catch (const ExceptionGroup& group) {
    EXPECT_EQ(group.exceptions().size(), 1U);
  }
  EXPECT_THAT(events, ElementsAre("body cancelled", "service cancelled"));
}

FIBER_TEST(ServiceNurseryTest, TheBodysErrorEndsTheServices) {
  std::vector<std::string> events;
  EXPECT_THROW(open_service_nursery([&](ServiceNursery& services) {
                 services.start_soon([&] { serve(events); });
                 checkpoint();
                 throw std::out_of_range("body");
               }),
               ExceptionGroup);
  EXPECT_THAT(events, ElementsAre("service cancelled"));
}

FIBER_TEST(ServiceNurseryTest, StartWaitsUntilTheServiceIsThere) {
  std::vector<std::string> events;
  open_service_nursery([&](ServiceNursery& services) {
    const int port = services.start<int>([&](ServiceStatus<int>& status) {
      sleep(seconds(1));
      status.started(80);
      serve(events);
    });
    EXPECT_EQ(port, 80);
    events.emplace_back("body ends");
  });
  EXPECT_THAT(events, ElementsAre("body ends", "service cancelled"));
}

FIBER_TEST(ServiceNurseryTest, WhileItStartsAServiceIsCancelledWithItsStarter) {
  std::vector<std::string> events;
  open_service_nursery([&](ServiceNursery& services) {
    EXPECT_FALSE(move_on_after(seconds(1), [&] {
      services.start([&](auto& status) {
        serve(events);
        status.started();
      });
    }));
    events.emplace_back("body goes on");
  });
  EXPECT_THAT(events, ElementsAre("service cancelled", "body goes on"));
}

FIBER_TEST(ServiceNurseryTest, AfterItsStartAServiceIsShielded) {
  std::vector<std::string> events;
  EXPECT_FALSE(move_on_after(seconds(1), [&] {
    open_service_nursery([&](ServiceNursery& services) {
      services.start([&](auto& status) {
        status.started();
        serve(events);
      });
      try {
        sleep_forever();
      } catch (const Cancelled&) {
        CancelScope shield({.shield = true});
        shield.run([] { sleep(seconds(5)); });
        events.emplace_back("body has cleaned up");
        throw;
      }
    });
  }));
  EXPECT_THAT(events, ElementsAre("body has cleaned up", "service cancelled"));
}

FIBER_TEST(ServiceNurseryTest, WhatIsStartedAfterTheBodyIsNotShielded) {
  std::vector<std::string> events;
  open_service_nursery([&](ServiceNursery& services) {
    services.start_soon([&] {
      try {
        sleep_forever();
      } catch (const Cancelled&) {
        services.start_soon([&] { serve(events); });
        throw;
      }
    });
    checkpoint();
  });
  EXPECT_THAT(events, ElementsAre("service cancelled"));
}

FIBER_TEST(ServiceNurseryTest, ItsScopeCancelsTheBody) {
  std::vector<std::string> events;
  open_service_nursery([&](ServiceNursery& services) {
    services.start_soon([&] { serve(events); });
    services.cancel_scope().cancel();
    EXPECT_THROW(checkpoint(), Cancelled);
    events.emplace_back("body cancelled");
    checkpoint();
  });
  EXPECT_THAT(events, ElementsAre("body cancelled", "service cancelled"));
}

FIBER_TEST(ServiceNurseryTest, AServiceMaySayByATaskOfItsOwnThatItHasStarted) {
  std::vector<std::string> events;
  CancelScope scope;
  scope.run([&] {
    open_service_nursery([&](ServiceNursery& services) {
      services.start([&](auto& status) {
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] { status.started(); });
          serve(events);
        });
      });
      scope.cancel();
      EXPECT_THROW(sleep_forever(), Cancelled);
      events.emplace_back("body cancelled");
      checkpoint();
    });
  });
  EXPECT_THAT(events, ElementsAre("body cancelled", "service cancelled"));
}

}  // namespace
}  // namespace weft::fibers
