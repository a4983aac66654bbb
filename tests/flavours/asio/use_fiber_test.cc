// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/asio/use_fiber.h"

#include <gtest/gtest.h>

#include <array>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>

#include "tests/flavours/asio/asio_testing.h"
#include "weft/asio/awaitable.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/open_loop.h"

namespace weft::asio {
namespace {

using namespace std::chrono_literals;
using fibers::CancelScope;

FIBER_TEST(UseFiberTest, ReturnsTheResults) {
  ByHand<error_code> none;
  ByHand<error_code, int> one;
  ByHand<error_code, int, std::string> two;
  ByHand<int> bare;
  none.on_start = [&] { none.end({}); };
  one.on_start = [&] { one.end({}, 1); };
  two.on_start = [&] { two.end({}, 2, "two"); };
  bare.on_start = [&] { bare.end(3); };
  static_assert(std::is_void_v<decltype(none.start(use_fiber))>);
  none.start(use_fiber);
  EXPECT_EQ(one.start(use_fiber), 1);
  EXPECT_EQ(two.start(use_fiber), std::tuple(2, std::string("two")));
  EXPECT_EQ(bare.start(use_fiber), 3);
}

FIBER_TEST(UseFiberTest, AResultMayBeMoveOnly) {
  ByHand<error_code, std::unique_ptr<int>> op;
  auto value = std::make_unique<int>(7);
  op.on_start = [&] { op.end({}, std::move(value)); };
  EXPECT_EQ(*op.start(use_fiber), 7);
}

FIBER_TEST(UseFiberTest, AnErrorIsThrown) {
  WEFT_NOT_ALLOCATION_SWEPT("the error would be another one");
  ByHand<error_code, int> op;
  ByHand<std::exception_ptr> other;
  op.on_start = [&] { op.end(make_error_code(ba::error::eof), 1); };
  other.on_start = [&] { other.end(std::make_exception_ptr(std::out_of_range("far"))); };
  error_code code;
  try {
    op.start(use_fiber);
  } catch (const boost::system::system_error& error) {
    code = error.code();
  }
  EXPECT_EQ(code, ba::error::eof);
  EXPECT_THROW(other.start(use_fiber), std::out_of_range);
}

// Nobody has cancelled the task: it was somebody else's close().
FIBER_TEST(UseFiberTest, AbortedBySomebodyElseIsAnError) {
  WEFT_NOT_SWEPT("cancelled, it is no error");
  WEFT_NOT_ALLOCATION_SWEPT("the error would be another one");
  ByHand<error_code> op;
  op.on_start = [&] { op.end(aborted()); };
  EXPECT_THROW(op.start(use_fiber), boost::system::system_error);
}

FIBER_TEST(UseFiberTest, AdaptersGiveTheErrorCode) {
  ByHand<error_code, int> op;
  op.on_start = [&] { op.end(make_error_code(ba::error::eof), 5); };
  error_code code;
  EXPECT_EQ(op.start(ba::redirect_error(use_fiber, code)), 5);
  EXPECT_EQ(code, ba::error::eof);
  const auto [tuple_code, value] = op.start(ba::as_tuple(use_fiber));
  EXPECT_EQ(tuple_code, ba::error::eof);
  EXPECT_EQ(value, 5);
}

FIBER_TEST(UseFiberTest, CancellingTheTaskCancelsTheOperationAndWaitsForItsEnd) {
  ByHand<error_code, int> op;
  CancelScope scope;
  bool ended = false;
  bool waited = false;
  const auto end = [&] {
    ended = true;
    op.end(aborted(), 0);
  };
  op.on_start = [&] {
    scope.cancel();
    fibers::current_token().run_sync_soon([&] { end(); });
  };
  scope.run([&] {
    try {
      op.start(use_fiber);
    } catch (...) {
      waited = ended;
      throw;
    }
  });
  EXPECT_TRUE(waited);
  EXPECT_EQ(op.cancels, 1);
  EXPECT_TRUE(scope.cancelled_caught());
}

// They end with an error of their own, which is no operation_aborted.
TEST(UseFiberChannelTest, ADeadlineEndsAWaitForAChannel) {
  ba::io_context context;
  run(context, [&] {
    ba::experimental::channel<void(error_code, int)> channel(context, 0);
    EXPECT_FALSE(fibers::move_on_after(1ms, [&] { channel.async_receive(use_fiber); }));
    EXPECT_FALSE(fibers::move_on_after(1ms, [&] { channel.async_send({}, 1, use_fiber); }));
    const auto receive = [&]() -> ba::awaitable<int> {
      co_return co_await channel.async_receive(ba::use_awaitable);
    };
    EXPECT_FALSE(fibers::move_on_after(1ms, [&] { await(receive()); }));
  });
}

FIBER_TEST(UseFiberTest, AResultThatWonTheRaceCounts) {
  ByHand<error_code, int> op;
  CancelScope scope;
  int got = 0;
  op.on_cancel = [&] { op.end({}, 9); };
  op.on_start = [&] {
    if (op.pending()) scope.cancel();
  };
  scope.run([&] { got = op.start(use_fiber); });
  EXPECT_EQ(got, 9);
  EXPECT_EQ(op.cancels, 1);
  EXPECT_FALSE(scope.cancelled_caught());
}

FIBER_TEST(UseFiberTest, AnotherErrorInSpiteOfTheCancellationIsThrown) {
  WEFT_NOT_ALLOCATION_SWEPT("the error would be another one");
  ByHand<error_code> op;
  CancelScope scope;
  op.on_cancel = [&] { op.end(make_error_code(ba::error::eof)); };
  op.on_start = [&] { scope.cancel(); };
  EXPECT_THROW(scope.run([&] { op.start(use_fiber); }), boost::system::system_error);
}

FIBER_TEST(UseFiberTest, WithAnAdapterTheNextCheckpointThrows) {
  ByHand<error_code, int> op;
  CancelScope scope;
  std::tuple<error_code, int> got;
  op.on_cancel = [&] { op.end(aborted(), 4); };
  op.on_start = [&] { scope.cancel(); };
  scope.run([&] {
    got = op.start(ba::as_tuple(use_fiber));
    fibers::checkpoint();
  });
  EXPECT_EQ(got, std::tuple(aborted(), 4));
  EXPECT_TRUE(scope.cancelled_caught());
}

FIBER_TEST(UseFiberTest, CancelledBeforeItsStartItIsNotStarted) {
  ByHand<error_code> op;
  CancelScope scope;
  scope.cancel();
  scope.run([&] { op.start(use_fiber); });
  EXPECT_TRUE(scope.cancelled_caught());
  EXPECT_FALSE(op.pending());
}

FIBER_TEST(UseFiberTest, AHandlerThatIsDroppedEndsTheWait) {
  WEFT_NOT_SWEPT("cancelled, it is no error");
  WEFT_NOT_ALLOCATION_SWEPT("the error would be another one");
  ByHand<error_code> op;
  CancelScope scope;
  op.on_start = [&] { op.drop(); };
  EXPECT_THROW(op.start(use_fiber), fibers::BrokenResourceError);
  op.on_start = [&] { scope.cancel(); };
  op.on_cancel = [&] { op.drop(); };
  scope.run([&] { op.start(use_fiber); });
  EXPECT_TRUE(scope.cancelled_caught());
}

// Asio never does, but others may.
FIBER_TEST(UseFiberTest, MayBeCalledBeforeTheInitiationReturns) {
  const auto at_once = [](auto&& token) {
    return ba::async_initiate<decltype(token), void(error_code, int)>(
        [](auto handler) { std::move(handler)(error_code(), 8); }, token);
  };
  EXPECT_EQ(at_once(use_fiber), 8);
}

FIBER_TEST(UseFiberTest, WhatTheInitiationThrowsComesOut) {
  WEFT_NOT_ALLOCATION_SWEPT("the error would be another one");
  const auto refuse = [](auto&& token) {
    return ba::async_initiate<decltype(token), void(error_code)>(
        [](auto) { throw std::out_of_range("far"); }, token);
  };
  EXPECT_THROW(refuse(use_fiber), std::out_of_range);
}

FIBER_TEST(UseFiberTest, WhatMovingAResultThrowsComesOut) {
  WEFT_NOT_ALLOCATION_SWEPT("the error would be another one");
  struct Hot {
    Hot() = default;
    // NOLINTNEXTLINE(performance-noexcept-move-constructor): it is to throw.
    Hot(Hot&& other) : moves(other.moves - 1) {
      if (moves < 0) throw std::out_of_range("hot");
    }
    int moves = 0;
  };
  const auto hot = [](auto&& token) {
    return ba::async_initiate<decltype(token), void(Hot)>(
        [](auto handler) { std::move(handler)(Hot()); }, token);
  };
  EXPECT_THROW(hot(use_fiber), std::out_of_range);
}

// Asio may run the first steps of a coroutine there, and the last ones in a cancellation.
FIBER_TEST(UseFiberTest, WhatRunsInTheTasksStackIsNotInTheTask) {
  WEFT_NOT_ALLOCATION_SWEPT("the error would be another one");
  const auto waits = [](auto&& token) {
    return ba::async_initiate<decltype(token), void(error_code)>(
        [](auto handler) {
          EXPECT_FALSE(fibers::in_trio_task());
          fibers::checkpoint();
          std::move(handler)(error_code());
        },
        token);
  };
  EXPECT_THROW(waits(use_fiber), fibers::UsageError);
  EXPECT_THROW(waits(use_fiber.on(ba::system_executor())), fibers::UsageError);
  EXPECT_TRUE(fibers::in_trio_task());
  ByHand<error_code> op;
  op.on_start = [] {};
  op.on_cancel = [&] {
    EXPECT_FALSE(fibers::in_trio_task());
    op.end(aborted());
  };
  fibers::open_nursery([&](fibers::Nursery& nursery) {
    nursery.start_soon([&] { op.start(use_fiber); });
    fibers::testing::wait_all_tasks_blocked();
    nursery.cancel_scope().cancel();
    EXPECT_TRUE(fibers::in_trio_task());
  });
}

TEST(UseFiberOutsideTest, OutsideARunItIsRefused) {
  ByHand<error_code> op;
  EXPECT_THROW(op.start(use_fiber), fibers::UsageError);
  EXPECT_FALSE(op.pending());
}

FIBER_TEST(UseFiberTest, TheHandlersAssociatesAreTheTokens) {
  WEFT_NOT_SWEPT("what turns the context would be cancelled with what waits for it");
  WEFT_NOT_ALLOCATION_SWEPT("Asio's operations are of Asio's memory");
  ba::io_context context;
  beside(context, [&] {
    bool there = false;
    const auto strand = ba::make_strand(context);
    const auto start = [&](auto token) {
      ba::async_initiate<decltype(token), void()>(
          [&](auto handler) {
            there = ba::get_associated_executor(handler) == strand;
            ba::post(std::move(handler));
          },
          token);
    };
    start(ba::bind_executor(strand, use_fiber));
    EXPECT_TRUE(there);
    ba::post(context, use_fiber);
  });
}

// --- Asio's own operations. ---

// What composes operations takes it for its inner handlers.
FIBER_TEST(UseFiberTest, TheHandlersExecutorIsTheOperations) {
  ba::io_context context;
  ba::steady_timer timer(context);
  bool same = false;
  const auto initiation = [&](auto handler, ba::steady_timer* given) {
    const auto executor = ba::get_associated_executor(handler, ba::system_executor());
    if constexpr (std::is_same_v<decltype(executor), const ba::any_io_executor>) {
      same = executor == given->get_executor();
    }
    std::move(handler)(3);
  };
  auto token = use_fiber;
  EXPECT_EQ((ba::async_initiate<decltype(token), void(int)>(initiation, token, &timer)), 3);
  EXPECT_TRUE(same);
}

FIBER_TEST(UseFiberTest, ATimersDeadlineIsTheScopes) {
  WEFT_NOT_SWEPT("what turns the context would be cancelled with what waits for it");
  WEFT_NOT_ALLOCATION_SWEPT("what turns the context would end");
  ba::io_context context;
  beside(context, [&] {
    ba::steady_timer timer(context, std::chrono::hours(1));
    EXPECT_FALSE(fibers::move_on_after(1s, [&] { timer.async_wait(use_fiber); }));
    timer.expires_after(0s);
    timer.async_wait(use_fiber);
  });
}

FIBER_TEST(UseFiberTest, ACancelledReadLosesNothing) {
  WEFT_NOT_SWEPT("what turns the context would be cancelled with what waits for it");
  WEFT_NOT_ALLOCATION_SWEPT("what turns the context would end");
  ba::io_context context;
  beside(context, [&] {
    ba::local::stream_protocol::socket one(context), other(context);
    ba::local::connect_pair(one, other);
    std::array<char, 8> bytes{};
    EXPECT_FALSE(
        fibers::move_on_after(1s, [&] { one.async_read_some(ba::buffer(bytes), use_fiber); }));
    EXPECT_EQ(ba::async_write(other, ba::buffer("abc", 3), use_fiber), 3U);
    EXPECT_EQ(one.async_read_some(ba::buffer(bytes), use_fiber), 3U);
    EXPECT_EQ(std::string(bytes.data(), 3), "abc");
    // A composed one, cancelled in its midst, tells how far it came.
    ba::async_write(other, ba::buffer("de", 2), use_fiber);
    std::size_t read = 0;
    error_code code;
    CancelScope scope;
    scope.set_deadline(fibers::current_time() + 1s);
    scope.run([&] {
      read = ba::async_read(one, ba::buffer(bytes), ba::redirect_error(use_fiber, code));
    });
    EXPECT_EQ(read, 2U);
    EXPECT_EQ(code, ba::error::operation_aborted);
  });
}

FIBER_TEST(UseFiberTest, BoundToAnotherSlotTheOperationIsCancelledByThatAlone) {
  WEFT_NOT_SWEPT("cancelled, it is no error");
  WEFT_NOT_ALLOCATION_SWEPT("the error would be another one");
  ByHand<error_code, int> op;
  ba::cancellation_signal signal;
  auto bound = ba::bind_cancellation_slot(signal.slot(), use_fiber);
  op.on_start = [&] { signal.emit(ba::cancellation_type::all); };
  op.on_cancel = [&] { fibers::current_token().run_sync_soon([&] { op.end(aborted(), 0); }); };
  EXPECT_THROW(op.start(bound), boost::system::system_error) << "nobody has cancelled the task";
  EXPECT_EQ(op.cancels, 1);
  CancelScope scope;
  op.on_start = [&] {
    scope.cancel();
    fibers::current_token().run_sync_soon([&] { op.end({}, 7); });
  };
  int value = 0;
  scope.run([&] { value = op.start(bound); });
  EXPECT_EQ(value, 7);
  EXPECT_EQ(op.cancels, 1) << "the task's cancellation does not reach it";
}

// Counts what it has lent.
template <class T>
struct CountingAllocator {
  using value_type = T;
  explicit CountingAllocator(int& out) : lent(&out) {}
  template <class U>
  // NOLINTNEXTLINE(google-explicit-constructor): as allocators are.
  CountingAllocator(const CountingAllocator<U>& other) : lent(other.lent), total(other.total) {}
  T* allocate(std::size_t count) {
    ++*lent;
    ++*total;
    return std::allocator<T>().allocate(count);
  }
  void deallocate(T* memory, std::size_t count) {
    --*lent;
    std::allocator<T>().deallocate(memory, count);
  }
  template <class U>
  bool operator==(const CountingAllocator<U>& other) const {
    return lent == other.lent;
  }
  int* lent;
  std::shared_ptr<int> total = std::make_shared<int>(0);
};

FIBER_TEST(UseFiberTest, AnOperationTakesItsMemoryFromTheAllocatorThatTheTokenIsBoundTo) {
  WEFT_NOT_SWEPT("what turns the context would be cancelled with what waits for it");
  WEFT_NOT_ALLOCATION_SWEPT("what turns the context would end");
  ba::io_context context;
  int lent = 0;
  const CountingAllocator<int> allocator(lent);
  beside(context, [&] {
    ba::steady_timer timer(context, 1s);
    timer.async_wait(ba::bind_allocator(allocator, use_fiber));
    EXPECT_GT(*allocator.total, 0);
    EXPECT_EQ(lent, 0);
    timer.expires_after(std::chrono::hours(1));
    EXPECT_FALSE(fibers::move_on_after(
        1s, [&] { timer.async_wait(ba::bind_allocator(allocator, use_fiber)); }));
    EXPECT_EQ(lent, 0);
  });
}

FIBER_TEST(UseFiberTest, AnObjectMayHaveItAsItsDefaultToken) {
  WEFT_NOT_SWEPT("what turns the context would be cancelled with what waits for it");
  WEFT_NOT_ALLOCATION_SWEPT("what turns the context would end");
  ba::io_context context;
  beside(context, [&] {
    auto timer = use_fiber_t<>::as_default_on(ba::steady_timer(context, 0s));
    timer.async_wait();
  });
}

}  // namespace
}  // namespace weft::asio
