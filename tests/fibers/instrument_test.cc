// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/instrument.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/captured_log.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/fd_watch.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/mock_clock.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Record = std::vector<std::string>;

// What the hooks of a step tell, of the tasks of interest: those with one of these names.
class StepRecorder : public Instrument {
 public:
  explicit StepRecorder(std::vector<std::string> names) : names_(std::move(names)) {}
  void before_run() override { record.emplace_back("before_run"); }
  void after_run() override { record.emplace_back("after_run"); }
  void task_scheduled(Task& task) override { note("schedule", task); }
  void before_task_step(Task& task) override {
    EXPECT_EQ(&current_task(), &task);
    note("before", task);
  }
  void after_task_step(Task& task) override {
    EXPECT_EQ(&current_task(), &task);
    note("after", task);
  }

  Record record;

 private:
  void note(const char* what, const Task& task) {
    const std::string name(task.name());
    if (std::find(names_.begin(), names_.end(), name) == names_.end()) return;
    record.push_back(std::string(what) + ' ' + name);
  }
  std::vector<std::string> names_;
};

class LifeRecorder : public Instrument {
 public:
  void task_spawned(Task& task) override { record.push_back("+" + std::string(task.name())); }
  void task_exited(Task& task) override { record.push_back("-" + std::string(task.name())); }
  Record record;
};

class IoRecorder : public Instrument {
 public:
  void before_io_wait(Duration timeout) override { before.push_back(timeout); }
  void after_io_wait(Duration timeout) override { after.push_back(timeout); }
  std::vector<Duration> before;
  std::vector<Duration> after;
};

// trio: test_instrumentation.py::test_instruments
// trio: test_instrumentation.py::test_instrument_before_after_run
TEST(InstrumentTest, TellsEachStepInOrder) {
  const auto all = std::make_shared<StepRecorder>(std::vector<std::string>{"main"});
  const auto first = std::make_shared<StepRecorder>(std::vector<std::string>{"main"});
  const auto second = std::make_shared<StepRecorder>(std::vector<std::string>{"main"});
  run(
      [&] {
        for (int i = 0; i < 4; ++i) checkpoint();
        add_instrument(second);
        remove_instrument(*first);
        checkpoint();
      },
      {.instruments = {all, first}});
  Record expected{"before_run", "schedule main"};
  for (int i = 0; i < 5; ++i) {
    // A checkpoint makes the task ready again before its step has ended.
    expected.insert(expected.end(), {"before main", "schedule main", "after main"});
  }
  expected.insert(expected.end(), {"before main", "after main", "after_run"});
  EXPECT_THAT(all->record, ElementsAreArray(expected));
  Record both = first->record;
  both.insert(both.end(), second->record.begin(), second->record.end());
  EXPECT_THAT(both, ElementsAreArray(expected));
}

// trio: test_instrumentation.py::test_instruments_interleave
TEST(InstrumentTest, TellsOfInterleavedTasksInOrder) {
  const auto recorder = std::make_shared<StepRecorder>(std::vector<std::string>{"a", "b"});
  testing::MockClock clock;
  run(
      [] {
        open_nursery([](Nursery& nursery) {
          nursery.start_soon([] { checkpoint(); }, {.name = "a"});
          nursery.start_soon([] { checkpoint(); }, {.name = "b"});
        });
      },
      {.clock = &clock, .in_order = true, .instruments = {recorder}});
  EXPECT_THAT(recorder->record,
              ElementsAre("before_run", "schedule a", "schedule b", "before a", "schedule a",
                          "after a", "before b", "schedule b", "after b", "before a", "after a",
                          "before b", "after b", "after_run"));
}

// trio: test_instrumentation.py::test_instrument_task_spawn_exit
TEST(InstrumentTest, TellsOfBirthsAndDeaths) {
  const auto recorder = std::make_shared<LifeRecorder>();
  run([] { open_nursery([](Nursery& nursery) { nursery.start_soon([] {}, {.name = "child"}); }); },
      {.instruments = {recorder}});
  EXPECT_THAT(recorder->record,
              ElementsAre("+root", "+main", "+child", "-child", "-main", "-root"));
}

TEST(InstrumentTest, WakingATaskIsToldBeforeTheStepThatWokeItEnds) {
  const auto recorder = std::make_shared<StepRecorder>(std::vector<std::string>{"waker", "woken"});
  testing::MockClock clock;
  run(
      [] {
        Event event;
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] { event.wait(); }, {.name = "woken"});
          nursery.start_soon([&] { event.set(); }, {.name = "waker"});
        });
      },
      {.clock = &clock, .in_order = true, .instruments = {recorder}});
  EXPECT_THAT(recorder->record,
              ElementsAre("before_run", "schedule woken", "schedule waker", "before woken",
                          "after woken", "before waker", "schedule woken", "after waker",
                          "before woken", "after woken", "after_run"));
}

TEST(InstrumentTest, IoWaitsComeInPairsWithTheirTimeout) {
  const auto recorder = std::make_shared<IoRecorder>();
  testing::MockClock clock;
  clock.set_autojump_threshold(Duration::zero());
  run([] { sleep(1h); }, {.clock = &clock, .instruments = {recorder}});
  EXPECT_EQ(recorder->before, recorder->after);
  // Ready tasks leave no time to wait; a sleep under a clock that jumps neither.
  EXPECT_THAT(recorder->before, Contains(Duration::zero()));
}

// What is released around the wait, such as an interpreter's lock, is held again for the delivery.
TEST(InstrumentTest, TheWaitIsOverBeforeAnythingIsDelivered) {
  struct Waiting : Instrument {
    void before_io_wait(Duration) override { waiting = true; }
    void after_io_wait(Duration) override { waiting = false; }
    bool waiting = false;
  };
  const auto wait = std::make_shared<Waiting>();
  std::vector<bool> delivered_while_waiting;
  run(
      [&] {
        int ends[2];
        ASSERT_EQ(::pipe(ends), 0);
        struct Delivery {
          const Waiting& wait;
          std::vector<bool>& seen;
          FdWatch watch;
        } delivery{*wait, delivered_while_waiting, {}};
        delivery.watch.arm(
            ends[0], FdDirection::kRead,
            [](void* context) {
              auto& d = *static_cast<Delivery*>(context);
              d.seen.push_back(d.wait.waiting);
              d.watch.disarm();
            },
            &delivery);
        ASSERT_EQ(::write(ends[1], "x", 1), 1);
        while (delivered_while_waiting.empty()) sleep(1ms);
        ::close(ends[0]);
        ::close(ends[1]);
      },
      {.instruments = {wait}});
  EXPECT_THAT(delivered_while_waiting, ElementsAre(false));
}

// trio: test_instrumentation.py::test_null_instrument
TEST(InstrumentTest, HooksThatNobodyOverridesAreNotCalled) {
  EXPECT_EQ(InstrumentRef(std::make_shared<LifeRecorder>()).hooks(),
            detail::kTaskSpawned | detail::kTaskExited);
  EXPECT_EQ(InstrumentRef(std::make_shared<IoRecorder>()).hooks(),
            detail::kBeforeIoWait | detail::kAfterIoWait);
  struct Silent : Instrument {};
  EXPECT_EQ(InstrumentRef(std::make_shared<Silent>()).hooks(), 0);
  run([] { checkpoint(); }, {.instruments = {std::make_shared<Silent>()}});
}

// trio: test_abc.py::test_instrument_implements_hook_methods
TEST(InstrumentTest, EachHookMayBeOverridden) {
  struct All : Instrument {
    void before_run() override {}
    void after_run() override {}
    void task_spawned(Task&) override {}
    void task_scheduled(Task&) override {}
    void before_task_step(Task&) override {}
    void after_task_step(Task&) override {}
    void task_exited(Task&) override {}
    void before_io_wait(Duration) override {}
    void after_io_wait(Duration) override {}
  };
  EXPECT_EQ(InstrumentRef(std::make_shared<All>()).hooks(), (1U << 9U) - 1);
}

// trio: test_instrumentation.py::test_instruments_monkeypatch
// Overridden further down than in the type at hand: what a base pointer hides is called as well.
TEST(InstrumentTest, APointerToTheBaseCallsEveryHook) {
  const auto recorder = std::make_shared<LifeRecorder>();
  const std::shared_ptr<Instrument> base = recorder;
  run([] {}, {.instruments = {base}});
  EXPECT_THAT(recorder->record, ElementsAre("+root", "+main", "-main", "-root"));
  struct Derived : LifeRecorder {};
  EXPECT_EQ(InstrumentRef(std::make_shared<Derived>()).hooks(),
            detail::kTaskSpawned | detail::kTaskExited);
}

// trio: test_instrumentation.py::test_instruments_crash
TEST(InstrumentTest, OneThatThrowsIsReportedAndRemoved) {
  struct Broken : StepRecorder {
    Broken() : StepRecorder({"main"}) {}
    void task_scheduled(Task& task) override {
      StepRecorder::task_scheduled(task);
      throw std::runtime_error("the instrument is out of tune");
    }
  };
  const test::CapturedLog log;
  const auto broken = std::make_shared<Broken>();
  const auto sound = std::make_shared<StepRecorder>(std::vector<std::string>{"main"});
  const int result = run(
      [] {
        checkpoint();
        return 7;
      },
      {.instruments = {broken, sound}});
  EXPECT_EQ(result, 7);
  EXPECT_THAT(log.lines, ElementsAre(HasSubstr("out of tune")));
  // Not even the end of its run.
  EXPECT_THAT(broken->record, Not(Contains("after_run")));
  EXPECT_THAT(sound->record, Contains("after_run"));
}

TEST(InstrumentTest, OneThatWaitsIsReportedAndRemoved) {
  struct Waiting : Instrument {
    void before_task_step(Task&) override { checkpoint(); }
    void task_spawned(Task&) override { ++spawned; }
    int spawned = 0;
  };
  const test::CapturedLog log;
  const auto waiting = std::make_shared<Waiting>();
  run([] { open_nursery([](Nursery& nursery) { nursery.start_soon([] {}); }); },
      {.instruments = {waiting}});
  EXPECT_THAT(log.lines, ElementsAre(HasSubstr("a hook of an instrument")));
  EXPECT_EQ(waiting->spawned, 1);  // The root, which was there before.
}

// trio: test_instrumentation.py::test_instrument_call_trio_context
TEST(InstrumentTest, HooksKnowWhereTheyAre) {
  struct Context : Instrument {
    void before_run() override { note(); }
    void before_task_step(Task&) override { note(); }
    void before_io_wait(Duration) override { note(); }
    void after_run() override { note(); }
    void note() {
      runs += in_trio_run() ? 1 : 0;
      tasks += in_trio_task() ? 1 : 0;
      ++calls;
    }
    int calls = 0;
    int runs = 0;
    int tasks = 0;
  };
  testing::MockClock clock;
  const auto context = std::make_shared<Context>();
  run([] {}, {.clock = &clock, .instruments = {context}});
  EXPECT_EQ(context->runs, context->calls);
  EXPECT_GT(context->tasks, 0);               // Steps.
  EXPECT_LT(context->tasks, context->calls);  // Not the run's own doings.
}

TEST(InstrumentTest, AddedInTheMiddleItSeesTheEndOfTheStep) {
  const auto recorder = std::make_shared<StepRecorder>(std::vector<std::string>{"main"});
  run([&] {
    add_instrument(recorder);
    add_instrument(recorder);  // Once is enough.
    checkpoint();
    remove_instrument(*recorder);
    checkpoint();
  });
  EXPECT_THAT(recorder->record, ElementsAre("schedule main", "after main", "before main"));
}

TEST(InstrumentTest, MayRemoveItselfAndAddOthersWhileItIsCalled) {
  struct Relay : Instrument {
    explicit Relay(std::shared_ptr<LifeRecorder> next) : next_(std::move(next)) {}
    void task_spawned(Task& task) override {
      if (task.name() != "child") return;
      add_instrument(next_);
      remove_instrument(*this);
    }
    std::shared_ptr<LifeRecorder> next_;
  };
  const auto recorder = std::make_shared<LifeRecorder>();
  run(
      [] {
        open_nursery([](Nursery& nursery) {
          nursery.start_soon([] {}, {.name = "child"});
          nursery.start_soon([] {}, {.name = "other"});
        });
      },
      {.in_order = true, .instruments = {std::make_shared<Relay>(recorder)}});
  EXPECT_THAT(recorder->record, ElementsAre("+other", "-child", "-other", "-main", "-root"));
}

TEST(InstrumentTest, WrongCallsSaySo) {
  const auto recorder = std::make_shared<LifeRecorder>();
  EXPECT_THROW(add_instrument(recorder), UsageError);
  run([&] {
    EXPECT_THROW(remove_instrument(*recorder), UsageError);
    EXPECT_THROW(add_instrument(std::shared_ptr<LifeRecorder>()), UsageError);
  });
  EXPECT_THAT(recorder->record, IsEmpty());
}

// Many tasks, the order of a batch shuffled: every schedule has its step, every step its end.
TEST(InstrumentTest, NothingIsMissedInAnyOrder) {
  struct Counter : Instrument {
    void task_scheduled(Task&) override { ++scheduled; }
    void before_task_step(Task&) override { ++before; }
    void after_task_step(Task&) override { ++after; }
    int scheduled = 0;
    int before = 0;
    int after = 0;
  };
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto counter = std::make_shared<Counter>();
    run(
        [] {
          open_nursery([](Nursery& nursery) {
            for (int i = 0; i < 20; ++i) {
              nursery.start_soon([&nursery, i] {
                for (int k = 0; k < i; ++k) checkpoint();
                if (i == 13) nursery.cancel_scope().cancel();
                sleep_forever();
              });
            }
          });
        },
        {.schedule_seed = seed, .instruments = {counter}});
    EXPECT_EQ(counter->scheduled, counter->before);
    EXPECT_EQ(counter->before, counter->after);
    EXPECT_GT(counter->after, 100);
  }
}

}  // namespace
}  // namespace weft::fibers
