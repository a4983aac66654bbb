// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The border's rules for a method that trio-asyncio's loop has from asyncio's and that is awaited.
// A test names a row and holds it to them:
//
//   struct SockRecv {
//     static constexpr int kError = EBADF;     // What fail() throws: errno, or 0 for UsageError.
//     static constexpr bool kWaits = true;     // For ever, until let_go() has been called.
//     explicit SockRecv(EventLoop& loop);      // What it needs; made while the loop runs.
//     Coro<std::string> call(EventLoop& loop);         // The method; a second time, too.
//     void let_go(EventLoop& loop);
//     void check(EventLoop& loop, std::string value);  // Also closes what it has got.
//     Coro<std::string> fail(EventLoop& loop);
//   };
//   FIBER_TEST(InheritedMethodsTest, SockRecv) { hold_to_the_border<SockRecv>(); }

#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include "tests/shim/shim_test_support.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/format_exception.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/coro.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/task.h"
#include "weft/shim/aio_as_trio.h"
#include "weft/shim/open_loop.h"

namespace weft::shim {

using namespace std::chrono_literals;  // NOLINT: for the tests only.

// As many iterations as the longest of the methods takes, and one more.
inline constexpr int kMostIterations = 6;

template <class T>
struct CoroValue;
template <class T>
struct CoroValue<loop::Coro<T>> {
  using Type = T;
};
template <class Row>
using ValueOf =
    typename CoroValue<decltype(std::declval<Row&>().call(std::declval<EventLoop&>()))>::Type;

enum class AwaitedBy { kTask, kTaskWithAwait, kCallback, kTaskOfTheLoop };
inline constexpr AwaitedBy kEverybody[] = {AwaitedBy::kTask, AwaitedBy::kTaskWithAwait,
                                           AwaitedBy::kCallback, AwaitedBy::kTaskOfTheLoop};

// What `wait(coro)` gives is checked.
template <class Row, class Wait>
void check_value(Row& row, EventLoop& loop, const Wait& wait) {
  if constexpr (std::is_void_v<ValueOf<Row>>) {
    wait(row.call(loop));
    row.check(loop);
  } else {
    row.check(loop, wait(row.call(loop)));
  }
}

template <class Row>
void use(Row& row, EventLoop& loop, AwaitedBy by = AwaitedBy::kTask) {
  const auto await_it = [](auto coro) { return await(std::move(coro)); };
  const auto of_asyncio = [&] {
    EXPECT_EQ(current_async_library(), "asyncio");
    check_value(row, loop, await_it);
    EXPECT_EQ(current_async_library(), "asyncio");
  };
  switch (by) {
    case AwaitedBy::kTask:
      check_value(row, loop, [](auto coro) { return aio_as_trio(std::move(coro)); });
      break;
    case AwaitedBy::kTaskWithAwait:
      check_value(row, loop, await_it);
      break;
    case AwaitedBy::kCallback:
      aio_as_trio(of_asyncio)();
      break;
    case AwaitedBy::kTaskOfTheLoop:
      aio_as_trio(loop.create_task(of_asyncio));
      break;
  }
  EXPECT_EQ(current_async_library(), "trio");
}

template <class Row>
void let_go(Row& row, EventLoop& loop) {
  if constexpr (Row::kWaits) row.let_go(loop);
}

// How many there are among the first, without a call to the allocator, which may be made to fail.
inline int open_descriptors() {
  int count = 0;
  for (int fd = 0; fd < 256; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

// Without pidfds a thread waits for each child, and closes its pipe in its own time.
template <class Row>
inline constexpr bool kStartsChildren = requires {
  Row::kIsAChild;
};

// Calls `body(loop, row)` in a block; afterwards nothing that either has opened is open.
template <class Row, class Body>
void in_a_block(const char* what, const Body& body) {
  const auto before = open_descriptors();
  {
    std::optional<Row> row;  // Longer than the loop: what is under way refers to it.
    open_loop([&](EventLoop& loop) {
      row.emplace(loop);
      body(loop, *row);
    });
  }
  EXPECT_TRUE(open_descriptors() == before || kStartsChildren<Row>) << what;
}

// Calls `fn` after so many iterations of the loop.
inline void after_iterations(EventLoop& loop, int count, const std::function<void()>& fn) {
  if (count == 0) return fn();
  loop.call_soon([&loop, count, fn] { after_iterations(loop, count - 1, fn); });
}

inline std::size_t watched(EventLoop& loop) {
  return loop.statistics().readers + loop.statistics().writers;
}

// Its value comes to whoever awaits it, on both sides of the border.
template <class Row>
void gives_its_value() {
  in_a_block<Row>("value", [](EventLoop& loop, Row& row) {
    for (const AwaitedBy by : kEverybody) {
      const auto going = loop.call_later(1s, [&] { let_go(row, loop); });
      use(row, loop, by);
    }
  });
}

// A deadline of a scope cancels it, and whoever calls it again has everything.
template <class Row>
void ends_by_a_deadline() {
  if constexpr (Row::kWaits) {
    for (const bool by_await : {false, true}) {
      in_a_block<Row>("deadline", [&](EventLoop& loop, Row& row) {
        const auto start = fibers::current_time();
        const auto watched_before = watched(loop);
        EXPECT_FALSE(fibers::move_on_after(1s, [&] {
          if (by_await) {
            static_cast<void>(await(row.call(loop)));
          } else {
            static_cast<void>(aio_as_trio(row.call(loop)));
          }
        }));
        EXPECT_EQ(fibers::current_time() - start, 1s);
        EXPECT_EQ(watched(loop), watched_before);
        row.let_go(loop);
        use(row, loop);
      });
    }
  }
}

// A cancellation that comes in any iteration leaves nothing half done.
template <class Row>
void may_be_cancelled_in_any_iteration() {
  for (int count = 0; count < kMostIterations; ++count) {
    const std::string what = "cancelled after " + std::to_string(count);
    in_a_block<Row>(what.c_str(), [&](EventLoop& loop, Row& row) {
      let_go(row, loop);
      const auto scope = std::make_shared<fibers::CancelScope>();  // The callback may come late.
      after_iterations(loop, count, [scope] { scope->cancel(); });
      scope->run([&] { use(row, loop); });
      use(row, loop);
    });
  }
}

inline void expect_error(const std::exception_ptr& error, int code) {
  ASSERT_NE(error, nullptr) << "nothing was thrown";
  try {
    std::rethrow_exception(error);
  } catch (const std::system_error& thrown) {
    EXPECT_EQ(thrown.code().value(), code) << thrown.what();
  } catch (const fibers::UsageError& thrown) {
    EXPECT_EQ(code, 0) << thrown.what();
  }
}

// Its error comes out as it was thrown.
template <class Row>
void gives_its_error() {
  if constexpr (requires(Row & row, EventLoop & loop) { row.fail(loop); }) {
    in_a_block<Row>("error", [](EventLoop& loop, Row& row) {
      expect_error(error_of([&] { static_cast<void>(aio_as_trio(row.fail(loop))); }), Row::kError);
      expect_error(error_of([&] { static_cast<void>(await(row.fail(loop))); }), Row::kError);
      expect_error(
          error_of([&] { aio_as_trio([&] { static_cast<void>(await(row.fail(loop))); })(); }),
          Row::kError);
    });
  }
}

// The end of the block cancels it, at once.
template <class Row>
void ends_with_the_block() {
  for (int count = 0; count < kMostIterations; ++count) {
    loop::Task<ValueOf<Row>> task;
    const auto start = fibers::current_time();
    const std::string what = "block ended after " + std::to_string(count);
    in_a_block<Row>(what.c_str(), [&](EventLoop& loop, Row& row) {
      task = loop.create_task(row.call(loop));
      for (int i = 0; i < count; ++i) loop.synchronize();
    });
    EXPECT_TRUE(task.done()) << what;
    EXPECT_TRUE(task.cancelled() || !Row::kWaits) << what;
    EXPECT_EQ(fibers::current_time(), start) << what;
  }
}

// A loop that stands: the deadline drops it; a wait without one runs the loop again.
template <class Row>
void runs_a_stopped_loop_again() {
  in_a_block<Row>("stopped", [](EventLoop& loop, Row& row) {
    let_go(row, loop);
    loop.stop();
    loop.wait_stopped();
    bool late = true;
    EXPECT_FALSE(fibers::move_on_after(1s, [&] {
      static_cast<void>(aio_as_trio(row.call(loop)));
      late = false;
    }));
    EXPECT_TRUE(late);
    EXPECT_FALSE(loop.is_running());
    use(row, loop);
  });
}

// A loop that is closed says so, and keeps nothing that it was given.
template <class Row>
void is_refused_after_the_close() {
  in_a_block<Row>("closed", [](EventLoop& loop, Row& row) {
    loop.stop();
    loop.wait_stopped();
    loop.close();
    const auto error = error_of([&] { static_cast<void>(aio_as_trio(row.call(loop))); });
    EXPECT_TRUE(holds<fibers::UsageError>(error));
    EXPECT_NE(fibers::describe_exception(error).find("Event loop is closed"), std::string::npos)
        << fibers::describe_exception(error);
  });
}

template <class Row>
void hold_to_the_border() {
  gives_its_value<Row>();
  ends_by_a_deadline<Row>();
  may_be_cancelled_in_any_iteration<Row>();
  gives_its_error<Row>();
  ends_with_the_block<Row>();
  runs_a_stopped_loop_again<Row>();
  is_refused_after_the_close<Row>();
}

}  // namespace weft::shim
