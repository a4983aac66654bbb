// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A call on a handle that names nothing is refused in words, for every kind of handle.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/loop/streams_testing.h"
#include "weft/fibers/errors.h"
#include "weft/loop/as_completed.h"
#include "weft/loop/async_generator.h"
#include "weft/loop/concurrent_future.h"
#include "weft/loop/datagram_transport.h"
#include "weft/loop/server.h"
#include "weft/loop/subprocess.h"
#include "weft/loop/timeout.h"

namespace weft::loop {
namespace {

using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

template <class F>
void expect_refused(F&& fn) {
  EXPECT_THAT(thrown<fibers::UsageError>(std::forward<F>(fn)), HasSubstr("empty"));
}

// What is left of `handle` when it has been moved from.
template <class H>
H& emptied(H& handle) {
  const H taken = std::move(handle);
  return handle;  // NOLINT(bugprone-use-after-move): that is what is tested.
}

template <class H>
void expect_handle_refuses(H& handle) {
  expect_refused([&] { handle.cancel(); });
  expect_refused([&] { static_cast<void>(handle.cancelled()); });
  if constexpr (std::is_base_of_v<Handle, H>) {
    expect_refused([&] { static_cast<void>(handle.get_context()); });
    expect_refused([&] { static_cast<void>(handle.source()); });
  }
}

TEST(EmptyHandlesTest, Handles) {
  Handle handle;
  expect_handle_refuses(handle);
  PrepareHandle hook;
  expect_handle_refuses(hook);
  TimerHandle timer;
  expect_handle_refuses(timer);
  expect_refused([&] { static_cast<void>(timer.when()); });
  ThreadsafeHandle any_thread;
  expect_handle_refuses(any_thread);
}

FIBER_TEST(EmptyHandlesTest, HandlesThatWereMovedFrom) {
  with_loop([](EventLoop& loop) {
    Handle handle = loop.call_soon([] {});
    expect_handle_refuses(emptied(handle));
    ThreadsafeHandle any_thread = loop.call_soon_threadsafe([] {});
    expect_handle_refuses(emptied(any_thread));
    loop.synchronize();
  });
}

FIBER_TEST(EmptyHandlesTest, FuturesAndTasks) {
  with_loop([](EventLoop& loop) {
    Future<int> future = loop.create_future<int>();
    emptied(future);
    expect_refused([&] { static_cast<void>(future.done()); });
    expect_refused([&] { static_cast<void>(future.cancelled()); });
    expect_refused([&] { static_cast<void>(future.exception()); });
    expect_refused([&] { future.set_exception(std::make_exception_ptr(1)); });
    expect_refused([&] { future.cancel(); });
    expect_refused([&] { future.add_done_callback([] {}); });
    expect_refused([&] { future.remove_done_callback({}); });
    expect_refused([&] { static_cast<void>(future.get_loop()); });
    expect_refused([&] { static_cast<void>(future.source()); });
    expect_refused([&] { static_cast<void>(future.result()); });
    expect_refused([&] { future.take_result(); });
    expect_refused([&] { future.set_result(1); });
    expect_refused([&] { await(future); });
    expect_refused([&] { wait(future); });
    Task<void> task;
    expect_refused([&] { static_cast<void>(task.get_name()); });
    expect_refused([&] { task.set_name("none"); });
    expect_refused([&] { static_cast<void>(task.cancelling()); });
    expect_refused([&] { task.uncancel(); });
    expect_refused([&] { static_cast<void>(task.get_context()); });
    ConcurrentFuture<int> concurrent;
    expect_refused([&] { static_cast<void>(concurrent.done()); });
    expect_refused([&] { concurrent.cancel(); });
    expect_refused([&] { concurrent.set_result(1); });
  });
}

FIBER_TEST(EmptyHandlesTest, AnEmptyFutureIsRefusedInACoroutine) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([]() -> Coro<int> {
      const Future<int> none;
      co_return co_await none;
    }());
    expect_refused([&] { await(task); });
  });
}

FIBER_TEST(EmptyHandlesTest, CoroutinesAndGenerators) {
  with_loop([](EventLoop& loop) {
    const auto refused = [](auto&& fn) { EXPECT_THROW(fn(), fibers::UsageError); };
    refused([&] { await(Coro<void>()); });
    refused([&] { loop.create_task(Coro<void>()); });
    auto task = loop.create_task([]() -> Coro<void> { co_await Coro<void>(); }());
    refused([&] { await(task); });
    Coro<void>().close();
    AsyncGenerator<int> none;
    refused([&] { static_cast<void>(none.next()); });
    refused([&] { static_cast<void>(none.aclose()); });
    refused([&] { static_cast<void>(none.athrow(GeneratorExit())); });
  });
}

FIBER_TEST(EmptyHandlesTest, TransportsAndServers) {
  Transport transport;
  expect_refused([&] { transport.close(); });
  expect_refused([&] { transport.write("x"); });
  expect_refused([&] { transport.pause_reading(); });
  expect_refused([&] { transport.abort(); });
  expect_refused([&] { static_cast<void>(WriteTransport(transport)); });
  DatagramTransport datagrams;
  expect_refused([&] { datagrams.sendto("x"); });
  Server server;
  expect_refused([&] { server.close(); });
  expect_refused([&] { static_cast<void>(server.wait_closed()); });
  Process process;
  expect_refused([&] { static_cast<void>(process.pid()); });
  expect_refused([&] { static_cast<void>(process.returncode()); });
  expect_refused([&] { process.kill(); });
  expect_refused([&] { await(process.wait()); });
  expect_refused([&] { await(process.communicate()); });
}

FIBER_TEST(EmptyHandlesTest, Streams) {
  with_loop([](EventLoop& loop) {
    StreamReader reader(loop);
    emptied(reader);
    expect_refused([&] { static_cast<void>(reader.read()); });
    expect_refused([&] { static_cast<void>(reader.readline()); });
    expect_refused([&] { static_cast<void>(reader.readexactly_view(1)); });
    expect_refused([&] { static_cast<void>(reader.readuntil()); });
    expect_refused([&] { static_cast<void>(reader.at_eof()); });
    expect_refused([&] { reader.feed_eof(); });
    const Fake fake(loop);
    StreamWriter writer = StreamAccess::wrap(detail::make_counted<detail::StreamWriterCore>(
        fake.transport(), std::make_shared<StreamReaderProtocol>(loop, StreamReader(loop)),
        detail::Ref<detail::StreamReaderCore>()));
    fake->forget();
    emptied(writer);
    expect_refused([&] { writer.write("x"); });
    expect_refused([&] { writer.close(); });
    expect_refused([&] { static_cast<void>(writer.drain()); });
    expect_refused([&] { static_cast<void>(writer.wait_closed()); });
    expect_refused([&] { static_cast<void>(writer.transport()); });
  });
}

FIBER_TEST(EmptyHandlesTest, TimeoutsAndRows) {
  with_loop([](EventLoop& loop) {
    await(loop.create_task([&loop] {
      Timeout limit = timeout(1s);
      emptied(limit);
      expect_refused([&] { static_cast<void>(limit.when()); });
      expect_refused([&] { limit.reschedule(fibers::current_time()); });
      expect_refused([&] { static_cast<void>(limit.expired()); });
      expect_refused([&] { limit.run([] {}); });
      auto row = as_completed(std::vector<Future<void>>{loop.create_future<void>()});
      emptied(row);
      expect_refused([&] { static_cast<void>(row.next()); });
    }));
  });
}

}  // namespace
}  // namespace weft::loop
