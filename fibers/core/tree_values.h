// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a task has set of the tree variables. A task inherits by looking: at its nursery's parent,
// and on upwards; so starting a task and opening a nursery have nothing to do for it. (See
// weft/fibers/tree_var.h.)

#pragma once

#include <utility>
#include <vector>

#include "fibers/core/task_locals.h"

namespace weft::fibers {
class Nursery;
}

namespace weft::fibers::detail {

// Made when the task first sets one. Both lists are counted.
struct TreeValues {
  TreeValues() = default;
  TreeValues(const TreeValues&) = delete;
  TreeValues& operator=(const TreeValues&) = delete;
  ~TreeValues();

  // Called when that nursery of the task closes.
  void forget(const Nursery& nursery) noexcept;

  TaskLocals* own = nullptr;
  // How `own` was before the first change since a nursery was opened, for the nurseries that are
  // open. Of the others it is what their tasks see.
  std::vector<std::pair<const Nursery*, TaskLocals*>> as_opened;
};

}  // namespace weft::fibers::detail
