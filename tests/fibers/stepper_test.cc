// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Tasks that somebody else than the run steps: Stepper, step(), set_stepper() of lowlevel.h.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/instrument.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using testing::wait_all_tasks_blocked;

// Keeps the tasks it is told of until it is asked to step them.
struct QueueStepper : Stepper {
  QueueStepper() {
    ready.reserve(16);  // Being told needs no memory.
    task_ready = [](Stepper& self, Task& task) noexcept {
      static_cast<QueueStepper&>(self).ready.push_back(&task);
    };
  }
  Task& take() {
    Task& task = *ready.at(0);  // Throws if the task has failed instead of suspending.
    ready.erase(ready.begin());
    return task;
  }
  void step_all() {
    while (!ready.empty()) step(take());
  }
  std::vector<Task*> ready;
};

// Leaves the tasks of a nursery to the run at the end of its body, also if that is cut short.
class LetGo {
 public:
  explicit LetGo(Nursery& nursery) : nursery_(nursery) {}
  LetGo(const LetGo&) = delete;
  LetGo& operator=(const LetGo&) = delete;
  ~LetGo() {
    // A sweep lets one allocation fail.
    for (int attempt = 0; attempt < 2; ++attempt) {
      try {
        for (Task* task : nursery_.child_tasks()) set_stepper(*task, nullptr);
        return;
      } catch (const std::bad_alloc&) {
      }
    }
  }

 private:
  Nursery& nursery_;
};

template <class Body>
void with_nursery(Body body) {
  open_nursery([&body](Nursery& nursery) {
    const LetGo let_go(nursery);
    body(nursery);
  });
}

constexpr auto kAbort = [](const RaiseCancel&) { return Abort::kSucceeded; };

class Log {
 public:
  void operator()(std::string text) { lines.push_back(std::move(text)); }
  std::vector<std::string> lines;
};

FIBER_TEST(StepperTest, ATaskRunsAtOnceUntilItSuspends) {
  QueueStepper stepper;
  Log log;
  with_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [&log] {
          log("first");
          checkpoint();
          log("second");
        },
        {.stepper = &stepper});
    nursery.start_soon([&log] { log("another"); });
    ASSERT_EQ(stepper.ready.size(), 1U);
    Task& task = stepper.take();
    step(task);
    log("back");
    EXPECT_THAT(stepper.ready, ElementsAre(&task));  // Its checkpoint has made it ready again.
    step(stepper.take());
    log("end");
  });
  EXPECT_THAT(log.lines, ElementsAre("first", "back", "second", "end", "another"));
}

FIBER_TEST(StepperTest, TheRunDoesNotTouchATaskThatItsStepperLeavesAlone) {
  QueueStepper stepper;
  bool ran = false;
  with_nursery([&](Nursery& nursery) {
    nursery.start_soon([&ran] { ran = true; }, {.stepper = &stepper});
    for (int i = 0; i < 5; ++i) checkpoint();
    wait_all_tasks_blocked();
    EXPECT_FALSE(ran);
    stepper.step_all();
    EXPECT_TRUE(ran);
  });
}

FIBER_TEST(StepperTest, IsToldOnceOfAWaitThatEnds) {
  QueueStepper stepper;
  Event event;
  bool set = false;
  with_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [&] {
          event.wait();
          set = true;
        },
        {.stepper = &stepper});
    stepper.step_all();
    EXPECT_TRUE(stepper.ready.empty());
    event.set();
    EXPECT_EQ(stepper.ready.size(), 1U);
    EXPECT_FALSE(set);
    stepper.step_all();
    EXPECT_TRUE(set);
  });
}

FIBER_TEST(StepperTest, AStepEndsAWaitAsRescheduleDoes) {
  QueueStepper stepper;
  Task* task = nullptr;
  int waits = 0;
  with_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [&] {
          task = &current_task();
          for (; waits < 3; ++waits) wait_task_rescheduled(kAbort);
        },
        {.stepper = &stepper});
    stepper.step_all();
    EXPECT_EQ(task->state(), TaskState::kWaiting);
    step(*task);
    EXPECT_EQ(waits, 1);
    step(*task);
    EXPECT_EQ(waits, 2);
    step(*task);
  });
  EXPECT_EQ(waits, 3);
}

FIBER_TEST(StepperTest, ACancellationIsToldAndRaisedInTheNextStep) {
  QueueStepper stepper;
  Log log;
  with_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [&log] {
          try {
            sleep_forever();
          } catch (const Cancelled&) {
            log("cancelled");
            throw;
          }
        },
        {.stepper = &stepper});
    stepper.step_all();
    nursery.cancel_scope().cancel();
    EXPECT_EQ(stepper.ready.size(), 1U);
    log("told");
    stepper.step_all();
  });
  EXPECT_THAT(log.lines, ElementsAre("told", "cancelled"));
}

FIBER_TEST(StepperTest, ADeadlineInsideTheTaskTellsTheStepper) {
  QueueStepper stepper;
  bool timed_out = false;
  with_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [&timed_out] {
          timed_out = !move_on_after(seconds(1), [] { sleep_forever(); }).finished();
        },
        {.stepper = &stepper});
    stepper.step_all();
    sleep(seconds(2));
    EXPECT_EQ(stepper.ready.size(), 1U);
    EXPECT_FALSE(timed_out);
    stepper.step_all();
    EXPECT_TRUE(timed_out);
  });
}

FIBER_TEST(StepperTest, AStepMayStepAnotherTask) {
  QueueStepper stepper;
  Log log;
  with_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [&] {
          log("inner");
          checkpoint();
          log("inner again");
        },
        {.stepper = &stepper});
    Task& inner = stepper.take();
    nursery.start_soon(
        [&] {
          log("outer");
          step(inner);
          log("outer again");
          checkpoint();
          log("outer ends");
        },
        {.stepper = &stepper});
    stepper.step_all();
    log("all");
  });
  EXPECT_THAT(log.lines,
              ElementsAre("outer", "inner", "outer again", "inner again", "outer ends", "all"));
}

FIBER_TEST(StepperTest, WithoutAStepperTheRunTakesOverWhatIsReady) {
  WEFT_NOT_SHUFFLED("it is about turns in their order");
  QueueStepper stepper;
  Log log;
  with_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [&log] {
          log("one");
          checkpoint();
          log("two");
        },
        {.stepper = &stepper});
    Task& task = *stepper.ready.at(0);
    EXPECT_EQ(set_stepper(task, nullptr), &stepper);
    checkpoint();
    log("after");
  });
  EXPECT_THAT(log.lines, ElementsAre("one", "after", "two"));
}

FIBER_TEST(StepperTest, ANewStepperIsToldOfWhatTheOldOneHasNotStepped) {
  QueueStepper old_one;
  QueueStepper new_one;
  bool ran = false;
  with_nursery([&](Nursery& nursery) {
    nursery.start_soon([&ran] { ran = true; }, {.stepper = &old_one});
    Task& task = *old_one.ready.at(0);
    EXPECT_EQ(set_stepper(task, &new_one), &old_one);
    EXPECT_THAT(new_one.ready, ElementsAre(&task));
    new_one.step_all();
  });
  EXPECT_TRUE(ran);
}

FIBER_TEST(StepperTest, ChildrenOfASteppedTaskAreTheRuns) {
  QueueStepper stepper;
  bool child_ran = false;
  bool joined = false;
  with_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [&] {
          open_nursery([&](Nursery& inner) { inner.start_soon([&] { child_ran = true; }); });
          joined = true;
        },
        {.stepper = &stepper});
    stepper.step_all();
    wait_all_tasks_blocked();
    EXPECT_TRUE(child_ran);
    EXPECT_FALSE(joined);
    EXPECT_EQ(stepper.ready.size(), 1U);
    stepper.step_all();
    EXPECT_TRUE(joined);
  });
}

FIBER_TEST(StepperTest, AnErrorGoesToTheNurseryAndTheStepIsOver) {
  QueueStepper stepper;
  EXPECT_THROW(with_nursery([&](Nursery& nursery) {
                 nursery.start_soon([] { throw std::runtime_error("mine"); },
                                    {.stepper = &stepper});
                 stepper.step_all();
                 EXPECT_TRUE(nursery.cancel_scope().cancel_called());
               }),
               std::exception);
}

FIBER_TEST(StepperTest, RefusesTasksThatItCannotStep) {
  QueueStepper stepper;
  with_nursery([&](Nursery& nursery) {
    EXPECT_THROW(step(current_task()), UsageError);
    nursery.start_soon([] { sleep_forever(); });
    wait_all_tasks_blocked();
    EXPECT_THROW(step(*nursery.child_tasks().front()), UsageError);
    nursery.cancel_scope().cancel();
  });
  // One that runs, from within itself.
  with_nursery([&](Nursery& nursery) {
    nursery.start_soon([] { EXPECT_THROW(step(current_task()), UsageError); },
                       {.stepper = &stepper});
    stepper.step_all();
  });
}

// Around a step the turns of the run's other tasks are what they were.
FIBER_TEST(StepperTest, TasksOfTheRunGoOnHandingOverAfterwards) {
  WEFT_NOT_SHUFFLED("it is about turns in their order");
  QueueStepper stepper;
  Log log;
  with_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [&log] {
          for (int i = 0; i < 3; ++i) {
            log("stepped");
            checkpoint();
          }
        },
        {.stepper = &stepper});
    nursery.start_soon([&log] {
      for (int i = 0; i < 3; ++i) {
        log("free");
        checkpoint();
      }
    });
    for (int i = 0; i < 4; ++i) {
      if (!stepper.ready.empty()) step(stepper.take());
      checkpoint();
    }
  });
  EXPECT_THAT(log.lines, ElementsAre("stepped", "free", "stepped", "free", "stepped", "free"));
}

class StepNames : public Instrument {
 public:
  void task_scheduled(Task& task) override { note("ready ", task); }
  void before_task_step(Task& task) override { note("(", task); }
  void after_task_step(Task& task) override { note(")", task); }
  std::vector<std::string> record;

 private:
  void note(std::string what, Task& task) {
    EXPECT_TRUE(what == "ready " || &current_task() == &task);
    if (task.name() != "stepped" && task.name() != "main") return;
    record.push_back(what + std::string(task.name()));
  }
};

FIBER_TEST(StepperTest, InstrumentsAreToldOfEachStep) {
  QueueStepper stepper;
  const auto names = std::make_shared<StepNames>();
  open_nursery([&](Nursery& outer) {
    outer.start_soon(
        [&] {
          add_instrument(names);
          with_nursery([&](Nursery& nursery) {
            nursery.start_soon([] { checkpoint(); }, {.name = "stepped", .stepper = &stepper});
            stepper.step_all();
          });
          remove_instrument(*names);
        },
        {.name = "main"});
  });
  EXPECT_THAT(names->record, ElementsAre("ready stepped", ")main", "(stepped", "ready stepped",
                                         ")stepped", "(main", ")main", "(stepped", ")stepped",
                                         "(main", "ready main", ")main", "(main"));
}

FIBER_TEST(TaskWordTest, BelongsToEachTaskAlone) {
  int mine = 0;
  int other = 0;
  EXPECT_EQ(task_word(), nullptr);
  EXPECT_EQ(set_task_word(&mine), nullptr);
  with_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      EXPECT_EQ(task_word(), nullptr);
      set_task_word(&other);
      checkpoint();
      EXPECT_EQ(task_word(), &other);
    });
    checkpoint();
    EXPECT_EQ(task_word(), &mine);
  });
  EXPECT_EQ(set_task_word(nullptr), &mine);
}

TEST(TaskWordTest, IsNullOutsideTasks) {
  EXPECT_EQ(task_word(), nullptr);
  EXPECT_THROW(set_task_word(nullptr), UsageError);
  EXPECT_THROW(poll_at_next_suspension(), UsageError);
}

}  // namespace
}  // namespace weft::fibers
