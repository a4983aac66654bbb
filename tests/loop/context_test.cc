// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Which context variables a callback sees.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/wait.h"

namespace weft::loop {
namespace {

using fibers::ContextVar;
using ::testing::ElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

ContextVar<std::string> g_name("context_test");

FIBER_TEST(CallbackContextTest, ACallbackSeesWhatItsSchedulerSaw) {
  g_name.set("outside");
  std::vector<std::string> seen;
  with_loop([&](EventLoop& loop) {
    g_name.set("one");
    loop.call_soon([&seen] { seen.push_back(g_name.get_or("none")); });
    g_name.set("two");
    loop.call_soon([&seen] { seen.push_back(g_name.get_or("none")); });
    loop.call_later(1s, [&seen] { seen.push_back(g_name.get_or("none")); });
    g_name.set("three");
    fibers::sleep(2s);
  });
  EXPECT_THAT(seen, ElementsAre("one", "two", "two"));
}

FIBER_TEST(CallbackContextTest, WhatACallbackSetsIsNotTheNextOnes) {
  g_name.set("outside");
  std::vector<std::string> seen;
  with_loop([&](EventLoop& loop) {
    loop.call_soon([] { g_name.set("inside"); });
    loop.call_soon([&seen] { seen.push_back(g_name.get_or("none")); });
    loop.synchronize();
    EXPECT_EQ(g_name.get_or("none"), "outside");
  });
  EXPECT_THAT(seen, ElementsAre("outside"));
}

// With and without variables of their own.
FIBER_TEST(CallbackContextTest, WhatACallablesEndSetsIsNotTheNextOnes) {
  ContextVar<int> fresh("fresh");
  struct SetsAtTheEnd {
    explicit SetsAtTheEnd(ContextVar<int>* v) : variable(v) {}
    SetsAtTheEnd(SetsAtTheEnd&& other) noexcept
        : variable(std::exchange(other.variable, nullptr)) {}
    SetsAtTheEnd& operator=(SetsAtTheEnd&&) = delete;
    ~SetsAtTheEnd() {
      try {
        if (variable != nullptr) variable->set(1);
      } catch (const std::bad_alloc&) {  // A fault sweep: a destructor cannot let it out.
      }
    }
    void operator()() const {}
    ContextVar<int>* variable;
  };
  std::vector<int> seen;
  with_loop([&](EventLoop& loop) {
    const auto both = [&] {
      loop.call_soon(SetsAtTheEnd(&fresh));
      loop.call_soon([&] { seen.push_back(fresh.get_or(0)); });
      loop.synchronize();
    };
    both();
    g_name.set("outside");
    both();
    both();
  });
  EXPECT_THAT(seen, ElementsAre(0, 0, 0));
}

// Where nothing was set before, too.
FIBER_TEST(CallbackContextTest, TheFirstVariableThatIsSetStaysWithItsCallback) {
  ContextVar<int> fresh("fresh");
  std::vector<int> seen;
  const Pipe pipe;
  with_loop([&](EventLoop& loop) {
    loop.add_reader(pipe.reader(), [&] {
      pipe.take();
      seen.push_back(fresh.get_or(0));
      fresh.set(fresh.get_or(0) + 1);
    });
    for (int i = 0; i < 3; ++i) {
      pipe.put();
      fibers::sleep(1s);
      loop.call_soon([&] { seen.push_back(fresh.get_or(0)); });
      loop.synchronize();
    }
    loop.remove_reader(pipe.reader());
    EXPECT_EQ(fresh.get_or(0), 0);
  });
  EXPECT_THAT(seen, ElementsAre(0, 0, 1, 0, 2, 0));
}

FIBER_TEST(CallbackContextTest, WhatItSchedulesInheritsWhatItHasSet) {
  g_name.set("outside");
  std::vector<std::string> seen;
  with_loop([&](EventLoop& loop) {
    loop.call_soon([&] {
      g_name.set("inside");
      loop.call_soon([&seen] { seen.push_back(g_name.get_or("none")); });
    });
    loop.synchronize();
    loop.synchronize();
  });
  EXPECT_THAT(seen, ElementsAre("inside"));
}

// asyncio: claims_futures::callbacks_have_the_context_they_were_added_in
FIBER_TEST(CallbackContextTest, AFuturesCallbackSeesWhatTheCallerOfAddDoneCallbackSaw) {
  g_name.set("outside");
  std::vector<std::string> seen;
  with_loop([&](EventLoop& loop) {
    auto future = loop.create_future<void>();
    g_name.set("adder");
    future.add_done_callback([&seen] { seen.push_back(g_name.get_or("none")); });
    g_name.set("setter");
    future.set_result();
    loop.synchronize();
  });
  EXPECT_THAT(seen, ElementsAre("adder"));
}

// Python: Handle._run calls in the handle's own context, each time.
FIBER_TEST(CallbackContextTest, AReaderKeepsWhatItSets) {
  g_name.set("outside");
  std::vector<std::string> seen;
  const Pipe pipe;
  with_loop([&](EventLoop& loop) {
    loop.add_reader(pipe.reader(), [&] {
      pipe.take();
      seen.push_back(g_name.get_or("none"));
      g_name.set("set by the reader");
    });
    for (int i = 0; i < 2; ++i) {
      pipe.put();
      fibers::sleep(1s);
    }
    loop.remove_reader(pipe.reader());
  });
  EXPECT_THAT(seen, ElementsAre("outside", "set by the reader"));
}

FIBER_TEST(CallbackContextTest, ACallbackThatBlocksKeepsItsOwn) {
  g_name.set("outside");
  std::vector<std::string> seen;
  with_loop([&](EventLoop& loop) {
    g_name.set("blocked");
    loop.call_soon([&seen] {
      fibers::sleep(1s);
      seen.push_back(g_name.get_or("none"));
    });
    g_name.set("other");
    loop.call_soon([&seen] { seen.push_back(g_name.get_or("none")); });
    fibers::sleep(2s);
  });
  EXPECT_THAT(seen, ElementsAre("other", "blocked"));
}

FIBER_TEST(CallbackContextTest, ACallFromAnotherThreadSeesThatThreadsValues) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread throws ends the process");
  g_name.set("outside");
  std::vector<std::string> seen;
  with_loop([&](EventLoop& loop) {
    std::thread([&] {
      g_name.set("thread");
      loop.call_soon_threadsafe([&seen] { seen.push_back(g_name.get_or("none")); });
      g_name.set("later");
    }).join();
    loop.synchronize();
  });
  EXPECT_THAT(seen, ElementsAre("thread"));
}

FIBER_TEST(CallbackContextTest, ValuesGoWithTheCallback) {
  g_name.set("outside");
  ContextVar<std::shared_ptr<int>> held("held");
  const auto value = std::make_shared<int>(1);
  with_loop([&](EventLoop& loop) {
    loop.call_soon([&] { held.set(value); });
    loop.synchronize();
    EXPECT_EQ(value.use_count(), 1);
  });
}

std::string value_in(const Handle& handle) {
  return handle.get_context().run([] { return g_name.get_or("none"); });
}

FIBER_TEST(CallbackContextTest, AHandleGivesTheContextOfItsCallback) {
  g_name.set("outside");
  with_idle_loop([](EventLoop& loop) {
    g_name.set("one");
    const Handle soon = loop.call_soon([] { g_name.set("inside"); });
    g_name.set("two");
    const TimerHandle later = loop.call_later(1s, [] {});
    EXPECT_EQ(value_in(soon), "one");
    EXPECT_EQ(value_in(later), "two");
    fibers::Context copy = soon.get_context();
    copy.run([] { g_name.set("a copy's"); });
    EXPECT_EQ(value_in(soon), "one");
    run_once(loop);
    EXPECT_EQ(value_in(soon), "inside");  // The callback has run in that context.
    EXPECT_EQ(g_name.get_or("none"), "two");
  });
}

FIBER_TEST(CallbackContextTest, AReadersHandleGivesWhatItsLastCallHasSet) {
  const Pipe pipe;
  g_name.set("outside");
  with_idle_loop([&](EventLoop& loop) {
    const Handle reader = loop.add_reader(pipe.reader(), [&] {
      pipe.take();
      g_name.set("read");
    });
    EXPECT_EQ(value_in(reader), "outside");
    pipe.put();
    run_once(loop);
    EXPECT_EQ(value_in(reader), "read");
  });
}

// asyncio: test_futures2.py::FutureTests::test_handle_exc_handler_correct_context
// asyncio: test_futures2.py::FutureTests::test_task_exc_handler_correct_context
FIBER_TEST(CallbackContextTest, TheExceptionHandlerSeesWhatTheOneThatFailedHasSet) {
  g_name.set("outside");
  std::vector<std::string> seen;
  with_loop([&](EventLoop& loop) {
    loop.set_exception_handler(
        [&seen](EventLoop&, const ExceptionContext&) { seen.push_back(g_name.get_or("none")); });
    loop.call_soon([] {
      g_name.set("callback");
      throw std::runtime_error("of a callback");
    });
    loop.synchronize();
    {
      auto task = loop.create_task([]() -> Coro<void> {
        g_name.set("task");
        co_await sleep(0s);
        throw std::runtime_error("of a task");
      });
      await(wait(std::vector{task}));
    }
    loop.synchronize();
  });
  EXPECT_THAT(seen, ElementsAre("callback", "task"));
}

}  // namespace
}  // namespace weft::loop
