// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// An executor with a limited number of threads.
//
//   ThreadPoolExecutor pool({.max_workers = 4});
//   Future<Image> image = loop.run_in_executor(&pool, [path] { return decode(path); });
//   ConcurrentFuture<Image> other = pool.submit([path] { return decode(path); });
//
// (Python: concurrent.futures.ThreadPoolExecutor. There is no initializer: the threads are those of
// to_thread, which are shared by the whole process and end when they have been idle for a while.)

#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "weft/loop/executor.h"

namespace weft::loop {

struct ThreadPoolOptions {
  // 0: four more than there are processors, and at most 32.
  std::size_t max_workers = 0;
  // The threads are "<prefix>_0", "<prefix>_1" ..., of which debuggers show 15 bytes.
  std::string thread_name_prefix = {};
};

// Jobs begin in the order of submit(). The destructor waits for all of them, as shutdown() does,
// because they may refer to what was declared before: declare the executor after what its jobs use.
// After a shutdown() of any kind it does not wait.
class ThreadPoolExecutor final : public Executor {
 public:
  explicit ThreadPoolExecutor(ThreadPoolOptions options = {});
  ~ThreadPoolExecutor() override;

 private:
  struct State;
  class Worker;

  void execute(Job job) override;
  void shut_down(const ShutdownOptions& options) override;

  const std::shared_ptr<State> state_;  // Shared with the threads at work.
};

}  // namespace weft::loop
