// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/task_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "tests/loop/task_group_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_01
// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_02
FIBER_TEST(TaskGroupTest, WaitsForItsTasks) {
  with_loop([](EventLoop& loop) {
    const auto start = loop.time();
    std::vector<Task<int>> tasks;
    in_both(
        loop,
        [&](TaskGroup& tg) -> Coro<void> {
          tasks.push_back(tg.create_task(after(2s, 1)));
          co_await sleep(1s);
          tasks.push_back(tg.create_task([] { return 2; }));
        },
        [&](TaskGroup& tg) {
          tasks.push_back(tg.create_task(after(2s, 3)));
          fibers::sleep(1s);
          tasks.push_back(tg.create_task([]() -> Coro<int> { co_return 4; }));
        },
        [](const std::exception_ptr& error) { EXPECT_EQ(error, nullptr); });
    EXPECT_EQ(loop.time() - start, 4s);
    ASSERT_EQ(tasks.size(), 4U);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(tasks[static_cast<std::size_t>(i)].result(), i + 1);
  });
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_cancel_children_on_child_error
// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_04
// asyncio: claims_task_group::an_error_cancels_siblings_and_body
FIBER_TEST(TaskGroupTest, AChildsErrorCancelsItsSiblingsAndTheBody) {
  Log log;
  with_loop([&](EventLoop& loop) {
    const auto sibling = [&log]() -> Coro<void> {
      try {
        co_await sleep(10s);
      } catch (const CancelledError&) {
        log.emplace_back("sibling");
        throw;
      }
    };
    const auto start = loop.time();
    in_both(
        loop,
        [&](TaskGroup& tg) -> Coro<void> {
          tg.create_task(fails_after(1s));
          tg.create_task(sibling());
          try {
            co_await sleep(10s);
          } catch (const CancelledError&) {
            log.emplace_back("body");
            throw;
          }
        },
        [&](TaskGroup& tg) {
          tg.create_task(fails_after(1s));
          tg.create_task(sibling());
          try {
            await(sleep(10s));
          } catch (const CancelledError&) {
            log.emplace_back("body");
            throw;
          }
        },
        [](const std::exception_ptr& error) {
          EXPECT_THAT(errors_of(error), ElementsAre("failed"));
        });
    EXPECT_EQ(loop.time() - start, 2s);
    EXPECT_EQ(log.size(), 4U);
  });
}

FIBER_TEST(TaskGroupTest, AChildsErrorEndsAWaitOfFibersInTheBody) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([&loop] {
      for (int i = 0; i < 2; ++i) {
        const auto start = loop.time();
        EXPECT_THAT(errors_of(error_of([] {
                      task_group([](TaskGroup& tg) {
                        tg.create_task(fails_after(1s));
                        fibers::sleep(10s);
                      });
                    })),
                    ElementsAre("failed"));
        EXPECT_EQ(loop.time() - start, 1s);
      }
      fibers::sleep(1s);
      EXPECT_EQ(current_task().cancelling(), 0U);
    });
    await(task);
  });
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_03
FIBER_TEST(TaskGroupTest, AChildThatEndsCancelledIsNoError) {
  with_loop([](EventLoop& loop) {
    in_both(
        loop,
        [](TaskGroup& tg) -> Coro<void> {
          auto cancelled = tg.create_task(sleep(10s));
          tg.create_task(sleep(1s));
          co_await sleep(0s);
          cancelled.cancel();
        },
        [](TaskGroup& tg) {
          auto cancelled = tg.create_task(sleep(10s));
          tg.create_task(sleep(1s));
          await(sleep(0s));
          cancelled.cancel();
        },
        [](const std::exception_ptr& error) { EXPECT_EQ(error, nullptr); });
  });
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_09
// asyncio: claims_task_group::several_errors_are_grouped
FIBER_TEST(TaskGroupTest, SeveralErrorsComeOutTogether) {
  with_loop([](EventLoop& loop) {
    const auto fails_when_cancelled = []() -> Coro<void> {
      bool cancelled = false;
      try {
        co_await sleep(10s);
      } catch (const CancelledError&) {
        cancelled = true;
      }
      if (cancelled) throw std::runtime_error("while leaving");
    };
    in_both(
        loop,
        [&](TaskGroup& tg) -> Coro<void> {
          tg.create_task(fails_after(1s));
          tg.create_task(fails_when_cancelled());
          co_return;
        },
        [&](TaskGroup& tg) {
          tg.create_task(fails_after(1s));
          tg.create_task(fails_when_cancelled());
        },
        [](const std::exception_ptr& error) {
          EXPECT_THAT(errors_of(error), ElementsAre("failed", "while leaving"));
        });
  });
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_10
// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_12
// asyncio: claims_task_group::an_error_in_the_body
FIBER_TEST(TaskGroupTest, AnErrorOfTheBodyCancelsTheTasksAndIsInAGroup) {
  with_loop([](EventLoop& loop) {
    Task<int> slow;
    in_both(
        loop,
        [&](TaskGroup& tg) -> Coro<void> {
          slow = tg.create_task(after(10s, 1));
          co_await sleep(0s);
          throw std::logic_error("body");
        },
        [&](TaskGroup& tg) {
          EXPECT_TRUE(slow.cancelled());
          slow = tg.create_task(after(10s, 1));
          throw std::logic_error("body");
        },
        [](const std::exception_ptr& error) {
          EXPECT_THAT(errors_of(error), ElementsAre("body"));
        });
    EXPECT_TRUE(slow.cancelled());
  });
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_25
// asyncio: claims_task_group::an_error_while_unwinding
// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_20a
FIBER_TEST(TaskGroupTest, AnErrorOfTheBodyWhileItIsBeingCancelledComesOutToo) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([] {
      task_group([](TaskGroup& tg) {
        tg.create_task(fails_after(1s, "child"));
        try {
          await(sleep(10s));
        } catch (const CancelledError&) {
          throw std::logic_error("body");
        }
      });
    });
    EXPECT_THAT(errors_of(error_of([&] { await(task); })), ElementsAre("child", "body"));
  });
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_cancellation
// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_07
FIBER_TEST(TaskGroupTest, CancellingTheTaskCancelsTheGroup) {
  for (const bool in_body : {true, false}) {
    with_loop([&](EventLoop& loop) {
      std::vector<Task<int>> tasks;
      auto coro = loop.create_task([&]() -> Coro<void> {
        co_await task_group([&](TaskGroup& tg) -> Coro<void> {
          tasks.push_back(tg.create_task(after(10s, 1)));
          if (in_body) co_await sleep(10s);
        });
      });
      auto stack = loop.create_task([&] {
        task_group([&](TaskGroup& tg) {
          tasks.push_back(tg.create_task(after(10s, 1)));
          if (in_body) await(sleep(10s));
        });
      });
      loop.synchronize();
      loop.synchronize();
      EXPECT_TRUE(coro.cancel());
      EXPECT_TRUE(stack.cancel());
      EXPECT_THROW(await(coro), CancelledError);
      EXPECT_THROW(await(stack), CancelledError);
      EXPECT_EQ(coro.cancelling(), 1U);
      for (const auto& task : tasks) EXPECT_TRUE(task.cancelled());
    });
  }
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_08
// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_23
// asyncio: claims_task_group::outer_cancel_and_a_childs_error
FIBER_TEST(TaskGroupTest, ErrorsWinOverACancellationAndTheTaskHearsOfThatNext) {
  Log log;
  with_loop([&](EventLoop& loop) {
    auto task = loop.create_task([&log] {
      const auto error = error_of([] {
        task_group([](TaskGroup& tg) {
          tg.create_task([] {
            try {
              await(sleep(10s));
            } catch (const CancelledError&) {
              throw std::runtime_error("while leaving");
            }
          });
          await(sleep(10s));
        });
      });
      EXPECT_THAT(errors_of(error), ElementsAre("while leaving"));
      EXPECT_EQ(current_task().cancelling(), 1U);
      try {
        await(sleep(10s));
      } catch (const CancelledError&) {
        log.emplace_back("hears of it");
        throw;
      }
    });
    loop.synchronize();
    loop.synchronize();
    task.cancel();
    EXPECT_THROW(await(task), CancelledError);
  });
  EXPECT_THAT(log, ElementsAre("hears of it"));
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_12
FIBER_TEST(TaskGroupTest, AnErrorOfTheBodyWinsOverACancellationOfTheWaitForTheTasks) {
  with_loop([](EventLoop& loop) {
    const auto is_group = [](const std::exception_ptr& error) {
      EXPECT_THAT(errors_of(error), ElementsAre("body"));
    };
    auto coro = loop.create_task([]() -> Coro<void> {
      co_await task_group([](TaskGroup& tg) -> Coro<void> {
        tg.create_task(after(10s, 1));
        co_await sleep(0s);
        // It has not been delivered yet when the body ends: the wait for the tasks hears of it.
        current_task().cancel();
        throw std::runtime_error("body");
      });
    });
    is_group(error_of([&] { await(coro); }));
    EXPECT_EQ(coro.cancelling(), 1U);
    auto stack = loop.create_task([] {
      task_group([](TaskGroup& tg) {
        tg.create_task(after(10s, 1));
        await(sleep(0s));
        current_task().cancel();
        throw std::runtime_error("body");
      });
    });
    is_group(error_of([&] { await(stack); }));
  });
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_24
FIBER_TEST(TaskGroupTest, ACancellationDoesNotCutTheWaitForTheTasksShort) {
  with_loop([](EventLoop& loop) {
    const auto start = loop.time();
    Task<void> stubborn;
    auto task = loop.create_task([&]() -> Coro<void> {
      co_await task_group([&](TaskGroup& tg) -> Coro<void> {
        stubborn = tg.create_task([] {
          try {
            await(sleep(10s));
          } catch (const CancelledError&) {
            await(sleep(2s));
          }
        });
        co_return;
      });
    });
    loop.synchronize();
    loop.synchronize();
    EXPECT_TRUE(task.cancel());
    fibers::sleep(1s);
    EXPECT_TRUE(task.cancel());  // Again: the task is waited for all the same.
    EXPECT_THROW(await(task), CancelledError);
    EXPECT_EQ(loop.time() - start, 2s);
    EXPECT_TRUE(stubborn.done());
  });
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_14
// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_16
// asyncio: claims_task_group::groups_nest
FIBER_TEST(TaskGroupTest, GroupsNest) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([]() -> Coro<void> {
      co_await task_group([](TaskGroup& outer) -> Coro<void> {
        outer.create_task(fails_after(1s, "outer"));
        co_await task_group([](TaskGroup& inner) -> Coro<void> {
          inner.create_task(sleep(10s));
          co_await sleep(20s);
        });
      });
    });
    EXPECT_THAT(errors_of(error_of([&] { await(task); })), ElementsAre("outer"));
    auto other = loop.create_task([] {
      task_group([](TaskGroup& outer) {
        outer.create_task(sleep(10s));
        task_group([](TaskGroup& inner) {
          inner.create_task(fails_after(1s, "inner"));
          await(sleep(20s));
        });
      });
    });
    const auto error = error_of([&] { await(other); });
    const auto* group = fibers::exception_cast<fibers::ExceptionGroup>(error);
    ASSERT_NE(group, nullptr);
    EXPECT_THAT(errors_of(group->exceptions().front()), ElementsAre("inner"));
  });
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_17
// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_18
// asyncio: claims_task_group::the_cancel_count_is_stable
FIBER_TEST(TaskGroupTest, TheTaskGoesOnAfterAGroupWhoseErrorItCatches) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([]() -> Coro<int> {
      bool failed = false;
      try {
        co_await task_group([](TaskGroup& tg) -> Coro<void> {
          tg.create_task(fails_after(1s));
          co_await sleep(10s);
        });
      } catch (const fibers::ExceptionGroup&) {
        failed = true;
      }
      EXPECT_TRUE(failed);
      EXPECT_EQ(current_task().cancelling(), 0U);
      co_await sleep(1s);
      co_return 7;
    });
    EXPECT_EQ(await(task), 7);
  });
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_20
// asyncio: claims_task_group::interrupts_have_priority
FIBER_TEST(TaskGroupTest, AKeyboardInterruptOfTheBodyComesOutAlone) {
  WEFT_NOT_ALLOCATION_SWEPT("nobody else ends its future");
  with_loop([](EventLoop& loop) {
    auto interrupted = loop.create_future<bool>();
    auto task = loop.create_task([interrupted]() mutable {
      try {
        task_group([](TaskGroup& tg) {
          tg.create_task([] {
            try {
              await(sleep(10s));
            } catch (const CancelledError&) {
              throw std::runtime_error("while leaving");
            }
          });
          await(sleep(1s));
          throw fibers::KeyboardInterrupt();
        });
      } catch (const fibers::KeyboardInterrupt&) {
        interrupted.set_result(true);
      }
    });
    EXPECT_TRUE(await(interrupted));
    await(task);
  });
}

}  // namespace
}  // namespace weft::loop
