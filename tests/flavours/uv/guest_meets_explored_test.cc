// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A guest of libuv's loop beside what the host does there, in every schedule there is: its
// callbacks, its handles, another guest.

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <utility>

#include "tests/flavours/uv/explored_parts.h"
#include "tests/flavours/uv/guest_explored.h"
#include "tests/flavours/uv/uv_explored.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/outcome.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/unwrapped.h"

namespace weft::uv {
namespace {

using fibers::CancelScope;
using fibers::Event;
using fibers::Outcome;
using fibers::RunOptions;

// Handles whose owners go in any order, the last of them with the body.
TEST(UvGuestHandleExplored, ThoseOfTasksAreClosed) {
  explore_guest([] {
    const auto last = make_pipe();
    together([] { static_cast<void>(make_pipe()); },
             [] {
               const Connection connection;
               fibers::checkpoint();
             },
             [] { make_pipe().aclose(); });
  });
}

// A thread of libuv's is to look at a file for it, and none is free until the guest is over.
TEST(UvGuestHandleExplored, OneThatLibuvIsNotDoneWithIsWaitedFor) {
  struct Host {
    uv_idle_t idle{};
    std::optional<FullPool> pool;
  };
  Host host;
  HostSide side;
  side.begin = [&](uv_loop_t& loop) {
    host.pool.emplace();
    uv_idle_init(&loop, &host.idle);
    host.idle.data = &host;
    uv_idle_start(&host.idle, [](uv_idle_t* idle) {
      if (!fibers::in_trio_run()) static_cast<Host*>(idle->data)->pool.reset();
    });
  };
  side.end = [&](uv_loop_t&, const std::exception_ptr& error) {
    host.pool.reset();
    EXPECT_EQ(error, nullptr);
  };
  explore_guest(side, [&] {
    const auto watch = [] {
      const Handle<uv_fs_poll_t> file(
          [](uv_fs_poll_t* f) { return uv_fs_poll_init(current_loop(), f); });
      const auto ignore = [](uv_fs_poll_t*, int, const uv_stat_t*, const uv_stat_t*) {};
      EXPECT_EQ(uv_fs_poll_start(file.get(), ignore, "/", 1'000'000), 0);
      fibers::checkpoint();
    };
    together(watch, watch);
  });
}

// One that the host has got is open, whatever a task has waited for.
TEST(UvGuestHandleExplored, OneOfTheHostsStaysOpen) {
  std::optional<Connection> connection;
  std::array<char, 4> buffer{};
  HostSide side;
  side.takes_over = 1;
  side.end = [&](uv_loop_t& loop, const std::exception_ptr& error) {
    if (error != nullptr) std::rethrow_exception(error);
    EXPECT_FALSE(connection->pipe.is_closing());
    connection.reset();
    uv_run(&loop, UV_RUN_NOWAIT);
    EXPECT_EQ(handles_in(loop), 0U);
  };
  explore_guest(side, [&] {
    CancelScope scope;
    std::optional<std::size_t> got;
    connection.emplace();
    together([&] { scope.run([&] { got = read_some(connection->pipe, buffer); }); },
             [&] { send_to(connection->peer, "b"); },  //
             [&] { scope.cancel(); });
    EXPECT_NE(got.has_value(), scope.cancelled_caught());
  });
}

// The wait keeps it until then.
TEST(UvGuestHandleExplored, ItsOwnerGoesBeforeTheWaitIsOver) {
  explore_guest([] {
    std::optional<Connection> connection(std::in_place);
    std::array<char, 4> buffer{};
    int closed = 0;
    int late = 0;
    together(
        [&] {
          if (!connection.has_value()) {
            ++late;
            return;
          }
          try {
            read_some(connection->pipe, buffer);
          } catch (const fibers::ClosedResourceError&) {
            ++closed;
          }
        },
        [&] {
          fibers::checkpoint();
          connection.reset();
        });
    EXPECT_EQ(closed + late, 1);
  });
}

// A callback of the program's, in a turn of the loop that a task has asked for.
TEST(UvGuestHostExplored, ACallbackMeetsACancellation) {
  struct Host {
    uv_async_t async{};
    Event* event = nullptr;
    int calls = 0;
  };
  Host host;
  HostSide side;
  side.begin = [&](uv_loop_t& loop) {
    host = Host();
    uv_async_init(&loop, &host.async, [](uv_async_t* async) {
      auto& self = *static_cast<Host*>(async->data);
      ++self.calls;
      if (self.event != nullptr) self.event->set();
    });
    host.async.data = &host;
  };
  side.end = [&](uv_loop_t&, const std::exception_ptr& error) {
    EXPECT_EQ(error, nullptr);
    EXPECT_NE(uv_is_active(reinterpret_cast<uv_handle_t*>(&host.async)), 0);
    EXPECT_LE(host.calls, 1);
  };
  explore_guest(side, [&] {
    CancelScope scope;
    Event event;
    bool got = false;
    host.event = &event;
    const absl::Cleanup gone = [&] { host.event = nullptr; };
    together(
        [&] {
          scope.run([&] {
            event.wait();
            got = true;
          });
        },
        [&] { uv_async_send(&host.async); },  //
        [&] { scope.cancel(); });
    EXPECT_NE(got, scope.cancelled_caught());
  });
}

// A timer that is due at once, against a deadline and a cancellation; its callback cancels a scope.
TEST(UvGuestHostExplored, ATimerMeetsADeadline) {
  static CancelScope* rung = nullptr;
  explore_guest([] {
    CancelScope by_timer;
    CancelScope by_task;
    rung = &by_timer;
    bool late = false;
    {
      const Handle<uv_timer_t> timer(
          [](uv_timer_t* t) { return uv_timer_init(current_loop(), t); });
      together(
          [&] {
            by_task.run([&] {
              by_timer.run([&] {
                late =
                    !fibers::move_on_after(std::chrono::hours(1), [] { fibers::sleep_forever(); });
              });
            });
          },
          [&] {
            uv_timer_start(
                timer.get(), [](uv_timer_t*) { rung->cancel(); }, 0, 0);
          },
          [&] {
            fibers::checkpoint();
            by_task.cancel();
          });
    }
    EXPECT_EQ(by_timer.cancelled_caught() + by_task.cancelled_caught() + late, 1);
  });
}

// The host stops its loop in turn after turn: uv::run goes on.
TEST(UvGuestHostExplored, AStoppedLoopGoesOnUntilTheEnd) {
  uv_idle_t idle{};
  HostSide side;
  side.begin = [&](uv_loop_t& loop) {
    uv_idle_init(&loop, &idle);
    uv_idle_start(&idle, [](uv_idle_t* i) { uv_stop(i->loop); });
  };
  explore_guest(side, [] {
    ByHand op(current_loop());
    CancelScope scope;
    std::optional<std::int64_t> got;
    together([&] { scope.run([&] { got = op.wait([&] { op.end(UV_ECANCELED); }); }); },
             [&] { op.end(7); },  //
             [&] { scope.cancel(); });
    EXPECT_NE(got.has_value(), scope.cancelled_caught());
    EXPECT_LE(op.stops, 1);
  });
}

// What keeps a request from being started cancels those that have been.
TEST(UvGuestRequestExplored, ARequestThatFailsToStartMeetsTheEndOfAnother) {
  explore_guest([] {
    ByHand op(current_loop());
    bool got = false;
    bool cancelled = false;
    const auto refused = [] {
      uv_work_t request{};
      await(request, [](uv_work_t*, uv_after_work_cb) -> int { throw std::out_of_range("far"); });
    };
    EXPECT_THROW(fibers::open_unwrapped_nursery([&](fibers::Nursery& nursery) {
                   nursery.start_soon([&] {
                     const absl::Cleanup end = [&] { cancelled = !got; };
                     got = op.wait([&] { op.end(UV_ECANCELED); }) == 7;
                   });
                   nursery.start_soon([&] {
                     fibers::checkpoint();
                     refused();
                   });
                   nursery.start_soon([&] { op.end(7); });
                 }),
                 std::out_of_range);
    EXPECT_NE(got, cancelled);
    EXPECT_FALSE(op.pending());
  });
}

// What a guest does of which a callback tells the end.
void meet_in_guest() {
  ByHand op(current_loop());
  CancelScope scope;
  bool got = false;
  together([&] { scope.run([&] { got = op.wait([&] { op.end(UV_ECANCELED); }) == 7; }); },
           [&] { op.end(7); },  //
           [&] { scope.cancel(); });
  EXPECT_NE(got, scope.cancelled_caught());
}

// It keeps the loop alive, and leaves nothing in it.
TEST(UvStartGuestExplored, TheLoopEndsWithItsGuest) {
  HostSide side;
  side.run_guest = [](uv_loop_t& loop, const std::function<void()>& main,
                      const RunOptions& options) {
    std::optional<Outcome<void>> outcome;
    start_guest_run(
        &loop, main, [&](Outcome<void> ended) { outcome.emplace(std::move(ended)); }, options);
    uv_run(&loop, UV_RUN_DEFAULT);
    ASSERT_TRUE(outcome.has_value());
    outcome->unwrap();
  };
  explore_guest(side, &meet_in_guest);
}

// The next one begins in the callback that tells of the end of the first, whose handle is about to
// close.
TEST(UvStartGuestExplored, AnotherOneFollowsAtOnce) {
  HostSide side;
  side.run_guest = [](uv_loop_t& loop, const std::function<void()>& main,
                      const RunOptions& options) {
    std::optional<Outcome<void>> outcome;
    int seven = 0;
    start_guest_run(
        &loop, main,
        [&](Outcome<void> ended) {
          outcome.emplace(std::move(ended));
          start_guest_run(
              &loop,
              [] {
                fibers::checkpoint();
                meet_in_guest();
                return 7;
              },
              [&](Outcome<int> second) { seven = second.unwrap(); });
        },
        options);
    uv_run(&loop, UV_RUN_DEFAULT);
    ASSERT_TRUE(outcome.has_value());
    EXPECT_EQ(seven, 7);
    outcome->unwrap();
  };
  explore_guest(side, &meet_in_guest);
}

}  // namespace
}  // namespace weft::uv
