// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What has a nursery inside and ends in nothing but Cancelled throws one Cancelled, not a group of
// them: C++ has no `except*`, and `catch (const Cancelled&)` is what people write.

#include <gtest/gtest.h>

#include <exception>
#include <functional>
#include <stdexcept>
#include <vector>

#include "weft/fibers/as_safe_channel.h"
#include "weft/fibers/blocking_portal.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/catch.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/gather.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/race.h"
#include "weft/fibers/run_process.h"
#include "weft/fibers/service_nursery.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;
using testing::wait_all_tasks_blocked;

// What comes out of `body` when a scope around it is cancelled after a second.
std::exception_ptr out_of_cancelled(const std::function<void()>& body) {
  std::exception_ptr seen;
  move_on_after(seconds(1), [&] {
    try {
      body();
    } catch (...) {
      seen = std::current_exception();
      throw;
    }
  });
  return seen;
}

void expect_bare(const char* what, const std::function<void()>& body) {
  const std::exception_ptr seen = out_of_cancelled(body);
  ASSERT_NE(seen, nullptr) << what;
  EXPECT_TRUE(holds<Cancelled>(seen)) << what << " throws something else";
}

FIBER_TEST(BareCancelledTest, OutOfEverythingWithANurseryInside) {
  expect_bare("open_nursery", [] {
    open_nursery([](Nursery& nursery) {
      for (int i = 0; i < 3; ++i) nursery.start_soon([] { sleep_forever(); });
      sleep_forever();
    });
  });
  expect_bare("open_service_nursery", [] {
    open_service_nursery([](ServiceNursery& services) {
      services.start_soon([] { sleep_forever(); });
      sleep_forever();
    });
  });
  expect_bare("gather", [] { gather([] { sleep_forever(); }, [] { sleep_forever(); }); });
  expect_bare("race", [] { race([] { sleep_forever(); }, [] { sleep_forever(); }); });
  expect_bare("first_success", [] { first_success([] { sleep_forever(); }, &sleep_forever); });
  expect_bare("as_safe_channel", [] {
    as_safe_channel<int>([](SafeSendChannel<int>&) { sleep_forever(); },
                         [](SafeReceiveChannel<int>& items) { items.receive(); });
  });
  expect_bare("open_blocking_portal",
              [] { open_blocking_portal([](BlockingPortal&) { sleep_forever(); }); });
  expect_bare("serve_tcp", [] { serve_tcp([](SocketStream&) {}, 0, {.host = "127.0.0.1"}); });
}

FIBER_TEST(BareCancelledTest, OutOfARunningProcess) {
  WEFT_NOT_ALLOCATION_SWEPT("a child that it cannot end runs on");
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      scope.run([] {
        try {
          run_process({"sleep", "3600"},
                      {.capture_stdout = true, .deliver_cancel = [](Process& p) { p.kill(); }});
        } catch (const Cancelled&) {
          throw;
        } catch (...) {
          ADD_FAILURE() << "something else than Cancelled";
          throw;
        }
      });
    });
    wait_all_tasks_blocked();
    scope.cancel();
  });
  EXPECT_TRUE(scope.cancelled_caught());
}

FIBER_TEST(BareCancelledTest, OutOfNestedNurseries) {
  expect_bare("nested nurseries", [] {
    open_nursery([](Nursery& outer) {
      outer.start_soon([] {
        open_nursery([](Nursery& inner) {
          inner.start_soon([] { sleep_forever(); });
          sleep_forever();
        });
      });
      outer.start_soon([] { sleep_forever(); });
    });
  });
}

FIBER_TEST(BareCancelledTest, KeepsItsReason) {
  CancelScope scope;
  bool seen = false;
  scope.run([&] {
    try {
      open_nursery([&](Nursery& nursery) {
        nursery.start_soon([] { sleep_forever(); });
        wait_all_tasks_blocked();
        scope.cancel("enough");
      });
    } catch (const Cancelled& cancelled) {
      seen = true;
      EXPECT_EQ(cancelled.reason(), "enough");
      throw;
    }
  });
  EXPECT_TRUE(seen);
}

FIBER_TEST(BareCancelledTest, CleansUpAroundANursery) {
  std::vector<const char*> told;
  move_on_after(seconds(1), [&] {
    try {
      open_nursery([](Nursery& nursery) { nursery.start_soon([] { sleep_forever(); }); });
    } catch (const Cancelled&) {
      CancelScope last_words({.relative_deadline = seconds(1), .shield = true});
      last_words.run([&] {
        checkpoint();
        told.push_back("goodbye");
      });
      throw;
    }
  });
  EXPECT_EQ(told.size(), 1U);
}

FIBER_TEST(BareCancelledTest, AnotherErrorKeepsTheGroup) {
  bool seen = false;
  const auto fail_while_cancelled = [&] {
    move_on_after(seconds(1), [&] {
      try {
        open_nursery([](Nursery& nursery) {
          nursery.start_soon([] { sleep_forever(); });
          nursery.start_soon([] {
            try {
              sleep_forever();
            } catch (const Cancelled&) {
              throw std::runtime_error("could not clean up");
            }
          });
        });
      } catch (const BaseExceptionGroup& group) {
        seen = true;
        EXPECT_EQ(group.exceptions().size(), 2U);
        throw;
      }
    });
  };
  EXPECT_THROW(fail_while_cancelled(), ExceptionGroup);
  EXPECT_TRUE(seen);
}

// Taking the other errors out leaves nothing but Cancelled.
FIBER_TEST(BareCancelledTest, IsWhatHandlersLeave) {
  const auto fail_while_cancelled = [] {
    open_nursery([](Nursery& nursery) {
      nursery.start_soon([] { sleep_forever(); });
      nursery.start_soon([] { sleep_forever(); });
      nursery.start_soon([] {
        try {
          sleep_forever();
        } catch (const Cancelled&) {
          throw std::runtime_error("could not clean up");
        }
      });
    });
  };
  expect_bare("catch_", [&] { catch_(fail_while_cancelled, on<std::runtime_error>([] {})); });
  expect_bare("suppress", [&] { suppress<std::runtime_error>(fail_while_cancelled); });
}

FIBER_TEST(BareCancelledTest, IsWhatTwoCancelledHandlersThrow) {
  expect_bare("catch_", [] {
    catch_(
        [] {
          throw ExceptionGroup("both", {std::make_exception_ptr(std::runtime_error("a")),
                                        std::make_exception_ptr(std::logic_error("b"))});
        },
        on<std::runtime_error>([] { sleep_forever(); }),
        on<std::logic_error>([] { checkpoint(); }));
  });
}

}  // namespace
}  // namespace weft::fibers
