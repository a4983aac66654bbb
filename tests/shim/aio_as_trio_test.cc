// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/shim/aio_as_trio.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/shim/shim_test_support.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/trio_as_aio.h"

namespace weft::shim {
namespace {

using namespace std::chrono_literals;
using fibers::CancelScope;
using fibers::Nursery;
using fibers::open_nursery;
using fibers::sleep;
using fibers::sleep_forever;
using loop::CancelledError;

// --- run_aio_future ---

// trio-asyncio: aiotest/test_coroutine.py::test_waiter
FIBER_TEST(RunAioFutureTest, ReturnsTheValue) {
  open_loop([](EventLoop& loop) {
    auto future = loop.create_future<int>();
    loop.call_later(1s, [future]() mutable { future.set_result(7); });
    EXPECT_EQ(run_aio_future(future), 7);
    const auto before = fibers::checkpoint_counts().schedule_points;
    EXPECT_EQ(run_aio_future(future), 7);
    EXPECT_GT(fibers::checkpoint_counts().schedule_points, before) << "always a checkpoint";
  });
}

// trio-asyncio: interop/test_calls.py::test_trio_asyncio_error
FIBER_TEST(RunAioFutureTest, ThrowsTheError) {
  open_loop([](EventLoop& loop) {
    auto future = loop.create_future<void>();
    const auto original = std::make_exception_ptr(Failure("x"));
    loop.call_later(1s, [future, original]() mutable { future.set_exception(original); });
    EXPECT_EQ(error_of([&] { run_aio_future(future); }), original);
  });
}

// trio-asyncio: interop/test_calls.py::test_trio_asyncio_cancel_in
FIBER_TEST(RunAioFutureTest, CancellingTheTaskCancelsTheFuture) {
  open_loop([](EventLoop& loop) {
    auto future = loop.create_future<void>();
    CancelScope scope({.relative_deadline = fibers::Duration(1s)});
    scope.run([&] { run_aio_future(future); });
    EXPECT_TRUE(scope.cancelled_caught());
    EXPECT_TRUE(future.cancelled());
  });
}

FIBER_TEST(RunAioFutureTest, WaitsForTheEndOfWhatItHasCancelled) {
  open_loop([](EventLoop&) {
    bool unwound = false;
    int cancels = 0;
    auto future = run_trio([&] {
      try {
        sleep_forever();
      } catch (const fibers::Cancelled&) {
        ++cancels;
        CancelScope shield({.shield = true});
        shield.run([] { sleep(5s); });
        unwound = true;
        throw;
      }
    });
    CancelScope scope({.relative_deadline = fibers::Duration(1s)});
    scope.run([&] { run_aio_future(future); });
    EXPECT_TRUE(scope.cancelled_caught());
    EXPECT_TRUE(unwound);
    EXPECT_EQ(cancels, 1);
  });
}

FIBER_TEST(RunAioFutureTest, AValueInSpiteOfTheCancellationIsReturned) {
  const CapturedLog log;
  open_loop([](EventLoop&) {
    auto future = run_trio([] {
      try {
        sleep_forever();
      } catch (const fibers::Cancelled&) {
      }
      return 9;
    });
    CancelScope scope({.relative_deadline = fibers::Duration(1s)});
    const auto value = scope.run([&] { return run_aio_future(future); });
    EXPECT_EQ(value.value(), 9);
    EXPECT_TRUE(scope.cancel_called());
    EXPECT_FALSE(scope.cancelled_caught());
  });
}

FIBER_TEST(RunAioFutureTest, AnErrorInSpiteOfTheCancellationIsThrown) {
  open_loop([](EventLoop&) {
    auto future = run_trio([] {
      try {
        sleep_forever();
      } catch (const fibers::Cancelled&) {
        throw Failure("while unwinding");
      }
    });
    const auto error =
        error_of([&] { fibers::move_on_after(1s, [&] { run_aio_future(future); }); });
    EXPECT_TRUE(holds<Failure>(error));
  });
}

// trio-asyncio: interop/test_calls.py::test_trio_asyncio_cancel_out
FIBER_TEST(RunAioFutureTest, AFutureCancelledBySomebodyElseThrowsCancelledError) {
  open_loop([](EventLoop& loop) {
    auto future = loop.create_future<void>();
    loop.call_later(1s, [future]() mutable { future.cancel("by somebody else"); });
    CancelScope scope;
    std::exception_ptr error;
    scope.run([&] { error = error_of([&] { run_aio_future(future); }); });
    EXPECT_TRUE(holds<CancelledError>(error));
    EXPECT_FALSE(scope.cancel_called());
  });
}

// --- aio_as_trio ---

// trio-asyncio: interop/test_adapter.py::TestAdapt::test_trio_asyncio_future
FIBER_TEST(AioAsTrioTest, TakesAFuture) {
  open_loop([](EventLoop& loop) {
    auto future = loop.create_future<int>();
    loop.call_soon([future]() mutable { future.set_result(1); });
    EXPECT_EQ(aio_as_trio(future), 1);
  });
}

// trio-asyncio: interop/test_calls.py::test_trio_asyncio
FIBER_TEST(AioAsTrioTest, RunsACallableThatReturnsAFuture) {
  open_loop([](EventLoop& loop) {
    auto ask = aio_as_trio([&loop](int question) {
      EXPECT_EQ(current_async_library(), "asyncio");
      auto answer = loop.create_future<int>();
      loop.call_later(1s, [answer, question]() mutable { answer.set_result(question + 1); });
      return answer;
    });
    EXPECT_EQ(ask(1), 2);
    EXPECT_EQ(ask(10), 11);
    EXPECT_EQ(current_async_library(), "trio");
  });
}

// trio-asyncio: interop/test_calls.py::test_asyncio_trio_sync
FIBER_TEST(AioAsTrioTest, RunsACallableInACallback) {
  open_loop([](EventLoop& loop) {
    const int value = aio_as_trio([&] {
      EXPECT_EQ(current_loop(), &loop);
      EXPECT_EQ(current_async_library(), "asyncio");
      sleep(1s);
      return 5;
    })();
    EXPECT_EQ(value, 5);
    auto pass = aio_as_trio([](std::unique_ptr<int> p) { return p; });
    EXPECT_EQ(*pass(std::make_unique<int>(6)), 6);
  });
}

// trio-asyncio: interop/test_calls.py::test_trio_asyncio_error_direct
FIBER_TEST(AioAsTrioTest, ErrorsPass) {
  open_loop([](EventLoop& loop) {
    EXPECT_TRUE(holds<Failure>(error_of([] { aio_as_trio([] { throw Failure("at once"); })(); })));
    EXPECT_TRUE(holds<Failure>(error_of([&] {
      aio_as_trio([&] {
        auto future = loop.create_future<void>();
        future.set_exception(Failure("in the future"));
        return future;
      })();
    })));
  });
}

// trio-asyncio: interop/test_calls.py::test_trio_asyncio_cancel_direct
FIBER_TEST(AioAsTrioTest, ACancelledErrorPassesUnchanged) {
  open_loop([](EventLoop&) {
    std::string message;
    CancelScope scope;
    scope.run([&] {
      try {
        aio_as_trio([] { throw CancelledError("of its own"); })();
      } catch (const CancelledError& error) {
        message = error.message();
      }
    });
    EXPECT_EQ(message, "of its own");
    EXPECT_FALSE(scope.cancel_called());
  });
}

FIBER_TEST(AioAsTrioTest, CancellingTheTaskCancelsTheCallback) {
  open_loop([](EventLoop&) {
    bool unwound = false;
    CancelScope scope({.relative_deadline = fibers::Duration(1s)});
    scope.run([&] {
      aio_as_trio([&] {
        try {
          sleep_forever();
        } catch (const fibers::Cancelled&) {
          unwound = true;
          throw;
        }
      })();
    });
    EXPECT_TRUE(scope.cancelled_caught());
    EXPECT_TRUE(unwound);
  });
}

// However often and from however many scopes the task is cancelled: what asyncio's code awaits
// while it cleans up is left alone. trio-asyncio:
// interop/test_calls.py::test_trio_asyncio_cancel_in
FIBER_TEST(AioAsTrioTest, TheCallableSeesExactlyOneCancelledError) {
  const CapturedLog log;
  open_loop([](EventLoop& loop) {
    int cancelled_errors = 0;
    bool cleaned_up = false;
    const auto clean_up = [&] {
      auto future = loop.create_future<void>();
      loop.call_later(5s, [future]() mutable { future.set_result(); });
      await(future);
      sleep(1s);
      cleaned_up = true;
    };
    CancelScope outer({.relative_deadline = fibers::Duration(3s)});
    CancelScope inner({.relative_deadline = fibers::Duration(1s)});
    loop.call_later(2s, [&] { inner.cancel("again"); });
    outer.run([&] {
      inner.run([&] {
        aio_as_trio([&] {
          try {
            await(loop.create_future<void>());
          } catch (const CancelledError&) {
            ++cancelled_errors;
            clean_up();
            throw;
          }
        })();
      });
    });
    EXPECT_EQ(cancelled_errors, 1);
    EXPECT_TRUE(cleaned_up);
    EXPECT_TRUE(outer.cancelled_caught());
  });
  EXPECT_TRUE(log.lines.empty()) << log.lines[0];
}

FIBER_TEST(AioAsTrioTest, ACallableMaySwallowItsCancelledError) {
  const CapturedLog log;
  open_loop([](EventLoop& loop) {
    CancelScope scope({.relative_deadline = fibers::Duration(1s)});
    const auto value = scope.run([&] {
      return aio_as_trio([&] {
        try {
          await(loop.create_future<void>());
        } catch (const CancelledError&) {
        }
        return 9;
      })();
    });
    EXPECT_EQ(value.value(), 9);
    EXPECT_TRUE(scope.cancel_called());
    EXPECT_FALSE(scope.cancelled_caught());
  });
  EXPECT_TRUE(log.lines.empty()) << log.lines[0];
}

FIBER_TEST(AioAsTrioTest, AnErrorOfTheCallableWinsOverItsCancelledError) {
  open_loop([](EventLoop& loop) {
    const auto error = error_of([&] {
      fibers::move_on_after(1s, [&] {
        aio_as_trio([&] {
          try {
            await(loop.create_future<void>());
          } catch (const CancelledError&) {
            throw Failure("while unwinding");
          }
        })();
      });
    });
    EXPECT_TRUE(holds<Failure>(error));
  });
}

// Who of a nursery hears first of its cancellation is not to matter.
void in_many_orders(const std::function<void()>& body) {
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {
    const CapturedLog log;
    fibers::testing::run_fiber_test(body, {.schedule_seed = seed});
    EXPECT_TRUE(log.lines.empty()) << "seed " << seed << ": " << log.lines[0];
  }
}

TEST(AioAsTrioTest, ACancelledErrorOutOfANurseryOfTheCallableIsTheTasksCancellation) {
  in_many_orders([] {
    open_loop([](EventLoop& loop) {
      CancelScope scope({.relative_deadline = fibers::Duration(1s)});
      scope.run([&] {
        aio_as_trio([&] {
          open_nursery([&](Nursery& nursery) {
            nursery.start_soon([] { sleep_forever(); });
            await(loop.create_future<void>());
          });
        })();
      });
      EXPECT_TRUE(scope.cancelled_caught());
    });
  });
}

TEST(AioAsTrioTest, OfAGroupOutOfTheCallableTheRestIsThrown) {
  in_many_orders([] {
    open_loop([](EventLoop& loop) {
      const auto error = error_of([&] {
        fibers::move_on_after(1s, [&] {
          aio_as_trio([&] {
            open_nursery([&](Nursery& nursery) {
              nursery.start_soon([] {
                try {
                  sleep_forever();
                } catch (const fibers::Cancelled&) {
                  throw Failure("one of two");
                }
              });
              await(loop.create_future<void>());
            });
          })();
        });
      });
      EXPECT_TRUE(holds<fibers::ExceptionGroup>(error)) << "no CancelledError in it";
    });
  });
}

FIBER_TEST(AioAsTrioTest, CancellingTheTaskCancelsTheFuture) {
  open_loop([](EventLoop& loop) {
    auto future = loop.create_future<void>();
    CancelScope scope({.relative_deadline = fibers::Duration(1s)});
    scope.run([&] { aio_as_trio([&] { return future; })(); });
    EXPECT_TRUE(scope.cancelled_caught());
    EXPECT_TRUE(future.cancelled());
  });
}

FIBER_TEST(AioAsTrioTest, CancelledBeforeItsTurnTheCallableIsNotCalled) {
  open_loop([](EventLoop& loop) {
    bool called = false;
    loop.stop();
    loop.wait_stopped();  // So that its turn does not come.
    CancelScope scope({.relative_deadline = fibers::Duration(1s)});
    scope.run([&] { aio_as_trio([&] { called = true; })(); });
    EXPECT_TRUE(scope.cancelled_caught());
    EXPECT_FALSE(called);
  });
}

fibers::ContextVar<int> g_request("request");

// trio-asyncio: test_misc.py::TestMisc::test_contextvars
FIBER_TEST(AioAsTrioTest, TheCallableHasTheContextVariablesOfTheCaller) {
  open_loop([](EventLoop&) {
    g_request.set(1);
    const int seen = aio_as_trio([] {
      const int before = g_request.get_or(0);
      g_request.set(2);
      sleep(1s);
      EXPECT_EQ(g_request.get(), 2);
      return before;
    })();
    EXPECT_EQ(seen, 1);
    EXPECT_EQ(g_request.get(), 1) << "changes do not come back";
    EXPECT_EQ(aio_as_trio([] { return run_trio([] { return g_request.get_or(0); }); })(), 1);
  });
}

// trio-asyncio: test_misc.py::TestMisc::test_err1
// trio-asyncio: test_misc.py::TestMisc::test_err2
// trio-asyncio: test_misc.py::TestMisc::test_run2
// trio-asyncio: test_misc.py::TestMisc::test_run3
FIBER_TEST(AioAsTrioTest, BordersNest) {
  open_loop([](EventLoop&) {
    const int value = aio_as_trio([] {
      return run_trio([] { return aio_as_trio([] { return run_trio([] { return 42; }); })(); });
    })();
    EXPECT_EQ(value, 42);
    const auto error = error_of([] {
      aio_as_trio([] { return run_trio([] { aio_as_trio([] { throw Failure("x"); })(); }); })();
    });
    EXPECT_TRUE(holds<Failure>(error));
  });
}

// trio: test_run.py::test_calling_asyncio_function_gives_nice_error
FIBER_TEST(AioAsTrioTest, OutsideALoopThatIsAUsageError) {
  auto call = aio_as_trio([] {});
  try {
    call();
    ADD_FAILURE() << "called without a loop";
  } catch (const fibers::UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("open_loop"), std::string::npos) << error.what();
  }
  open_loop([&](EventLoop&) { call(); });
}

// trio: test_run.py::test_asyncio_function_inside_nursery_does_not_explode
FIBER_TEST(AioAsTrioTest, OutsideALoopThatEndsTheNurseryLikeAnyError) {
  try {
    fibers::open_nursery([](fibers::Nursery& nursery) {
      nursery.start_soon([] { aio_as_trio([] {})(); });
      fibers::sleep_forever();
    });
    ADD_FAILURE() << "called without a loop";
  } catch (const fibers::ExceptionGroup& group) {
    ASSERT_EQ(group.exceptions().size(), 1U);
    EXPECT_TRUE(holds<fibers::UsageError>(group.exceptions().front()));
  }
  fibers::checkpoint();
}

}  // namespace
}  // namespace weft::shim
