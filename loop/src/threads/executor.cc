// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/executor.h"

#include <utility>

namespace weft::loop {

void Executor::Job::operator()() noexcept {
  detail::ConcurrentFutureCore* const future = std::exchange(future_, nullptr);
  if (future == nullptr) return;
  future->run_job();
  future->release();
}

void Executor::Job::drop() noexcept {
  future_->cancel();
  future_->release();
}

void Executor::submit_job(detail::ConcurrentFutureCore& job) {
  job.retain();
  execute(Job(&job));
}

}  // namespace weft::loop
