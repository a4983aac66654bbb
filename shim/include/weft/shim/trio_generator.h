// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// From the loop to generators of tasks: functions that send their items, which as_safe_channel
// takes, too.
//
//   AsyncGenerator<Row> rows = trio_as_aio<Row>([&](fibers::SafeSendChannel<Row>& out) {
//     Cursor cursor = connection.query("select ...");     // may sleep, may open nurseries
//     while (cursor.step()) out.send(cursor.row());
//   });
//   while (auto row = co_await rows.next()) use(*row);    // in a coroutine of the loop

#pragma once

#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/fibers/as_safe_channel.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/memory_channel.h"
#include "weft/loop/async_generator.h"
#include "weft/loop/future.h"
#include "weft/shim/trio_as_aio.h"

namespace weft::shim {

namespace detail {

// Between the task that runs the producer and those that fetch an item each: a request goes there,
// an item or "nothing more" comes back.
template <class T>
class TrioGenerator {
 public:
  // In the producer's task.
  template <class Producer>
  void run(Producer& producer) {
    auto answers = std::move(items_.first);  // Closed at the end, whatever that is.
    auto requests = std::move(requests_.second);
    fibers::as_safe_channel<T>(producer, [&](fibers::SafeReceiveChannel<T>& items) {
      bool more = true;
      while (more && requests.next()) {
        std::optional<T> item = items.next();
        more = item.has_value();
        if (more) answers.send(std::move(*item));
      }
    });
  }
  // In a task of its own. Empty if the producer has ended.
  std::optional<T> fetch() {
    try {
      requests_.first.send({});
    } catch (const fibers::BrokenResourceError&) {
      return std::nullopt;
    }
    return items_.second.next();
  }

 private:
  // The reader sends and the producer receives; the other way round.
  fibers::MemoryChannelPair<std::monostate> requests_ =
      fibers::open_memory_channel<std::monostate>(0);
  fibers::MemoryChannelPair<T> items_ = fibers::open_memory_channel<T>(0);
};

// What asyncio's code reads. However it ends, the producer has ended before.
template <class T, class Producer>
loop::AsyncGenerator<T> read_trio_generator(Producer producer) {
  auto shared = std::make_shared<TrioGenerator<T>>();
  loop::Future<void> ended =
      run_trio([shared, producer = std::move(producer)]() mutable { shared->run(producer); });
  std::exception_ptr error;
  bool more = true;
  while (more) {
    try {
      loop::Future<std::optional<T>> answer = run_trio([shared] { return shared->fetch(); });
      std::optional<T> item = co_await answer;
      more = item.has_value();
      if (more) co_yield std::move(*item);
    } catch (...) {
      error = std::current_exception();
      more = false;
    }
  }
  if (error != nullptr) ended.cancel();
  try {
    co_await ended;
  } catch (const loop::CancelledError&) {
    if (error == nullptr) error = std::current_exception();
  } catch (...) {
    error = std::current_exception();
  }
  if (error != nullptr) std::rethrow_exception(error);
}

}  // namespace detail

// A generator of asyncio's whose code is Trio's: `producer(SafeSendChannel<T>&)`, as for
// as_safe_channel. It runs in a task, which begins with the first next(), and has the flavour and
// the cancellation of one: a reader that is cancelled, and aclose(), cancel it where it waits, and
// go on when it has ended. What it throws is thrown by next(). Dropped before its end it is closed
// by its loop. Throws UsageError, at the first next(), outside a loop of open_loop's.
// (trio-asyncio: trio_as_aio.)
//
// Blocks: no; reading does.
// Cancel: not a checkpoint.
// Threads: the run's own only.
template <class T, class Producer>
requires std::invocable < std::decay_t<Producer>
&, fibers::SafeSendChannel<T>& > loop::AsyncGenerator<T> trio_as_aio(Producer&& producer) {
  return detail::read_trio_generator<T>(std::decay_t<Producer>(std::forward<Producer>(producer)));
}

}  // namespace weft::shim
