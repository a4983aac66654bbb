// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <utility>

#include "weft/loop/task.h"

namespace weft::loop {

void eager_task_factory(EventLoop& /*loop*/, const TaskBase& /*task*/, TaskOptions& options) {
  options.eager_start = true;
}

TaskFactory create_eager_task_factory(TaskFactory custom) {
  return [custom = std::move(custom)](EventLoop& loop, const TaskBase& task, TaskOptions& options) {
    if (custom) custom(loop, task, options);
    eager_task_factory(loop, task, options);
  };
}

}  // namespace weft::loop
