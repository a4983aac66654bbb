// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The examples of tools/docs/asyncio.md; those about transports are in transports_examples.cc.
//
// What they use is made up here; what stands in the guide
// stands below as it does there.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "weft/fibers/catch.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/condition.h"
#include "weft/loop/coro.h"
#include "weft/loop/event.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/gather.h"
#include "weft/loop/lock.h"
#include "weft/loop/queue.h"
#include "weft/loop/run_coroutine_threadsafe.h"
#include "weft/loop/runner.h"
#include "weft/loop/semaphore.h"
#include "weft/loop/shield.h"
#include "weft/loop/sync_loop.h"
#include "weft/loop/task.h"
#include "weft/loop/task_group.h"
#include "weft/loop/timeout.h"
#include "weft/loop/to_thread.h"
#include "weft/loop/wait.h"
#include "weft/loop/wait_for.h"

using namespace std::chrono_literals;
using namespace weft::loop;
using ::testing::ElementsAre;
using weft::fibers::catch_;
using weft::fibers::ExceptionGroup;
using weft::fibers::on;

namespace {

using Log = std::vector<std::string>;

// --- A program. ---

Coro<int> ask(int number) {
  co_await sleep(1ms);
  co_return number + 1;
}

Coro<int> program() {
  const int answer = co_await ask(41);
  co_return answer;
}

int run_program() {
  return run(program());
}

int step_by_step() {
  SyncLoop loop;
  return loop.run_until_complete(program());
}

// --- Callbacks. ---

void schedule(EventLoop& loop, Log& log) {
  loop.call_soon([&log] { log.emplace_back("soon"); });
  Handle handle = loop.call_later(1s, [&log] { log.emplace_back("later"); });
  loop.call_later(500ms, [handle]() mutable { handle.cancel(); });
}

Future<std::string> answer_later(EventLoop& loop) {
  Future<std::string> answer = loop.create_future<std::string>();
  loop.call_later(1s, [answer]() mutable { answer.set_result("42"); });
  answer.add_done_callback([](const Future<std::string>& done) { done.result(); });
  return answer;
}

// --- Tasks. ---

Coro<int> two_tasks() {
  EventLoop& loop = get_running_loop();
  Task<int> one = loop.create_task(ask(1));
  Task<int> two = loop.create_task(ask(2), {.name = "two"});
  co_return co_await one + co_await two;
}

int sum_on_a_stack() {
  Task<int> one = get_running_loop().create_task(ask(1));
  const int two = await(ask(2));
  return await(one) + two;
}

Coro<std::string> cancel_it() {
  Task<int> task = get_running_loop().create_task(ask(1));
  co_await sleep(0s);
  task.cancel("no longer wanted");
  std::string why;
  try {
    co_await task;
  } catch (const CancelledError& error) {
    why = error.message();
  }
  co_return why;
}

Coro<void> clean_up(Log& log) {
  try {
    co_await sleep(1h);
  } catch (const CancelledError&) {
    log.emplace_back("cancelled");
    throw;
  }
}

// --- Several at once. ---

Coro<int> gather_both() {
  const auto [one, two] = co_await gather(ask(1), ask(2));
  co_return one + two;
}

Coro<std::size_t> gather_with_errors(std::vector<Task<int>> tasks) {
  std::size_t failed = 0;
  for (const auto& outcome : co_await gather(return_exceptions, tasks)) {
    if (!outcome.has_value()) ++failed;
  }
  co_return failed;
}

Coro<std::size_t> first_of(std::vector<Task<int>> tasks) {
  const auto result = co_await wait(tasks, {.return_when = ReturnWhen::kFirstCompleted});
  for (Task<int> task : result.pending) task.cancel();
  co_return result.done.size();
}

Coro<int> not_longer_than() {
  int answer = -1;
  try {
    answer = co_await wait_for(ask(1), 500us);
  } catch (const TimeoutError&) {
    answer = 0;
  }
  co_return answer;
}

Coro<bool> with_a_timeout() {
  auto limit = timeout(1s);
  try {
    co_await limit.run([&]() -> Coro<void> {
      limit.reschedule(get_running_loop().time() + 2s);
      co_await sleep(1h);
    });
  } catch (const TimeoutError&) {
  }
  co_return limit.expired();
}

Coro<int> group_of_tasks() {
  Task<int> one;
  Task<int> two;
  co_await task_group([&](TaskGroup& tg) -> Coro<void> {
    one = tg.create_task(ask(1));
    two = tg.create_task(ask(2));
    co_return;
  });
  co_return one.result() + two.result();
}

Coro<void> fail() {
  co_await sleep(1s);
  throw std::invalid_argument("no route");
}

std::size_t except_star() {
  std::size_t failed = 0;
  catch_([] { task_group([](TaskGroup& tg) { tg.create_task(fail()); }); },
         on<std::invalid_argument>(
             [&](const ExceptionGroup& group) { failed = group.exceptions().size(); }));
  return failed;
}

Coro<int> finish_all_the_same(Task<int> precious) {
  const int result = co_await shield(precious);
  co_return result;
}

// --- Locks and queues. ---

Coro<void> one_at_a_time(Lock& lock, Log& log) {
  auto guard = co_await lock.scoped();
  log.emplace_back("inside");
  co_await sleep(1s);
}

Coro<void> wait_until_ready(Event& ready, Log& log) {
  co_await ready.wait();
  log.emplace_back("ready");
}

Coro<void> wait_for_change(Condition& condition, int& value) {
  auto guard = co_await condition.scoped();
  co_await condition.wait_for([&] { return value > 1; });
}

Coro<void> not_more_than_two(Semaphore& semaphore) {
  auto guard = co_await semaphore.scoped();
  co_await sleep(1s);
}

Coro<void> work_off(Queue<int>& queue, int& sum) {
  try {
    for (;;) {
      sum += co_await queue.get();
      queue.task_done();
    }
  } catch (const QueueShutDown&) {
  }
}

// --- The outside. ---

void on_signal(EventLoop& loop, Log& log) {
  loop.add_signal_handler(SIGHUP, [&log] { log.emplace_back("again"); });
}

void read_when_ready(EventLoop& loop, int fd, std::string& text) {
  loop.add_reader(fd, [&loop, &text, fd] {
    std::array<char, 100> data;
    const auto size = ::read(fd, data.data(), data.size());
    if (size > 0) text.append(data.data(), static_cast<std::size_t>(size));
    if (size == 0) loop.remove_reader(fd);
  });
}

Coro<void> echo(int socket) {
  EventLoop& loop = get_running_loop();
  for (;;) {
    const std::string data = co_await loop.sock_recv(socket, 4096);
    if (data.empty()) break;
    co_await loop.sock_sendall(socket, data);
  }
}

void report(EventLoop& loop, Log& log) {
  loop.set_exception_handler(
      [&log](EventLoop&, const ExceptionContext& context) { log.push_back(context.message); });
}

// --- Threads. ---

int slow_sum(int a, int b) {
  return a + b;
}

Coro<int> in_a_thread() {
  const int sum = co_await to_thread([] { return slow_sum(1, 2); });
  EventLoop& loop = get_running_loop();
  co_return sum + co_await loop.run_in_executor(nullptr, [] { return slow_sum(3, 4); });
}

int from_another_thread(EventLoop& loop) {
  ConcurrentFuture<int> answer = run_coroutine_threadsafe(ask(41), loop);
  return answer.result();  // Waits.
}

// --- What asyncio does not have. ---

std::string block(EventLoop& loop) {
  std::string log;
  Future<void> done = loop.create_future<void>();
  loop.call_soon([&log, done]() mutable {
    weft::fibers::sleep(1s);  // Suspends this callback, and nothing else.
    log += "slow";
    done.set_result();
  });
  loop.call_soon([&log] { log += "quick "; });
  await(done);
  return log;
}

int from_a_nursery(EventLoop& loop) {
  int sum = 0;
  Task<int> task = loop.create_task(ask(1));
  weft::fibers::open_nursery([&](weft::fibers::Nursery& nursery) {
    nursery.start_soon([&] { sum += await(task); });
    nursery.start_soon([&] { sum += await(task); });
  });
  return sum;
}

// --- They do what the guide says. ---

template <class Body>
void with_loop(Body&& body) {
  weft::fibers::open_nursery([&](weft::fibers::Nursery& nursery) {
    EventLoop loop(nursery);
    loop.start();
    body(loop);
    loop.stop();
    loop.wait_stopped();
  });
}

// What a task of the loop comes to.
template <class F>
auto in_a_task(EventLoop& loop, F&& code) {
  return await(loop.create_task(std::forward<F>(code)));
}

TEST(AsyncioGuideTest, AProgram) {
  EXPECT_EQ(run_program(), 42);
  EXPECT_EQ(step_by_step(), 42);
}

TEST(AsyncioGuideTest, Threads) {
  EXPECT_EQ(run(in_a_thread()), 10);
  const auto asks = []() -> Coro<int> {
    EventLoop& loop = get_running_loop();
    co_return co_await to_thread([&loop] { return from_another_thread(loop); });
  };
  EXPECT_EQ(run(asks()), 42);
}

FIBER_TEST(AsyncioGuideTest, Callbacks) {
  Log log;
  with_loop([&](EventLoop& loop) {
    schedule(loop, log);
    EXPECT_EQ(await(answer_later(loop)), "42");
  });
  EXPECT_THAT(log, ElementsAre("soon"));
}

FIBER_TEST(AsyncioGuideTest, Tasks) {
  Log log;
  with_loop([&](EventLoop& loop) {
    EXPECT_EQ(in_a_task(loop, program()), 42);
    EXPECT_EQ(in_a_task(loop, two_tasks()), 5);
    EXPECT_EQ(in_a_task(loop, sum_on_a_stack), 5);
    EXPECT_EQ(in_a_task(loop, cancel_it()), "no longer wanted");
    auto task = loop.create_task(clean_up(log));
    loop.synchronize();
    task.cancel();
    EXPECT_THROW(await(task), CancelledError);
  });
  EXPECT_THAT(log, ElementsAre("cancelled"));
}

FIBER_TEST(AsyncioGuideTest, SeveralAtOnce) {
  with_loop([](EventLoop& loop) {
    const auto tasks = [&loop] {
      return std::vector{loop.create_task(ask(1)), loop.create_task(ask(2))};
    };
    EXPECT_EQ(in_a_task(loop, gather_both()), 5);
    EXPECT_EQ(in_a_task(loop, gather_with_errors(tasks())), 0U);
    EXPECT_EQ(in_a_task(loop, first_of(tasks())), 2U);
    EXPECT_EQ(in_a_task(loop, not_longer_than()), 0);
    EXPECT_TRUE(in_a_task(loop, with_a_timeout()));
    EXPECT_EQ(in_a_task(loop, group_of_tasks()), 5);
    EXPECT_EQ(in_a_task(loop, except_star), 1U);
    auto precious = loop.create_task(ask(1));
    auto waits = loop.create_task(finish_all_the_same(precious));
    loop.synchronize();
    waits.cancel();
    EXPECT_THROW(await(waits), CancelledError);
    EXPECT_EQ(await(precious), 2);
  });
}

FIBER_TEST(AsyncioGuideTest, LocksAndQueues) {
  Log log;
  Lock lock;
  Event ready;
  Condition condition;
  Semaphore semaphore(2);
  Queue<int> queue(1);
  int value = 0;
  int sum = 0;
  with_loop([&](EventLoop& loop) {
    auto one = loop.create_task(one_at_a_time(lock, log));
    auto waits = loop.create_task(wait_until_ready(ready, log));
    auto change = loop.create_task(wait_for_change(condition, value));
    auto two = loop.create_task(not_more_than_two(semaphore));
    auto works = loop.create_task(work_off(queue, sum));
    in_a_task(loop, [&] {
      ready.set();
      auto guard = await(condition.scoped());
      value = 2;
      condition.notify_all();
      guard.release();
      for (const int number : {1, 2, 3}) await(queue.put(number));
      await(queue.join());
      queue.shutdown();
    });
    await(gather(one, waits, change, two, works));
  });
  EXPECT_EQ(sum, 6);
  EXPECT_THAT(log, ElementsAre("inside", "ready"));
}

// Two descriptors, closed at the end.
struct Pair {
  Pair() = default;
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  ~Pair() {
    for (const int fd : ends) {
      if (fd >= 0) ::close(fd);
    }
  }
  int operator[](std::size_t i) const { return ends.at(i); }
  void close(std::size_t i) { ::close(std::exchange(ends.at(i), -1)); }
  std::array<int, 2> ends{-1, -1};
};

FIBER_TEST(AsyncioGuideTest, TheOutside) {
  WEFT_NOT_FAULT_SWEPT("it looks at what an ordinary program does");
  Log log;
  std::string text;
  Pair pair;
  Pair pipe;
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.ends.data()), 0);
  ASSERT_EQ(::pipe(pipe.ends.data()), 0);
  with_loop([&](EventLoop& loop) {
    on_signal(loop, log);
    report(loop, log);
    read_when_ready(loop, pipe[0], text);
    EXPECT_EQ(::write(pipe[1], "hello", 5), 5);
    pipe.close(1);
    auto echoes = loop.create_task(echo(pair[0]));
    await(loop.sock_sendall(pair[1], "x"));
    EXPECT_EQ(await(loop.sock_recv(pair[1], 10)), "x");
    ::shutdown(pair[1], SHUT_WR);
    await(echoes);
    ::raise(SIGHUP);
    weft::fibers::sleep(1s);
    loop.call_soon([] { throw std::runtime_error("bad"); });
    loop.synchronize();
    loop.remove_signal_handler(SIGHUP);
  });
  EXPECT_EQ(text, "hello");
  EXPECT_EQ(log.size(), 2U);
}

FIBER_TEST(AsyncioGuideTest, WhatAsyncioDoesNotHave) {
  with_loop([](EventLoop& loop) {
    EXPECT_EQ(block(loop), "quick slow");
    EXPECT_EQ(from_a_nursery(loop), 4);
  });
}

}  // namespace
