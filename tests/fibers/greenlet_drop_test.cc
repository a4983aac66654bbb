// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Greenlets that nobody refers to any more, and those of other threads.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <any>
#include <array>
#include <atomic>
#include <future>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/fibers/greenlet_testing.h"
#include "tests/support/captured_log.h"
#include "weft/fibers/greenlet.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What a GreenletError says.
template <class F>
std::string refusal(F&& f) {
  try {
    f();
  } catch (const GreenletError& e) {
    return e.what();
  }
  return "none";
}

// greenlet: test_greenlet.py::test_dealloc
TEST(GreenletDropTest, WhoIsDroppedIsUnwound) {
  std::vector<std::string> seen;
  Greenlet g1([&] { wait_and_throw(seen); });
  Greenlet g2([&] { wait_and_throw(seen); });
  g1.switch_to();
  g2.switch_to();
  EXPECT_THAT(seen, IsEmpty());
  g1 = nullptr;
  EXPECT_THAT(seen, ElementsAre("GreenletExit"));
  {
    const Greenlet copy = g2;
    g2 = nullptr;
    EXPECT_EQ(seen.size(), 1U);
  }
  EXPECT_THAT(seen, ElementsAre("GreenletExit", "GreenletExit"));
}

// greenlet: test_greenlet.py::test_dealloc_catches_GreenletExit_throws_other
TEST(GreenletDropTest, WhatItThrowsInsteadIsLogged) {
  test::CapturedLog log;
  Greenlet g([] {
    try {
      to_parent();
    } catch (const GreenletExit&) {
      throw SomeError();
    }
  });
  g.switch_to();
  g = nullptr;
  ASSERT_EQ(log.lines.size(), 1U);
  EXPECT_THAT(log.lines[0], HasSubstr("SomeError"));
}

TEST(GreenletDropTest, WhoSwallowsTheExitAndSwitchesAwayIsGivenUp) {
  WEFT_LEAVES_OVER("the stack of a greenlet that is given up");
  test::CapturedLog log;
  int exits = 0;
  Greenlet g([&] {
    for (;;) {
      try {
        to_parent();
      } catch (const GreenletExit&) {
        ++exits;
      }
    }
  });
  g.switch_to();
  g = nullptr;
  EXPECT_EQ(exits, 1);
  ASSERT_EQ(log.lines.size(), 1U);
  EXPECT_THAT(log.lines[0], HasSubstr("swallowed its GreenletExit"));
}

// greenlet: test_greenlet.py::test_parent_restored_on_kill
TEST(GreenletDropTest, TheDropperIsTheParentWhileItDies) {
  const Greenlet main = getcurrent();
  Greenlet hub([] {});
  Greenlet parent_then = nullptr;
  Greenlet survivor = nullptr;
  Greenlet g(
      [&] {
        try {
          main.switch_to();
        } catch (const GreenletExit&) {
          parent_then = getcurrent().parent();
          survivor = getcurrent();
          hub.switch_to();
        }
      },
      hub);
  g.switch_to();
  g = nullptr;
  EXPECT_EQ(parent_then, main);
  ASSERT_NE(survivor, nullptr);
  EXPECT_EQ(survivor.parent(), hub);
  EXPECT_FALSE(survivor.dead());
}

// The last reference goes while it runs: it is unwound when it switches away, and what it has
// brought arrives all the same.
// greenlet: test_greenlet.py::test_dealloc_switch_args_not_lost
TEST(GreenletDropTest, WhatADroppedOneBringsIsNotLost) {
  std::vector<Greenlet> seen;
  Greenlet worker;
  Greenlet initiator;
  worker.set_run([&] {
    const std::any value = to_parent();
    initiator.set_parent(getcurrent().parent());
    worker = nullptr;
    struct Finally {
      ~Finally() { seen.push_back(getcurrent()); }
      std::vector<Greenlet>& seen;
    } finally{seen};
    to_parent(value);
  });
  worker.switch_to();
  initiator.set_run([] { return 42; });
  initiator.set_parent(worker);
  EXPECT_EQ(std::any_cast<int>(initiator.switch_to()), 42);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_TRUE(seen[0].dead());
}

// greenlet: test_weakref.py::test_dead_weakref
TEST(GreenletDropTest, ADeadOneHoldsNothing) {
  auto held = std::make_shared<int>();
  Greenlet g([held] {});
  EXPECT_EQ(held.use_count(), 2);
  g.switch_to();
  EXPECT_EQ(held.use_count(), 1);
  Greenlet never([held] {});
  never = nullptr;
  EXPECT_EQ(held.use_count(), 1);
}

// greenlet: test_leaks.py::test_arg_refs
TEST(GreenletDropTest, ValuesAreNotKept) {
  auto value = std::make_shared<int>();
  Greenlet g([](std::any v) {
    for (;;) v = to_parent(std::move(v));
  });
  for (int i = 0; i < 100; ++i) g.switch_to(value);
  EXPECT_EQ(value.use_count(), 1);
}

TEST(GreenletDropTest, StacksAreUsedAgain) {
  for (int i = 0; i < 3; ++i) Greenlet([] {}).switch_to();
  const StackStatistics before = stack_statistics();
  for (int i = 0; i < 1000; ++i) {
    Greenlet g([] { to_parent(); });
    g.switch_to();
  }
  const StackStatistics after = stack_statistics();
  EXPECT_EQ(after.in_use, before.in_use);
  EXPECT_EQ(after.pooled, before.pooled);
  EXPECT_EQ(after.bytes_reserved, before.bytes_reserved);
}

TEST(GreenletDropTest, TheStackMayBeLarger) {
  const auto deep = [](auto& self, int depth) -> int {
    volatile char room[4096] = {};
    return depth == 0 ? room[0] : self(self, depth - 1) + room[1];
  };
  Greenlet g([&] { return deep(deep, 500); }, {.stack_size = std::size_t{8} << 20});
  EXPECT_EQ(std::any_cast<int>(g.switch_to()), 0);
}

// A chain of parents, each of which holds the next.
TEST(GreenletDropTest, ADroppedOneTakesAlongWhatItsStackHolds) {
  std::vector<std::string> seen;
  Greenlet outer([&] {
    Greenlet inner([&] { wait_and_throw(seen); });
    inner.switch_to();
    wait_and_throw(seen);
  });
  outer.switch_to();
  outer = nullptr;
  EXPECT_THAT(seen, ElementsAre("GreenletExit", "GreenletExit"));
}

// greenlet: test_greenlet.py::test_threads
TEST(GreenletDropTest, EachThreadHasItsOwn) {
  std::atomic<int> done{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 10; ++i) {
    threads.emplace_back([&] {
      int steps = 0;
      Greenlet g([&] {
        ++steps;
        to_parent();
        ++steps;
      });
      g.switch_to();
      g.switch_to();
      if (steps == 2) ++done;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(done, 10);
}

// greenlet: test_greenlet.py::test_thread_bug
TEST(GreenletDropTest, GreenletsOfTwoThreadsRunAtTheSameTime) {
  std::latch both(2);
  const auto runner = [&] { Greenlet([&] { both.arrive_and_wait(); }).switch_to(); };
  std::thread t1(runner);
  std::thread t2(runner);
  t1.join();
  t2.join();
}

// Waits on a thread of its own, with a greenlet made there, until it is told to end.
class OtherThread {
 public:
  template <class F>
  explicit OtherThread(F make)
      : thread_([this, make] {
          greenlet_.set_value(make());
          go_.get_future().wait();
        }) {}
  OtherThread(const OtherThread&) = delete;
  OtherThread& operator=(const OtherThread&) = delete;
  ~OtherThread() { end(); }
  Greenlet greenlet() { return greenlet_.get_future().get(); }
  void end() {
    if (!thread_.joinable()) return;
    go_.set_value();
    thread_.join();
  }

 private:
  std::promise<Greenlet> greenlet_;
  std::promise<void> go_;
  std::thread thread_;
};

Greenlet suspended_one() {
  Greenlet g([] { to_parent(); });
  g.switch_to();
  return g;
}

// greenlet: test_greenlet.py::test_switch_to_another_thread
TEST(GreenletDropTest, OneOfAnotherThreadCannotBeSwitchedTo) {
  OtherThread other([] { return Greenlet([] {}); });
  const Greenlet g = other.greenlet();
  EXPECT_THAT(refusal([&] { g.switch_to(); }), HasSubstr("different thread"));
  EXPECT_FALSE(g.started());
}

// greenlet: test_greenlet.py::test_threaded_reparent
TEST(GreenletDropTest, OneOfAnotherThreadCannotBeAParent) {
  OtherThread other([] { return Greenlet([] {}); });
  const Greenlet theirs = other.greenlet();
  Greenlet g([] { to_parent(); });
  g.switch_to();
  EXPECT_THAT(refusal([&] { g.set_parent(theirs); }), HasSubstr("on a different thread"));
}

// greenlet: test_greenlet.py::test_unexpected_reparenting
// greenlet: test_greenlet.py::test_unexpected_reparenting_thread_running
TEST(GreenletDropTest, NorOneOfAThreadThatHasEnded) {
  OtherThread other(&suspended_one);
  const Greenlet theirs = other.greenlet();
  Greenlet g([] {});
  EXPECT_THAT(refusal([&] { g.set_parent(theirs); }), HasSubstr("on a different thread"));
  other.end();
  EXPECT_THAT(refusal([&] { g.set_parent(theirs); }), HasSubstr("on a different thread"));
  g.switch_to();
}

// greenlet: test_greenlet.py::test_throw_to_dead_thread_doesnt_crash
// greenlet: test_greenlet.py::test_throw_to_dead_thread_doesnt_crash_wait
TEST(GreenletDropTest, TheGreenletsOfAnEndedThreadCanBeAskedButNotUsed) {
  OtherThread other(&suspended_one);
  const Greenlet g = other.greenlet();
  other.end();
  EXPECT_EQ(refusal([&] { g.throw_into(SomeError()); }),
            "cannot switch to a different thread (which happens to have exited)");
  EXPECT_TRUE(g.dead());
  EXPECT_THAT(g.backtrace(), IsEmpty());
}

// greenlet: test_greenlet.py::test_main_from_other_thread
TEST(GreenletDropTest, AMainGreenletOutlivesItsThreadAsADeadOne) {
  const Greenlet main = getcurrent();
  std::string ours;
  OtherThread other([&] {
    ours = main.repr();
    EXPECT_THAT(getcurrent().repr(), EndsWith(" current active started main>"));
    return getcurrent();
  });
  const Greenlet theirs = other.greenlet();
  other.end();
  EXPECT_THAT(ours, EndsWith(" suspended active started main>"));
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(theirs.dead());
    EXPECT_THAT(theirs.repr(), EndsWith(" (thread exited) dead>"));
  }
}

// greenlet: test_leaks.py::test_threaded_leak
TEST(GreenletDropTest, NothingIsLeftOfAThread) {
  auto held = std::make_shared<int>();
  for (int i = 0; i < 2; ++i) {
    std::thread([&] {
      getcurrent();
      Greenlet g([held] { to_parent(); });
      g.switch_to();
    }).join();
  }
  EXPECT_EQ(held.use_count(), 1);
}

// greenlet: test_greenlet.py::test_dealloc_other_thread
TEST(GreenletDropTest, DroppedElsewhereItIsUnwoundByItsOwnThread) {
  std::vector<std::string> seen;
  std::thread::id unwound_by;
  std::promise<Greenlet> made;
  std::promise<void> dropped;
  std::thread t([&] {
    {
      Greenlet g([&] {
        try {
          wait_and_throw(seen);
        } catch (...) {
          unwound_by = std::this_thread::get_id();
          throw;
        }
      });
      g.switch_to();
      made.set_value(std::move(g));
    }
    dropped.get_future().wait();
    EXPECT_THAT(seen, IsEmpty());
    Greenlet trigger;
    EXPECT_THAT(seen, ElementsAre("GreenletExit"));
  });
  const std::thread::id owner = t.get_id();
  made.get_future().get() = nullptr;
  dropped.set_value();
  t.join();
  EXPECT_EQ(unwound_by, owner);
}

// greenlet: test_greenlet.py::test_threaded_updatecurrent
TEST(GreenletDropTest, WhatIsUnwoundLateMayUseGreenletsItself) {
  const Greenlet main = getcurrent();
  Greenlet during = nullptr;
  Greenlet g([&] {
    struct Finalized {
      ~Finalized() {
        during = getcurrent();
        Greenlet([] {}).switch_to();
      }
      Greenlet& during;
    } finalized{during};
    to_parent();
  });
  g.switch_to();
  std::thread([g = std::move(g)]() mutable { g = nullptr; }).join();
  EXPECT_EQ(during, nullptr);
  EXPECT_EQ(getcurrent(), main);
  EXPECT_NE(during, nullptr);
  EXPECT_NE(during, main);
}

// greenlet: test_greenlet.py::test_switching_many_threads
TEST(GreenletDropTest, ManyThreadsTryToSwitchToEachOthersGreenlets) {
  constexpr int kThreads = 8;
  std::array<Greenlet, kThreads> greenlets;
  std::latch made(kThreads);
  std::latch tried(kThreads);
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      greenlets[static_cast<std::size_t>(i)] = suspended_one();
      made.arrive_and_wait();
      for (std::size_t k = 0; k < kThreads; ++k) {
        if (k != static_cast<std::size_t>(i) &&
            refusal([&] { greenlets[k].switch_to(); }) != "none") {
          ++refused;
        }
      }
      tried.arrive_and_wait();
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(refused, kThreads * (kThreads - 1));
}

// The four questions about the end of a thread.

TEST(GreenletThreadEndTest, ASuspendedOneIsUnwoundAlsoWhenSomebodyStillRefersToIt) {
  std::vector<std::string> seen;
  Greenlet g = nullptr;
  std::thread([&] {
    g = Greenlet([&] { wait_and_throw(seen); });
    g.switch_to();
  }).join();
  EXPECT_THAT(seen, ElementsAre("GreenletExit"));
  EXPECT_TRUE(g.dead());
}

TEST(GreenletThreadEndTest, NestedOnesAreUnwound) {
  std::vector<std::string> seen;
  Greenlet outer = nullptr;
  Greenlet inner = nullptr;
  std::thread([&] {
    outer = Greenlet([&] {
      inner = Greenlet([&] { wait_and_throw(seen); });
      inner.switch_to();
      wait_and_throw(seen);
    });
    outer.switch_to();
  }).join();
  EXPECT_THAT(seen, ElementsAre("GreenletExit", "GreenletExit"));
}

TEST(GreenletThreadEndTest, DestructorsMaySwitchWhileTheThreadEnds) {
  int switched = 0;
  Greenlet g = nullptr;
  std::thread([&] {
    g = Greenlet([&] {
      struct AtEnd {
        ~AtEnd() {
          Greenlet([this] { ++count; }).switch_to();
        }
        int& count;
      } at_end{switched};
      to_parent();
    });
    g.switch_to();
  }).join();
  EXPECT_EQ(switched, 1);
}

// A thread-local that is older than the thread's first greenlet is destroyed after them.
struct LastWords {
  ~LastWords() {
    if (said != nullptr) *said = refusal([] { getcurrent(); });
  }
  std::string* said = nullptr;
};

TEST(GreenletThreadEndTest, AfterItsGreenletsAThreadCanHaveNone) {
  std::string said;
  std::thread([&] {
    static thread_local LastWords last;
    last.said = &said;
    getcurrent();
  }).join();
  EXPECT_THAT(said, HasSubstr("this thread is at its end"));
}

TEST(GreenletDropTest, OneThatNeverStartedIsDeadWhenItsThreadHasEnded) {
  std::optional<Greenlet> pending;
  bool dead_before = true;
  std::thread([&] {
    pending.emplace([] { ADD_FAILURE() << "it ran"; });
    dead_before = pending->dead();
  }).join();
  EXPECT_FALSE(dead_before);
  EXPECT_TRUE(pending->dead());
  EXPECT_FALSE(pending->started());
  EXPECT_FALSE(static_cast<bool>(*pending));
  EXPECT_THROW(pending->switch_to(), GreenletError);
}

}  // namespace
}  // namespace weft::fibers
