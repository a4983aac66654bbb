// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a loop of open_loop's has from asyncio's and does not wait: handlers, factories, debug mode.
// And what its readers and callbacks cost the run.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/shim/inherited_methods_testing.h"
#include "tests/support/pipe.h"
#include "weft/fibers/run.h"
#include "weft/loop/loop_executor.h"
#include "weft/loop/loop_sockets.h"

namespace weft::shim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Settings hold on both sides of the border, and while the loop stands.
FIBER_TEST(InheritedSettingsTest, ExceptionHandler) {
  open_loop([](EventLoop& loop) {
    EXPECT_FALSE(loop.get_exception_handler());
    std::vector<std::string> told;
    loop.set_exception_handler([&](EventLoop& of, const loop::ExceptionContext& context) {
      EXPECT_EQ(&of, &loop);
      EXPECT_EQ(current_async_library(), "asyncio");
      told.push_back(context.message);
    });
    EXPECT_TRUE(loop.get_exception_handler());
    const auto tell = [&](std::string message) {
      loop::ExceptionContext context;
      context.message = std::move(message);
      loop.call_exception_handler(context);
    };
    aio_as_trio([&] { tell("by a callback"); })();
    aio_as_trio(loop.create_task([&] { tell("by a task"); }));
    loop.call_soon([] { throw std::out_of_range("callback"); });
    loop.synchronize();
    ASSERT_EQ(told.size(), 3U);
    EXPECT_THAT(told[2], HasSubstr("Exception in callback"));
    told.clear();
    loop.stop();
    loop.wait_stopped();
    EXPECT_TRUE(loop.get_exception_handler());
    aio_as_trio([&] { tell("by a loop that stood"); })();
    EXPECT_THAT(told, ElementsAre("by a loop that stood"));
    loop.set_exception_handler({});
  });
}

// A Trio task may tell of an error, too.
FIBER_TEST(InheritedSettingsTest, ATrioTaskMayCallTheExceptionHandler) {
  open_loop([](EventLoop& loop) {
    std::vector<std::string> told;
    loop.set_exception_handler([&](EventLoop&, const loop::ExceptionContext& context) {
      told.push_back(context.message);
    });
    loop::ExceptionContext context;
    context.message = "by a Trio task";
    loop.call_exception_handler(context);
    EXPECT_THAT(told, ElementsAre("by a Trio task"));
    EXPECT_EQ(current_async_library(), "trio");
    loop.set_exception_handler({});
  });
}

FIBER_TEST(InheritedSettingsTest, TaskFactory) {
  open_loop([](EventLoop& loop) {
    EXPECT_FALSE(loop.get_task_factory());
    loop.set_task_factory([&](EventLoop& of, const loop::TaskBase&, loop::TaskOptions& options) {
      EXPECT_EQ(&of, &loop);
      options.name = "made by the factory";
    });
    EXPECT_TRUE(loop.get_task_factory());
    const auto name_of_a_task = [&] {
      const loop::Task<int> task = loop.create_task([] { return 7; });
      EXPECT_EQ(aio_as_trio(task), 7);
      return task.get_name();
    };
    EXPECT_EQ(name_of_a_task(), "made by the factory");
    loop.stop();
    loop.wait_stopped();
    EXPECT_EQ(name_of_a_task(), "made by the factory");
    loop.set_task_factory(loop::eager_task_factory);
    const auto starts_at_once = [&] {
      return loop.create_task([]() -> loop::Coro<void> { co_return; }()).done();
    };
    EXPECT_TRUE(aio_as_trio(starts_at_once)());
    loop.set_task_factory(nullptr);
    EXPECT_FALSE(loop.get_task_factory());
    EXPECT_NE(name_of_a_task(), "made by the factory");
  });
}

FIBER_TEST(InheritedSettingsTest, Debug) {
  const test::SocketPair blocking;
  ASSERT_EQ(::fcntl(blocking[0], F_SETFL, 0), 0);
  open_loop([&](EventLoop& loop) {
    const auto receive = [&] { return aio_as_trio(loop.sock_recv(blocking[0], 1)); };
    EXPECT_FALSE(loop.get_debug());
    loop.set_debug(true);
    EXPECT_TRUE(loop.get_debug());
    EXPECT_TRUE(holds<fibers::UsageError>(error_of(receive)));
    loop.set_debug(false);
    EXPECT_FALSE(loop.get_debug());
    test::SocketPair usual;
    usual.write(1);
    EXPECT_EQ(aio_as_trio(loop.sock_recv(usual[0], 1)), "x");
  });
}

FIBER_TEST(InheritedSettingsTest, IsClosed) {
  open_loop([](EventLoop& loop) {
    EXPECT_FALSE(loop.is_closed());
    EXPECT_FALSE(aio_as_trio([&] { return loop.is_closed(); })());
    EXPECT_THROW(loop.close(), fibers::UsageError);
    loop.stop();
    loop.wait_stopped();
    EXPECT_FALSE(loop.is_closed());
    loop.close();
    EXPECT_TRUE(loop.is_closed());
    loop.close();
    EXPECT_THROW(loop.call_soon([] {}), fibers::UsageError);
  });
}

// Whoever is cancelled while it waits leaves the executor shut down, and the job its result.
FIBER_TEST(InheritedSettingsTest, ShutdownDefaultExecutor) {
  for (int count = 0; count < kMostIterations; ++count) {
    open_loop([&](EventLoop& loop) {
      const loop::Future<int> job = loop.run_in_executor(nullptr, [] { return 7; });
      const auto scope = std::make_shared<fibers::CancelScope>();  // The callback may come late.
      after_iterations(loop, count, [scope] { scope->cancel(); });
      scope->run([&] { aio_as_trio(loop.shutdown_default_executor()); });
      aio_as_trio(loop.shutdown_default_executor());
      EXPECT_EQ(aio_as_trio(job), 7);
      EXPECT_THROW(loop.run_in_executor(nullptr, [] {}), fibers::UsageError);
    });
  }
}

// trio-asyncio keeps a Trio task for each descriptor.
FIBER_TEST(InheritedSettingsTest, AReaderTakesNoTask) {
  constexpr std::size_t kPipes = 20;
  std::vector<test::Pipe> pipes(kPipes);
  open_loop([&](EventLoop& loop) {
    loop.synchronize();
    const std::size_t before = fibers::current_statistics().tasks_living;
    std::size_t read = 0;
    for (test::Pipe& pipe : pipes) {
      loop.add_reader(pipe[0], [&] {
        ++read;
        pipe.read(0);
      });
      pipe.write(1);
    }
    EXPECT_EQ(fibers::current_statistics().tasks_living, before);
    while (read < kPipes) fibers::checkpoint();
    EXPECT_EQ(fibers::current_statistics().tasks_living, before);
    for (test::Pipe& pipe : pipes) EXPECT_TRUE(loop.remove_reader(pipe[0]));
    EXPECT_EQ(fibers::current_statistics().tasks_living, before);
  });
}

// And gives each callback a turn of Trio's scheduler.
FIBER_TEST(InheritedSettingsTest, ACallbackTakesNoTurnOfTheScheduler) {
  open_loop([](EventLoop& loop) {
    std::vector<std::uint64_t> ticks;
    const auto in_a_callback = [&] { ticks.push_back(fibers::current_statistics().ticks); };
    for (int i = 0; i < 100; ++i) loop.call_soon(in_a_callback);
    loop.synchronize();
    ASSERT_EQ(ticks.size(), 100U);
    EXPECT_EQ(ticks.back(), ticks.front());
  });
}

}  // namespace
}  // namespace weft::shim
