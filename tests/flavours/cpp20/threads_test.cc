// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Other threads resume, stop and destroy what the run's tasks wait for.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <coroutine>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/foreign_awaitables.h"
#include "weft/cpp20/cpp20.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/open_loop.h"

namespace weft::cpp20 {
namespace {

using fibers::CancelScope;
using fibers::Nursery;
using fibers::open_nursery;
using test::Lazy;

// Every test of this file makes threads: a lack of memory there ends the process.
#define NO_LACK_OF_MEMORY WEFT_NOT_ALLOCATION_SWEPT("what its threads throw ends the process")

// Goes on in a thread of its own.
struct NewThread {
  std::vector<std::thread>& threads;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waits) const {
    threads.emplace_back([waits] { waits.resume(); });
  }
  void await_resume() const noexcept {}
};

struct Joined {
  std::vector<std::thread> threads;
  ~Joined() {
    for (std::thread& thread : threads) thread.join();
  }
};

Lazy<std::thread::id> id_of(std::vector<std::thread>& threads) {
  co_await NewThread{threads};
  co_return std::this_thread::get_id();
}

FIBER_TEST(Cpp20ThreadsTest, ACoroutineThatEndsInAnotherThread) {
  NO_LACK_OF_MEMORY;
  Joined joined;
  const auto here = std::this_thread::get_id();
  for (int i = 0; i < 20; ++i) {
    EXPECT_NE(awaitable_as_trio(id_of(joined.threads)), here);
    EXPECT_EQ(std::this_thread::get_id(), here);
  }
}

FIBER_TEST(Cpp20ThreadsTest, ItMayComeBackToTheRunByItself) {
  NO_LACK_OF_MEMORY;
  // The coroutine is resumed by the run's thread in the end: the awaiter is told there.
  Joined joined;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 10; ++i) {
      nursery.start_soon([&] { awaitable_as_trio(NewThread{joined.threads}); });
    }
  });
  EXPECT_EQ(joined.threads.size(), 10U);
}

// Takes a while, unless it is stopped.
struct UntilStopped {
  std::vector<std::thread>& threads;
  std::atomic<int>& ended;
  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> waits) {
    threads.emplace_back([waits, token = waits.promise().get_stop_token(), &n = ended] {
      while (!token.stop_requested()) std::this_thread::yield();
      ++n;
      waits.promise().unhandled_stopped().resume();
    });
  }
  void await_resume() const noexcept {}
};

FIBER_TEST(Cpp20ThreadsTest, TheStopReachesAThread) {
  NO_LACK_OF_MEMORY;
  Joined joined;
  std::atomic<int> ended = 0;
  for (int i = 0; i < 10; ++i) {
    CancelScope scope;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        fibers::checkpoint();
        scope.cancel();
      });
      scope.run([&] { awaitable_as_trio(UntilStopped{joined.threads, ended}); });
    });
    EXPECT_TRUE(scope.cancelled_caught());
  }
  EXPECT_GE(ended, 1);
}

FIBER_TEST(Cpp20ThreadsTest, CancellationAgainstTheEnd) {
  NO_LACK_OF_MEMORY;
  Joined joined;
  for (int i = 0; i < 50; ++i) {
    CancelScope scope;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        fibers::checkpoint();
        scope.cancel();
      });
      scope.run([&] { awaitable_as_trio(NewThread{joined.threads}); });
    });
  }
}

struct Owned : NewThread {
  Owned(std::vector<std::thread>& t, std::shared_ptr<int> h) : NewThread{t}, held(std::move(h)) {}
  std::shared_ptr<int> held;
};

FIBER_TEST(Cpp20ThreadsTest, AbandonedAgainstTheEnd) {
  NO_LACK_OF_MEMORY;
  const auto held = std::make_shared<int>(0);
  {
    Joined joined;
    for (int i = 0; i < 50; ++i) {
      CancelScope scope;
      open_nursery([&](Nursery& nursery) {
        nursery.start_soon([&] {
          fibers::checkpoint();
          scope.cancel();
        });
        scope.run(
            [&] { awaitable_as_trio(Owned(joined.threads, held), {.abandon_on_cancel = true}); });
      });
    }
  }
  EXPECT_EQ(held.use_count(), 1);
}

struct Destroys {
  std::vector<std::thread>& threads;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waits) const {
    threads.emplace_back([waits] { waits.destroy(); });
  }
  void await_resume() const noexcept {}
};

FIBER_TEST(Cpp20ThreadsTest, AThreadDestroysInsteadOfResuming) {
  NO_LACK_OF_MEMORY;
  Joined joined;
  for (int i = 0; i < 20; ++i) {
    EXPECT_THROW(awaitable_as_trio(Destroys{joined.threads}), fibers::BrokenResourceError);
  }
}

// A coroutine with a stop_token, which another thread stops.
struct Tokened {
  struct promise_type {  // NOLINT(readability-identifier-naming): the language's name.
    std::stop_token token;
    explicit promise_type(const std::stop_token& t, int& /*ends*/) : token(t) {}
    Tokened get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void unhandled_exception() const { throw; }
    void return_void() const noexcept {}
    std::stop_token get_stop_token() const { return token; }
  };
};

Tokened sleeps(std::stop_token /*token*/, int& ends) {
  try {
    co_await trio_as_awaitable([] { fibers::sleep(std::chrono::seconds(1)); });
  } catch (const loop::CancelledError&) {
  }
  ++ends;
}

FIBER_TEST(Cpp20ThreadsTest, AStopTokenStoppedByAThreadAgainstTheEnd) {
  NO_LACK_OF_MEMORY;
  int ends = 0;
  for (int i = 0; i < 50; ++i) {
    std::stop_source source;
    sleeps(source.get_token(), ends);
    const std::jthread other([&] { source.request_stop(); });
    fibers::sleep(std::chrono::seconds(2));
  }
  EXPECT_EQ(ends, 50);
}

}  // namespace
}  // namespace weft::cpp20
