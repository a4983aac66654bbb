// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// From tasks to asynchronous generators of the loop.
//
//   for (const Row& row : aio_as_trio(rows_of(connection))) use(row);   // AsyncGenerator<Row>

#pragma once

#include <iterator>
#include <optional>
#include <utility>

#include "weft/fibers/lowlevel.h"
#include "weft/loop/async_generator.h"
#include "weft/loop/event_loop.h"
#include "weft/shim/run_aio_future.h"

namespace weft::shim {

// A generator of asyncio's, for a task of Trio's to read. Each call runs it in a task of the loop,
// with the caller's context variables. Moves. One that is dropped before its end is closed by its
// loop, in asyncio's flavour.
template <class T>
class AioGenerator {
 public:
  AioGenerator(loop::EventLoop& loop, loop::AsyncGenerator<T> generator) noexcept
      : loop_(&loop), generator_(std::move(generator)) {}

  // The next value; empty at the end, and from then on. Throws what the generator throws.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: the generator gets loop::CancelledError where it waits, once; then it goes on waiting,
  // and what the generator does decides, as with run_aio_future.
  // Threads: the run's own only.
  std::optional<T> next() {
    fibers::checkpoint_if_cancelled();
    return run_aio_future<std::optional<T>>(loop_->create_task(generator_.next()));
  }
  // Ends it: GeneratorExit at its yield; returns when it has cleaned up. Harmless when repeated.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: as next().
  // Threads: the run's own only.
  void aclose() {
    fibers::checkpoint_if_cancelled();
    run_aio_future<void>(loop_->create_task(generator_.aclose()));
  }

  class Iterator {
   public:
    explicit Iterator(AioGenerator& generator) : generator_(&generator) { ++*this; }
    T& operator*() { return *value_; }
    Iterator& operator++() {
      value_ = generator_->next();
      return *this;
    }
    bool operator==(std::default_sentinel_t) const { return !value_.has_value(); }

   private:
    AioGenerator* generator_;
    std::optional<T> value_;
  };
  // `for (T& value : generator)`: each step is a next().
  //
  // Blocks: yes, each step is a checkpoint.
  // Cancel: as next().
  // Threads: the run's own only.
  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  loop::EventLoop* loop_;
  loop::AsyncGenerator<T> generator_;
};

// The same as aio_as_trio of a generator, for a loop of your choice. (trio-asyncio:
// run_aio_generator; there a cancelled task goes on before the generator has cleaned up.)
//
// Blocks: no; reading does.
// Cancel: not a checkpoint.
// Threads: the run's own only.
template <class T>
AioGenerator<T> run_aio_generator(loop::EventLoop& loop, loop::AsyncGenerator<T> generator) {
  return {loop, std::move(generator)};
}

}  // namespace weft::shim

namespace weft {
using shim::run_aio_generator;
}  // namespace weft
