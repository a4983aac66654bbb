// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/check.h"

#include <cstdio>
#include <cstdlib>
#include <source_location>
#include <string>
#include <system_error>

#include "fibers/core/current_scheduler.h"
#include "weft/fibers/detail/destroyed.h"
#include "weft/fibers/inspect.h"

namespace weft::fibers::detail {

void throw_usage_error(const char* what) {
  throw UsageError(what);
}

void throw_system_error(int error, const char* what) {
  // From a literal the standard library makes the sum by another way, of 600 bytes more.
  throw std::system_error(error, std::generic_category(), std::string(what));
}

void broken_invariant(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "weft: internal error, please report this: '%s' does not hold at %s:%d\n",
               condition, file, line);
  if (tls_scheduler != nullptr) std::fputs(dump_task_tree().c_str(), stderr);
  std::abort();
}

void destroyed_in_use(const char* kind, const void* object, const Task* task,
                      const char* does) noexcept {
  std::fprintf(stderr, "weft: the %s at %p is destroyed while ", kind, object);
  if (task == nullptr) {
    std::fprintf(stderr, "a task %s. ", does);
  } else {
    const std::source_location site = task->spawn_site();
    const std::string name(task->name());
    std::fprintf(stderr, "the task '%s', started at %s:%u, %s. ", name.c_str(), site.file_name(),
                 static_cast<unsigned>(site.line()), does);
  }
  std::fputs("Declare it outside of the nursery of the tasks that use it\n", stderr);
  if (tls_scheduler != nullptr) std::fputs(dump_task_tree().c_str(), stderr);
  std::abort();
}

}  // namespace weft::fibers::detail
