// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/sanitizers.h"

#include <mutex>

#include "fibers/core/current_scheduler.h"
#include "fibers/core/raw_line.h"

// What every file that includes weft's headers asks for: see detail/sanitizers.h.
extern "C" {
const char WEFT_BUILT_FOR_ADDRESS = 0;
const char WEFT_BUILT_FOR_THREAD = 0;
}

namespace weft::fibers::detail {

#ifdef WEFT_ASAN

namespace {

void name_running_task(const char* /*report*/) {
  if (tls_scheduler == nullptr || tls_scheduler->running() == nullptr) return;
  const TaskBlock& task = *tls_scheduler->running();
  RawLine line;
  line << "weft: in task '" << task.name() << "' #" << task.number << ", started at " << task.site
       << ", with a stack of " << (task.stack.size - guard_size(task.stack.size)) / 1024
       << " KiB\n";
  line.write();
}

}  // namespace

// Not the death callback of sanitizers, which UBSan would ask too: fuzzers need that one.
void name_tasks_in_reports() {
  static std::once_flag once;
  std::call_once(once, [] { __asan_set_error_report_callback(&name_running_task); });
}

#else

void name_tasks_in_reports() {}

#endif

// TSan keeps 63 characters.
void name_tsan_fiber([[maybe_unused]] const TaskBlock& task) {
#ifdef WEFT_TSAN
  std::string_view file = task.site.file_name();
  file.remove_prefix(file.rfind('/') + 1);
  RawLine line;
  line << task.name().substr(0, 32) << " #" << task.number << ", " << file << ":"
       << std::uint64_t{task.site.line()} << std::string_view("", 1);
  __tsan_set_fiber_name(task.context.tsan_fiber, line.text().data());
#endif
}

}  // namespace weft::fibers::detail
