// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/check.h"

#include <cstdio>
#include <cstdlib>

#include "fibers/core/scheduler.h"
#include "weft/fibers/inspect.h"

namespace weft::fibers::detail {

void throw_usage_error(const char* what) {
  throw UsageError(what);
}

void broken_invariant(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "weft: internal error, please report this: '%s' does not hold at %s:%d\n",
               condition, file, line);
  if (tls_scheduler != nullptr) std::fputs(dump_task_tree().c_str(), stderr);
  std::abort();
}

}  // namespace weft::fibers::detail
