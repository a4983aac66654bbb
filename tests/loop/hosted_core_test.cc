// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Futures and tasks that are a part of another language's objects: what FutureCore and TaskCore
// offer those who derive from them.

#include <gtest/gtest.h>

#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "tests/loop/loop_testing.h"
#include "weft/loop/detail/task_core.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {
namespace {

using detail::FutureCore;
using detail::LoopCore;
using detail::TaskCore;
using namespace testing;  // NOLINT: the helpers of the folder.

// Words, where nothing may throw: there is room for them from the beginning.
class Log {
 public:
  Log() { text_.reserve(200); }
  void add(std::string_view word) noexcept {
    if (!text_.empty()) text_ += ", ";
    text_ += word;
  }
  bool empty() const { return text_.empty(); }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

LoopCore& core_of(EventLoop& loop) {
  return FutureAccess::core(loop.create_future<void>()).loop();
}

// Stands for an object of the other language, which is what counts its references.
struct Object {
  int held = 0;
  Log log;
};

class HostedFuture : public FutureCore {
 public:
  HostedFuture(EventLoop& loop, Object& object)
      : FutureCore(core_of(loop), std::source_location::current()), object_(object) {
    object.held = 1;
    release();
  }
  ~HostedFuture() override = default;
  void lose() { report_lost(); }

 protected:
  void first_reference() noexcept override { ++object_.held; }
  void last_reference_gone() noexcept override { --object_.held; }
  void destroy() noexcept override {}
  void report(const ExceptionContext& context) override { object_.log.add(context.message); }

 private:
  Object& object_;
};

FIBER_TEST(HostedFutureTest, AllReferencesTogetherHoldTheObject) {
  Object object;
  std::optional<HostedFuture> made;
  with_loop([&](EventLoop& loop) {
    HostedFuture& future = made.emplace(loop, object);
    EXPECT_EQ(object.held, 0);
    {
      const FutureBase one = FutureAccess::share(future);
      EXPECT_EQ(object.held, 1);
      const FutureBase two = one;  // NOLINT(performance-unnecessary-copy-initialization): counted.
      EXPECT_EQ(object.held, 1);
      EXPECT_EQ(future.references(), 2U);
    }
    EXPECT_EQ(object.held, 0);
  });
}

FIBER_TEST(HostedFutureTest, AScheduledCallbackHoldsTheObject) {
  Object object;
  std::optional<HostedFuture> made;
  with_loop([&](EventLoop& loop) {
    HostedFuture& future = made.emplace(loop, object);
    int held = 0;
    FutureAccess::share(future).add_done_callback([&] { held = object.held; });
    EXPECT_EQ(object.held, 0);
    future.finish();
    EXPECT_EQ(object.held, 1);
    loop.synchronize();
    EXPECT_EQ(held, 1);
    EXPECT_EQ(object.held, 0);
  });
}

FIBER_TEST(HostedFutureTest, WhatIsLostIsReportedOnceWhereTheObjectWants) {
  Object object;
  std::optional<HostedFuture> made;
  with_loop([&](EventLoop& loop) {
    HostedFuture& future = made.emplace(loop, object);
    future.set_exception(std::make_exception_ptr(std::runtime_error("lost")));
    future.lose();
    future.lose();
    EXPECT_EQ(object.log.text(), "Future exception was never retrieved");
  });
}

// Its code waits for something that the loop does not know, and that may refuse to be cancelled.
class HostedTask final : public detail::FutureBox<void>, public TaskCore {
 public:
  HostedTask(EventLoop& loop, bool cancellable)
      : FutureBox<void>(core_of(loop), std::source_location::current(), detail::kIsTask),
        TaskCore(static_cast<FutureCore&>(*this), std::source_location::current()),
        cancellable_(cancellable) {}
  ~HostedTask() override = default;
  using FutureBox<void>::loop;
  bool cancel(std::exception_ptr payload) override { return request_cancel(std::move(payload)); }
  TaskCore* task() noexcept override { return this; }

  Log log;
  std::function<void()> in_first_step;

 private:
  Step resume(std::exception_ptr error) override {
    if (log.empty()) {
      log.add("waits");
      if (in_first_step) in_first_step();
      return Step::kElsewhere;
    }
    log.add(error == nullptr ? "goes on" : "cancelled");
    step_error = std::move(error);
    return step_error == nullptr ? Step::kReturned : Step::kRaised;
  }
  void drop_code() noexcept override {}
  bool cancel_elsewhere() noexcept override {
    log.add("asked");
    return cancellable_;
  }
  void before_destroy() noexcept override { TaskCore::before_destroy(); }
  void describe(ExceptionContext& context) const noexcept override { TaskCore::describe(context); }
  void destroy() noexcept override {}

  const bool cancellable_;
};

FIBER_TEST(HostedTaskTest, AWaitElsewhereThatIsCancelledEndsByItself) {
  std::optional<HostedTask> made;
  with_loop([&](EventLoop& loop) {
    HostedTask& task = made.emplace(loop, true);
    task.start();
    loop.synchronize();
    EXPECT_TRUE(task.cancel(nullptr));
    EXPECT_FALSE(task.must_cancel());
    task.push();
    loop.synchronize();
    EXPECT_EQ(task.log.text(), "waits, asked, goes on");
    EXPECT_EQ(task.state(), FutureCore::State::kFinished);
  });
}

FIBER_TEST(HostedTaskTest, AWaitElsewhereThatRefusesIsCancelledInTheNextStep) {
  std::optional<HostedTask> made;
  with_loop([&](EventLoop& loop) {
    HostedTask& task = made.emplace(loop, false);
    task.start();
    loop.synchronize();
    EXPECT_TRUE(task.cancel(nullptr));
    EXPECT_TRUE(task.must_cancel());
    task.push();
    loop.synchronize();
    EXPECT_EQ(task.log.text(), "waits, asked, cancelled");
    EXPECT_EQ(task.state(), FutureCore::State::kCancelled);
  });
}

FIBER_TEST(HostedTaskTest, CancelledInTheStepThatBeginsTheWaitItAsksThatWait) {
  std::optional<HostedTask> made;
  with_loop([&](EventLoop& loop) {
    HostedTask& task = made.emplace(loop, false);
    task.in_first_step = [&task] { task.cancel(nullptr); };
    task.start();
    loop.synchronize();
    EXPECT_TRUE(task.must_cancel());
    task.push();
    loop.synchronize();
    EXPECT_EQ(task.log.text(), "waits, asked, cancelled");
  });
}

}  // namespace
}  // namespace weft::loop
