// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/deadlock_report.h"

#include <utility>

#include "weft/fibers/inspect.h"
#include "weft/fibers/log.h"
#include "weft/fibers/run.h"

namespace weft::fibers {

DeadlockReport::DeadlockReport(Sink sink) : sink_(std::move(sink)) {
  if (!sink_) sink_ = [](const std::string& report) { log(LogLevel::kWarning, report); };
}

void DeadlockReport::before_io_wait(Duration timeout) {
  if (timeout == Duration::zero()) return;
  const RunStatistics now = current_statistics();
  // Without a deadline the run may still wake up, to give memory back.
  if (now.tasks_runnable > 0 || now.deadlines > 0 || now.fds_watched > 0) return;
  // Who has let go of the last token may have called before that.
  if (now.tokens > 0 || now.run_sync_soon_queue_size > 0) return;
  std::string report = "nothing in this run can happen any more, unless by a signal:\n" +
                       dump_waits() + dump_task_tree();
  if (report == last_) return;
  last_ = std::move(report);
  sink_(last_);
}

}  // namespace weft::fibers
