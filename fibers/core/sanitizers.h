// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What reports of sanitizers say about tasks. Beside the switch, of which they are told in
// context.h.

#pragma once

#include "fibers/core/task.h"

namespace weft::fibers::detail {

// ASan: from now on each report ends with the task that was running. A program that has an error
// report callback of its own sets it after its first run has begun.
void name_tasks_in_reports();

// TSan: reports call the task's fiber by its name, number and spawn site.
void name_tsan_fiber(const TaskBlock& task);

}  // namespace weft::fibers::detail
