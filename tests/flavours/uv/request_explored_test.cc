// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A task that waits for a request of libuv's, in every schedule there is: the request's end against
// its cancellation, uv_cancel, and the end of its loop.

#include "weft/uv/request.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <latch>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "tests/flavours/uv/uv_explored.h"
#include "weft/fibers/lowlevel.h"

namespace weft::uv {
namespace {

using fibers::CancelScope;

// A request whose callback comes in a turn of libuv's after the test has said so. The first that
// is said counts.
class ByHand {
 public:
  explicit ByHand(uv_loop_t* loop) {
    check(uv_async_init(loop, &async_,
                        [](uv_async_t* async) { static_cast<ByHand*>(async->data)->call(); }),
          "uv_async_init");
    async_.data = this;
  }
  ByHand(const ByHand&) = delete;
  ByHand& operator=(const ByHand&) = delete;
  // Its handle is closed with the loop, which is to end first.
  ~ByHand() = default;

  int start(uv_work_t* request, uv_after_work_cb done) {
    request_ = request;
    done_ = done;
    if (result_.has_value()) uv_async_send(&async_);
    return 0;
  }
  void end(int result) {
    if (!result_.has_value()) result_ = result;
    uv_async_send(&async_);
  }
  bool pending() const { return request_ != nullptr; }

  // Waits for it, and says in `stops` how often it had to be stopped.
  template <class Stop>
  std::int64_t wait(Stop stop) {
    uv_work_t request{};
    return await(
        request, [this](uv_work_t* r, uv_after_work_cb done) { return start(r, done); },
        [&] {
          ++stops;
          stop();
        });
  }
  int stops = 0;

 private:
  void call() {
    if (uv_work_t* const request = std::exchange(request_, nullptr)) done_(request, *result_);
  }

  uv_async_t async_{};
  uv_work_t* request_ = nullptr;
  uv_after_work_cb done_ = nullptr;
  std::optional<int> result_;
};

// All of libuv's threads are at work until this is destroyed: what is queued meanwhile waits.
class FullPool {
 public:
  FullPool() {
    EXPECT_EQ(uv_loop_init(&loop_), 0);
    for (uv_work_t& request : requests_) {
      request.data = this;
      uv_queue_work(
          &loop_, &request, [](uv_work_t* r) { static_cast<FullPool*>(r->data)->occupy(); },
          [](uv_work_t*, int) {});
    }
    begun_.wait();
  }
  FullPool(const FullPool&) = delete;
  FullPool& operator=(const FullPool&) = delete;
  ~FullPool() {
    end_.count_down();
    uv_run(&loop_, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&loop_), 0);
  }

 private:
  static constexpr std::size_t kThreads = 4;  // Libuv's own choice.
  void occupy() {
    begun_.count_down();
    end_.wait();
  }

  uv_loop_t loop_{};
  std::array<uv_work_t, kThreads> requests_{};
  std::latch begun_{kThreads};
  std::latch end_{1};
};

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
