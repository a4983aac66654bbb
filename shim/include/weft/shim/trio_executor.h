// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// run_in_executor on the threads that tasks use.
//
//   fibers::CapacityLimiter limiter(4);
//   TrioExecutor executor({.limiter = &limiter});
//   std::string text = await(loop.run_in_executor(&executor, [path] { return slurp(path); }));

#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "weft/fibers/capacity_limiter.h"
#include "weft/loop/executor.h"

namespace weft::shim {

struct TrioExecutorOptions {
  // Whose tokens the jobs hold, one each; it outlives open_loop. Null: see max_workers.
  fibers::CapacityLimiter* limiter = nullptr;
  // The name of the threads, for debuggers.
  std::string thread_name_prefix = {};
  // Without a limiter: how many jobs run at a time. 0: as many as the run's own limiter lets.
  std::size_t max_workers = 0;
};

// An executor over to_thread::run_sync. Each job is a task of run_trio_task, which waits for a
// token, and for the thread: so the end of open_loop drops jobs that have not begun, and waits for
// the others. A resource; belongs to one run. (trio-asyncio: TrioExecutor.)
class TrioExecutor final : public loop::Executor {
 public:
  explicit TrioExecutor(TrioExecutorOptions options = {});
  ~TrioExecutor() override;

 private:
  // Inside a loop of open_loop's only, on its thread: throws UsageError elsewhere, and after
  // shutdown().
  void execute(Job job) override;
  // Only refuses further jobs: it never waits. The end of open_loop does.
  void shut_down(const loop::ShutdownOptions& options) override;

  const TrioExecutorOptions options_;
  std::shared_ptr<fibers::CapacityLimiter> own_limiter_;
  bool down_ = false;
};

}  // namespace weft::shim

namespace weft {
using shim::TrioExecutor;
}  // namespace weft
