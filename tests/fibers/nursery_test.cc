// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Nursery::start: task_status_test.cc.

#include "weft/fibers/nursery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;
using testing::wait_all_tasks_blocked;

// trio: test_run.py::test_Nursery_subclass
// trio: test_util.py::test_final_decorator
static_assert(std::is_final_v<Nursery>);

// trio: test_util.py::test_no_public_constructor_metaclass
static_assert(!std::is_default_constructible_v<Nursery>);
static_assert(!std::is_default_constructible_v<Task> && !std::is_destructible_v<Task>);
static_assert(!std::is_default_constructible_v<RaiseCancel>);

// The texts of the errors in a group, inner groups in brackets.
std::vector<std::string> texts(const BaseExceptionGroup& group) {
  std::vector<std::string> out;
  for (const auto& error : group.exceptions()) {
    try {
      std::rethrow_exception(error);
    } catch (const BaseExceptionGroup& inner) {
      std::string text = "[";
      for (const auto& t : texts(inner)) text += t;
      out.push_back(text + "]");
    } catch (const Cancelled&) {
      out.emplace_back("Cancelled");
    } catch (const std::exception& e) {
      out.emplace_back(e.what());
    }
  }
  return out;
}
// The same for the group that `fn` throws.
template <class F>
std::vector<std::string> errors_of(F&& fn) {
  try {
    fn();
  } catch (const BaseExceptionGroup& group) {
    return texts(group);
  } catch (...) {
    ADD_FAILURE() << "not a group: " << describe_exception(std::current_exception());
    return {};
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

FIBER_TEST(NurseryTest, WaitsForEveryTask) {
  std::vector<int> done;
  open_nursery([&](Nursery& nursery) {
    for (const int i : {3, 1, 2}) {
      nursery.start_soon([&done, i] {
        sleep(seconds(i));
        done.push_back(i);
      });
    }
    EXPECT_TRUE(done.empty());
  });
  EXPECT_THAT(done, ElementsAre(1, 2, 3));
}

FIBER_TEST(NurseryTest, ReturnsWhatTheBodyReturns) {
  EXPECT_EQ(open_nursery([](Nursery&) { return 5; }), 5);
  const auto pointer = open_nursery([](Nursery& nursery) {
    nursery.start_soon([] { sleep(seconds(1)); });
    return std::make_unique<std::string>("moved");
  });
  EXPECT_EQ(*pointer, "moved");
}

FIBER_TEST(NurseryTest, ABodyWithAResultThatIsCutShortIsTheCallersMistake) {
  EXPECT_THROW(open_nursery([](Nursery& nursery) -> int {
                 nursery.cancel_scope().cancel();
                 checkpoint();
                 return 5;
               }),
               UsageError);
}

// trio: test_run.py::test_nursery_main_block_error_basic
// trio: test_run.py::test_nursery_explicit_exception
FIBER_TEST(NurseryTest, AnErrorOfTheBodyComesInAGroup) {
  EXPECT_THAT(errors_of([] { open_nursery([](Nursery&) { throw std::runtime_error("body"); }); }),
              ElementsAre("body"));
}

// trio: test_run.py::test_child_crash_basic
// trio: test_run.py::test_setting_strict_exception_groups
FIBER_TEST(NurseryTest, AnErrorOfATaskComesInAGroup) {
  EXPECT_THAT(errors_of([] {
                open_nursery([](Nursery& nursery) {
                  nursery.start_soon([] { throw std::runtime_error("task"); });
                });
              }),
              ElementsAre("task"));
}

// trio: test_run.py::test_main_and_task_both_crash
// trio: test_run.py::test_two_child_crashes
FIBER_TEST(NurseryTest, EveryErrorArrivesInTheOrderInWhichTheyHappened) {
  const auto fail_after_a_while = [](int s, const char* text) {
    CancelScope shield({.shield = true});
    shield.run([s] { sleep(seconds(s)); });
    throw std::runtime_error(text);
  };
  const auto fail_all = [&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { fail_after_a_while(3, "third"); });
      nursery.start_soon([&] { fail_after_a_while(1, "first"); });
      fail_after_a_while(2, "second");
    });
  };
  EXPECT_THAT(errors_of(fail_all), ElementsAre("first", "second", "third"));
}

// trio: test_run.py::test_child_crash_wakes_parent
FIBER_TEST(NurseryTest, AFailingTaskCancelsTheBodyAndItsSiblings) {
  int cancelled = 0;
  const auto wait_to_be_cancelled = [&cancelled] {
    try {
      sleep_forever();
    } catch (const Cancelled&) {
      ++cancelled;
      throw;
    }
  };
  const auto fail = [&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon(wait_to_be_cancelled);
      nursery.start_soon([] {
        sleep(seconds(1));
        throw std::runtime_error("x");
      });
      wait_to_be_cancelled();
    });
  };
  EXPECT_THAT(errors_of(fail), ElementsAre("x"));
  EXPECT_EQ(cancelled, 2);
}

FIBER_TEST(NurseryTest, GroupsNestAsTheNurseriesDo) {
  const auto fail = [] {
    open_nursery([](Nursery& outer) {
      outer.start_soon([] {
        open_nursery(
            [](Nursery& inner) { inner.start_soon([] { throw std::runtime_error("deep"); }); });
      });
      wait_all_tasks_blocked();
    });
  };
  EXPECT_THAT(errors_of(fail), ElementsAre("[deep]"));
}

// trio: test_run.py::test_nursery_collapse
FIBER_TEST(NurseryTest, AGroupKeepsItsShapeWhenCancelledIsTakenOutOfIt) {
  const auto fail = [] {
    open_nursery([](Nursery& outer) {
      outer.start_soon([] { sleep_forever(); });
      outer.start_soon([] { throw std::runtime_error("x"); });
      open_nursery([&](Nursery& inner) {
        inner.start_soon([] { sleep_forever(); });
        inner.start_soon([] { throw std::runtime_error("y"); });
        outer.cancel_scope().cancel();
      });
    });
  };
  EXPECT_THAT(errors_of(fail), UnorderedElementsAre("x", "[y]"));
}

FIBER_TEST(NurseryTest, NothingButAnOuterScopesCancelledIsOneBareCancelled) {
  CancelScope scope;
  bool looked = false;
  scope.run([&] {
    try {
      open_nursery([&](Nursery& nursery) {
        nursery.start_soon([] { sleep_forever(); });
        nursery.start_soon([] { open_nursery([](Nursery&) { sleep_forever(); }); });
        wait_all_tasks_blocked();
        scope.cancel();
        checkpoint();
      });
    } catch (const Cancelled&) {
      looked = true;
      throw;
    }
  });
  EXPECT_TRUE(looked);
  EXPECT_TRUE(scope.cancelled_caught());
}

FIBER_TEST(NurseryTest, AnythingThrowableArrives) {
  try {
    open_nursery([](Nursery& nursery) { nursery.start_soon([] { throw 42; }); });
    ADD_FAILURE() << "the error was lost";
  } catch (const BaseExceptionGroup& group) {
    ASSERT_EQ(group.exceptions().size(), 1U);
    EXPECT_TRUE(holds<int>(group.exceptions()[0]));
  }
}

FIBER_TEST(NurseryTest, CancellingItsScopeEndsItQuietly) {
  int cancelled = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 100; ++i) {
      nursery.start_soon([&cancelled] {
        try {
          sleep_forever();
        } catch (const Cancelled&) {
          ++cancelled;
          throw;
        }
      });
    }
    wait_all_tasks_blocked();
    nursery.cancel_scope().cancel();
  });
  EXPECT_EQ(cancelled, 100);
}

// trio: test_run.py::test_trivial_yields
// The exit is a schedule point and no cancel point.
FIBER_TEST(NurseryTest, TheExitIsASchedulePoint) {
  WEFT_NOT_SHUFFLED("the other one has to be the next");
  const CheckpointCounts before = checkpoint_counts();
  bool ran = false;
  open_nursery([&](Nursery& outer) {
    outer.start_soon([&ran] { ran = true; });
    open_nursery([](Nursery&) {});
    EXPECT_TRUE(ran);
  });
  EXPECT_GE(checkpoint_counts().schedule_points, before.schedule_points + 2);
}

// trio: test_run.py::test_trivial_yields
FIBER_TEST(NurseryTest, TheExitOfAnEmptyOneIsNoCancelPoint) {
  CancelScope scope;
  EXPECT_TRUE(scope.run([&] {
    scope.cancel();
    open_nursery([](Nursery&) {});
  }));
  EXPECT_FALSE(scope.cancelled_caught());
}

// Trio: Nursery._nested_child_finished: a Cancelled that ends the wait for the children is not
// stored.
FIBER_TEST(NurseryTest, TheExitIsNoCancelPointWhenItsTasksFinishAllTheSame) {
  bool finished = false;
  CancelScope scope;
  EXPECT_TRUE(scope.run([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&finished] {
        CancelScope shield({.shield = true});
        shield.run([] { sleep(seconds(1)); });
        finished = true;
      });
      wait_all_tasks_blocked();
      scope.cancel();
    });
    EXPECT_TRUE(finished);
  }));
  EXPECT_TRUE(finished);
  EXPECT_FALSE(scope.cancelled_caught());
}

// trio: test_run.py::test_nursery_closure
FIBER_TEST(NurseryTest, RefusesTasksOnceItHasEnded) {
  const auto late = [] { ADD_FAILURE() << "a task ran in a closed nursery"; };
  // As open_nursery does it, but with the object still alive afterwards.
  Nursery nursery(std::source_location::current());
  nursery.close();
  EXPECT_THROW(nursery.start_soon(late), UsageError);
  EXPECT_THROW(nursery.start([&](TaskStatus<void>&) { late(); }), UsageError);
}

FIBER_TEST(NurseryTest, TasksMayStartTasksWhileTheNurseryCloses) {
  int depth = 0;
  std::function<void(Nursery&)> go_on = [&](Nursery& nursery) {
    checkpoint();
    if (++depth < 50) nursery.start_soon([&] { go_on(nursery); });
  };
  open_nursery([&](Nursery& nursery) { nursery.start_soon([&] { go_on(nursery); }); });
  EXPECT_EQ(depth, 50);
}

TEST(NurseryTest, StartingFromAnotherThreadIsRefused) {
  testing::run_fiber_test([] {
    open_nursery([](Nursery& nursery) {
      std::thread([&] {
        EXPECT_THROW(nursery.start_soon([] {}), UsageError);
        run([&] {
          EXPECT_THROW(nursery.start_soon([] {}), UsageError);
          EXPECT_THROW(nursery.start([](TaskStatus<void>& status) { status.started(); }),
                       UsageError);
        });
      }).join();
      EXPECT_TRUE(nursery.child_tasks().empty());
    });
  });
}

FIBER_TEST(NurseryTest, ClosuresAreDestroyedBeforeItReturns) {
  const auto counted = std::make_shared<int>(0);
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([copy = counted] { checkpoint(); });
    }
    nursery.start_soon([copy = counted] { sleep_forever(); });
    wait_all_tasks_blocked();
    EXPECT_EQ(counted.use_count(), 2);
    nursery.cancel_scope().cancel();
  });
  EXPECT_EQ(counted.use_count(), 1);
}

FIBER_TEST(NurseryTest, AClosureThatCannotBeCopiedIntoPlaceLeavesNoTask) {
  struct Explosive {
    Explosive() = default;
    Explosive(const Explosive&) { throw std::runtime_error("no copy"); }
    void operator()() const {}
  };
  const Explosive explosive;
  open_nursery([&](Nursery& nursery) {
    EXPECT_THROW(nursery.start_soon(explosive), std::runtime_error);
    EXPECT_TRUE(nursery.child_tasks().empty());
  });
}

FIBER_TEST(NurseryTest, ClosuresMayBeLargeAndStronglyAligned) {
  struct alignas(256) Aligned {
    std::array<char, 1024> bytes{};
  };
  std::array<int, 4096> large{};
  large.back() = 7;
  int sum = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([large, &sum] { sum += large.back(); });
    nursery.start_soon([aligned = Aligned(), &sum] {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&aligned) % 256, 0U);
      ++sum;
    });
    const std::array<int, 4096> too_large{};
    EXPECT_THROW(nursery.start_soon([too_large] { static_cast<void>(too_large[0]); },
                                    {.stack_size = 16 * 1024}),
                 UsageError);
  });
  EXPECT_EQ(sum, 8);
}

FIBER_TEST(NurseryTest, ShowsItsTasks) {
  std::vector<Task*> seen(2);
  open_nursery([&seen](Nursery& nursery) {
    EXPECT_EQ(&nursery.parent_task(), &current_task());
    EXPECT_TRUE(nursery.child_tasks().empty());
    nursery.start_soon([&] {
      seen[0] = &current_task();
      EXPECT_EQ(current_task().parent_nursery(), &nursery);
      sleep(seconds(1));
    });
    nursery.start_soon([&] {
      seen[1] = &current_task();
      sleep(seconds(2));
    });
    EXPECT_EQ(nursery.child_tasks().size(), 2U);
    wait_all_tasks_blocked();
    EXPECT_THAT(nursery.child_tasks(), UnorderedElementsAre(seen[0], seen[1]));
    sleep(std::chrono::milliseconds(1500));
    EXPECT_THAT(nursery.child_tasks(), ElementsAre(seen[1]));
  });
}

FIBER_TEST(NurseryTest, ThousandsOfTasksMayFailTogether) {
  WEFT_NOT_SHUFFLED("so many choices take long");
  constexpr std::size_t kTasks = 2000;
  try {
    open_nursery([](Nursery& nursery) {
      for (std::size_t i = 0; i < kTasks; ++i) {
        nursery.start_soon([] { throw std::runtime_error("x"); }, {.stack_size = 64 * 1024});
      }
    });
    ADD_FAILURE() << "the errors were lost";
  } catch (const ExceptionGroup& group) {
    EXPECT_EQ(group.exceptions().size(), kTasks);
  }
}

}  // namespace
}  // namespace weft::fibers
