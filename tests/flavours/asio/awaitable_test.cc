// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/asio/awaitable.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/flavours/asio/asio_testing.h"
#include "weft/asio/executor.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/open_loop.h"

namespace weft::asio {
namespace {

using namespace std::chrono_literals;

// What a coroutine has seen.
struct Seen {
  std::string library;
  bool aborted = false;
};

ba::awaitable<int> wait_for(ba::steady_timer& timer, Seen& seen) {
  seen.library = shim::current_async_library();
  const auto [code] = co_await timer.async_wait(ba::as_tuple(ba::use_awaitable));
  seen.aborted = code == ba::error::operation_aborted;
  if (code) throw boost::system::system_error(code);
  co_return 7;
}

ba::awaitable<void> fail() {
  throw std::out_of_range("far");
  co_return;
}

TEST(AsioAwaitableTest, ATaskWaitsForACoroutine) {
  ba::io_context context;
  run(context, [&] {
    ba::steady_timer timer(context, 1ms);
    Seen seen;
    EXPECT_EQ(await(wait_for(timer, seen)), 7);
    EXPECT_EQ(seen.library, "asio");
    seen = {};
    EXPECT_EQ(ba::co_spawn(context, wait_for(timer, seen), use_fiber), 7);
    EXPECT_EQ(seen.library, "asio");
    EXPECT_THROW(await(fail()), std::out_of_range);
  });
}

TEST(AsioAwaitableTest, CancellingTheTaskCancelsTheCoroutine) {
  ba::io_context context;
  run(context, [&] {
    ba::steady_timer timer(context, 1h);
    Seen seen;
    EXPECT_FALSE(fibers::move_on_after(1ms, [&] { await(wait_for(timer, seen)); }));
    EXPECT_TRUE(seen.aborted);
    // Nobody has cancelled this one's task.
    timer.expires_after(1h);
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      nursery.start_soon([&] {
        fibers::sleep(1ms);
        timer.cancel();
      });
      EXPECT_THROW(await(wait_for(timer, seen)), boost::system::system_error);
    });
  });
}

TEST(AsioAwaitableTest, CancelledFirstItIsDropped) {
  ba::io_context context;
  run(context, [&] {
    fibers::CancelScope scope;
    scope.cancel();
    scope.run([] { await(fail()); });
    EXPECT_TRUE(scope.cancelled_caught());
  });
}

TEST(AsioAwaitableTest, ACoroutineOfAnotherThreads) {
  ba::io_context other;
  auto work = ba::make_work_guard(other);
  std::thread thread([&] { other.run(); });
  fibers::run([&] {
    const auto where = [&]() -> ba::awaitable<std::thread::id> {
      co_return std::this_thread::get_id();
    };
    EXPECT_EQ(await(where(), other.get_executor()), thread.get_id());
    EXPECT_EQ(await(where(), other), thread.get_id()) << "a context does as well";
    for (int i = 0; i < 50; ++i) {
      const auto wait = [&]() -> ba::awaitable<void> {
        ba::steady_timer timer(other, std::chrono::microseconds(i));
        co_await timer.async_wait(ba::use_awaitable);
      };
      fibers::move_on_after(20us, [&] { await(wait(), other.get_executor()); });
    }
    EXPECT_THROW(await(fail()), fibers::UsageError);
  });
  work.reset();
  thread.join();
}

// --- The other way round. ---

TEST(TrioAsAsioTest, ACoroutineWaitsForATask) {
  ba::io_context context;
  run(context, [&] {
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      std::string library;
      const auto coroutine = [&]() -> ba::awaitable<std::string> {
        co_await trio_as_asio(
            nursery, [] { fibers::sleep(1ms); }, ba::use_awaitable);
        co_return co_await trio_as_asio(
            nursery,
            [&library] {
              library = shim::current_async_library();
              return std::string("value");
            },
            ba::use_awaitable);
      };
      EXPECT_EQ(await(coroutine()), "value");
      EXPECT_EQ(library, "trio");
    });
  });
}

TEST(TrioAsAsioTest, ItsErrorIsTheCoroutines) {
  ba::io_context context;
  run(context, [&] {
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      const auto coroutine = [&]() -> ba::awaitable<int> {
        co_return co_await trio_as_asio(
            nursery, []() -> int { throw std::out_of_range("far"); }, ba::use_awaitable);
      };
      EXPECT_THROW(await(coroutine()), std::out_of_range);
    });
  });
}

// Through both borders: the scope of the outer task, the coroutine, the inner task.
TEST(TrioAsAsioTest, CancellingTheCoroutineCancelsTheTask) {
  ba::io_context context;
  bool unwound = false;
  run(context, [&] {
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      const auto coroutine = [&]() -> ba::awaitable<void> {
        const auto sleep = [&unwound] {
          try {
            fibers::sleep_forever();
          } catch (const fibers::Cancelled&) {
            unwound = true;
            throw;
          }
        };
        co_await trio_as_asio(nursery, sleep, ba::use_awaitable);
      };
      EXPECT_FALSE(fibers::move_on_after(1ms, [&] { await(coroutine()); }));
      EXPECT_TRUE(unwound);
    });
  });
}

TEST(TrioAsAsioTest, ATaskCancelledByItsNurseryEndsTheOperation) {
  ba::io_context context;
  error_code code;
  run(context, [&] {
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      trio_as_asio(
          nursery, [] { fibers::sleep_forever(); },
          [&](const std::exception_ptr& error) {
            try {
              std::rethrow_exception(error);
            } catch (const boost::system::system_error& e) {
              code = e.code();
            }
          });
      fibers::sleep(1ms);
      nursery.cancel_scope().cancel();
    });
    fibers::sleep(1ms);
  });
  EXPECT_EQ(code, ba::error::operation_aborted);
}

// An initiation that throws ends the process, under use_awaitable: Asio's await_suspend is
// noexcept.
TEST(TrioAsAsioTest, WhatKeepsTheTaskFromStartingIsTheCoroutinesError) {
  ba::io_context context;
  run(context, [&] {
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      const auto coroutine = [&]() -> ba::awaitable<int> {
        co_return co_await trio_as_asio(
            nursery, [] { return 7; }, ba::use_awaitable);
      };
      ba::thread_pool elsewhere(1);
      EXPECT_THROW(await(coroutine(), elsewhere.get_executor()), fibers::UsageError);
      elsewhere.join();
      EXPECT_EQ(await(coroutine()), 7);
    });
  });
}

// A coroutine brings its executor; without one there has to be a host.
FIBER_TEST(TrioAsAsioTest, TheRunNeedNotBeAGuest) {
  fibers::open_nursery([](fibers::Nursery& nursery) {
    open_executor([&](const RunExecutor& executor) {
      const auto coroutine = [&]() -> ba::awaitable<int> {
        const auto sleep_then_answer = [] {
          fibers::sleep(1s);
          return 7;
        };
        co_return co_await trio_as_asio(nursery, sleep_then_answer, ba::use_awaitable);
      };
      EXPECT_EQ(await(coroutine(), executor), 7);
      EXPECT_EQ(trio_as_asio(
                    nursery, [] { return 8; }, use_fiber.on(executor)),
                8);
    });
    const auto ignore = [](const std::exception_ptr&) {};
    EXPECT_THROW(trio_as_asio(
                     nursery, [] {}, ignore),
                 fibers::UsageError);
  });
}

}  // namespace
}  // namespace weft::asio
