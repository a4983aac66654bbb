// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A task that waits for a request of libuv's, in every schedule there is: the request's end against
// its cancellation, uv_cancel, and the end of its loop.

#include "weft/uv/request.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>

#include "absl/cleanup/cleanup.h"
#include "tests/flavours/uv/explored_parts.h"
#include "tests/flavours/uv/uv_explored.h"
#include "weft/fibers/lowlevel.h"

namespace weft::uv {
namespace {

using fibers::CancelScope;

// It ends as cancelled or with its value, and is asked to end once at most.
EXPLORE_TEST(UvAwaitExplored, ACancellationAndAnEndMeet) {
  std::optional<ByHand> op;
  CancelScope scope;
  std::optional<std::int64_t> got;
  explored(exploration, [&](uv_loop_t* loop) {
    op.emplace(loop);
    together([&] { scope.run([&] { got = op->wait([&] { op->end(UV_ECANCELED); }); }); },
             [&] { op->end(7); },  //
             [&] { scope.cancel(); });
  });
  EXPECT_NE(got.has_value(), scope.cancelled_caught());
  EXPECT_EQ(got.value_or(7), 7);
  EXPECT_LE(op->stops, 1);
  EXPECT_FALSE(op->pending());
}

// What cannot be stopped is waited for, and its error is the task's in any case.
EXPLORE_TEST(UvAwaitExplored, AnErrorMeetsACancellation) {
  std::optional<ByHand> op;
  CancelScope scope;
  int error = 0;
  bool begun = false;
  explored(exploration, [&](uv_loop_t* loop) {
    op.emplace(loop);
    together(
        [&] {
          scope.run([&] {
            fibers::checkpoint_if_cancelled();
            begun = true;
            error = error_of_wait([&] { op->wait([] {}); });
          });
        },
        [&] { op->end(UV_EIO); },  //
        [&] { scope.cancel(); });
  });
  EXPECT_EQ(error, begun ? UV_EIO : 0);
  EXPECT_NE(begun, scope.cancelled_caught());
}

// ECANCELED is Cancelled in a task that is cancelled, and an error like any other elsewhere.
EXPLORE_TEST(UvAwaitExplored, LibuvCancelsItOnItsOwn) {
  std::optional<ByHand> op;
  CancelScope scope;
  int error = 0;
  explored(exploration, [&](uv_loop_t* loop) {
    op.emplace(loop);
    together([&] { scope.run([&] { error = error_of_wait([&] { op->wait([] {}); }); }); },
             [&] { op->end(UV_ECANCELED); },  //
             [&] { scope.cancel(); });
  });
  EXPECT_NE(error == UV_ECANCELED, scope.cancelled_caught());
}

// Two tasks, each with a request that the other ends, and one of them cancelled.
EXPLORE_TEST(UvAwaitExplored, TwoWaitsAtOnceEndEachOther) {
  std::optional<ByHand> first;
  std::optional<ByHand> second;
  std::int64_t sum = 0;
  explored(exploration, [&](uv_loop_t* loop) {
    first.emplace(loop);
    second.emplace(loop);
    together(
        [&] {
          first->end(1);
          sum += second->wait([] {});
        },
        [&] {
          second->end(2);
          sum += first->wait([] {});
        });
  });
  EXPECT_EQ(sum, 3);
}

// Neither is ever begun, and the end of the first is the cancellation of the other.
TEST(UvCancelExplored, TwoRequestsThatNoThreadHasBegun) {
  const FullPool pool;
  fibers::testing::explore_test([](fibers::testing::Exploration& exploration) {
    CancelScope first;
    CancelScope second;
    const auto work = [] { queue_work([] { ADD_FAILURE(); }); };
    explored(exploration, [&](uv_loop_t*) {
      together(
          [&] {
            first.run(work);
            second.cancel();
          },
          [&] { second.run(work); },  //
          [&] { first.cancel(); });
    });
    EXPECT_TRUE(first.cancelled_caught());
    EXPECT_TRUE(second.cancelled_caught());
  });
}

// A file that is never opened.
TEST(UvCancelExplored, ARequestThatLiesOnTheTasksStack) {
  const FullPool pool;
  fibers::testing::explore_test([](fibers::testing::Exploration& exploration) {
    CancelScope scope;
    bool cleaned = false;
    explored(exploration, [&](uv_loop_t*) {
      together(
          [&] {
            scope.run([&] {
              uv_fs_t request{};
              const absl::Cleanup clean = [&] {
                uv_fs_req_cleanup(&request);
                cleaned = true;
              };
              await(request, [](uv_fs_t* r, uv_fs_cb done) {
                return uv_fs_open(current_loop(), r, "/", O_RDONLY, 0, done);
              });
            });
          },
          [&] { scope.cancel(); }, [] { poke(); });
    });
    EXPECT_TRUE(scope.cancelled_caught());
    EXPECT_TRUE(cleaned);
  });
}

// The body of the block is cancelled while its tasks wait for libuv's threads.
TEST(UvCancelExplored, TheCancellationOfTheLoopsBlock) {
  const FullPool pool;
  fibers::testing::explore_test([](fibers::testing::Exploration& exploration) {
    CancelScope scope;
    int ended = 0;
    together(
        [&] {
          scope.run([&] {
            explored(exploration, [&](uv_loop_t*) {
              const auto look_up = [&] {
                const absl::Cleanup end = [&] { ++ended; };
                getaddrinfo("127.0.0.1", "");
              };
              ++ended;
              together(look_up, look_up);
            });
          });
        },
        [&] { scope.cancel(); });
    EXPECT_TRUE(scope.cancelled_caught());
    EXPECT_TRUE(ended == 0 || ended == 3);
  });
}

}  // namespace
}  // namespace weft::uv
