// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/shim/trio_executor.h"

#include <utility>

#include "weft/fibers/errors.h"
#include "weft/fibers/to_thread.h"
#include "weft/shim/trio_as_aio.h"

namespace weft::shim {

TrioExecutor::TrioExecutor(TrioExecutorOptions options) : options_(std::move(options)) {
  if (options_.limiter == nullptr && options_.max_workers > 0) {
    own_limiter_ = std::make_shared<fibers::CapacityLimiter>(options_.max_workers);
  }
}

TrioExecutor::~TrioExecutor() = default;

void TrioExecutor::execute(Job job) {
  if (down_) throw fibers::UsageError("Executor is down; make a new one");
  fibers::to_thread::ThreadOptions how{
      .thread_name = options_.thread_name_prefix,
      .limiter = options_.limiter != nullptr ? options_.limiter : own_limiter_.get()};
  // The limiter goes with the last job: those may outlive the executor.
  run_trio_task([job = std::move(job), how = std::move(how), kept = own_limiter_]() mutable {
    fibers::to_thread::run_sync([&job] { job(); }, how);
  });
}

void TrioExecutor::shut_down(const loop::ShutdownOptions& /*options*/) {
  down_ = true;
}

}  // namespace weft::shim
