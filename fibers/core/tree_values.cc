// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/tree_values.h"

#include <algorithm>
#include <memory>

#include "fibers/core/current_scheduler.h"
#include "fibers/core/nursery_access.h"
#include "weft/fibers/tree_var.h"

namespace weft::fibers::detail {

TreeValues::~TreeValues() {
  release_locals(own);
  for (const auto& [nursery, values] : as_opened) release_locals(values);
}

void TreeValues::forget(const Nursery& nursery) noexcept {
  const auto at =
      std::ranges::find(as_opened, &nursery, [](const auto& pair) { return pair.first; });
  if (at == as_opened.end()) return;
  TaskLocals* const values = at->second;
  as_opened.erase(at);
  release_locals(values);  // Last: destructors of the user's may set others.
}

namespace {

const std::shared_ptr<void>* find_in(const TaskLocals* values, std::uint64_t var) {
  for (; values != nullptr; values = values->next) {
    if (values->var == var) return &values->value;
  }
  return nullptr;
}

// What `task` has set, as the tasks of `nursery` see it.
const TaskLocals* values_for(const TaskBlock& task, const Nursery& nursery) {
  if (task.tree_values == nullptr) return nullptr;
  for (const auto& [opened, values] : task.tree_values->as_opened) {
    if (opened == &nursery) return values;
  }
  return task.tree_values->own;
}

// From a nursery upwards. A null value stands for "none"; null if nobody has set anything.
const std::shared_ptr<void>* inherited(const Nursery* nursery, std::uint64_t var) {
  while (nursery != nullptr) {
    const TaskBlock& parent = block_of(nursery->parent_task());
    if (const auto* value = find_in(values_for(parent, *nursery), var)) return value;
    nursery = NurseryAccess::home(parent);
  }
  return nullptr;
}

const std::shared_ptr<void>* value_of(const TaskBlock& task, std::uint64_t var) {
  if (task.tree_values != nullptr) {
    if (const auto* value = find_in(task.tree_values->own, var)) return value;
  }
  return inherited(NurseryAccess::home(task), var);
}

std::shared_ptr<const void> held(const std::shared_ptr<void>* value) {
  return value != nullptr ? *value : nullptr;
}

}  // namespace

const void* find_tree_value(std::uint64_t var) {
  const std::shared_ptr<void>* value = value_of(*scheduler_of_task().running(), var);
  return value != nullptr ? value->get() : nullptr;
}

std::shared_ptr<const void> hold_tree_value(std::uint64_t var) {
  return held(value_of(*scheduler_of_task().running(), var));
}

std::shared_ptr<const void> hold_tree_value(std::uint64_t var, const Task& task) {
  return held(value_of(block_of(task), var));
}

std::shared_ptr<const void> hold_tree_value(std::uint64_t var, const Nursery& nursery) {
  return held(inherited(&nursery, var));
}

// Puts the value into the list that is there, if nobody shares it up to that place. Allocates
// nothing: what TreeVar::being() puts back must not fail.
static bool replace_in_own(TaskLocals* values, std::uint64_t var, std::shared_ptr<void>& value) {
  for (; values != nullptr && values->uses == 1; values = values->next) {
    if (values->var != var) continue;
    values->value.swap(value);
    return true;
  }
  return false;
}

std::shared_ptr<void> set_tree_value(std::uint64_t var, std::shared_ptr<void> value) {
  TaskBlock& me = *scheduler_of_task().running();
  const auto* found = value_of(me, var);
  std::shared_ptr<void> before = found != nullptr ? *found : nullptr;
  if (me.tree_values == nullptr) me.tree_values = new TreeValues;
  TreeValues& values = *me.tree_values;
  for (Nursery* n = me.innermost_nursery; n != nullptr; n = NurseryAccess::next(*n)) {
    const auto known = [n](const auto& pair) { return pair.first == n; };
    if (std::ranges::any_of(values.as_opened, known)) continue;
    values.as_opened.emplace_back(n, values.own);
    share_locals(values.own);
  }
  if (!replace_in_own(values.own, var, value)) set_in_list(values.own, var, std::move(value));
  return before;
}

std::uint64_t tree_task() {
  return scheduler_of_task().running()->number;
}

void require_tree_token(bool ours, bool used, std::uint64_t task) {
  WEFT_REQUIRE(ours, "TreeVar::reset with a token of another variable");
  WEFT_REQUIRE(!used, "TreeVar::reset with a token that has been used; each set() returns its own");
  WEFT_REQUIRE(task == tree_task(),
               "TreeVar::reset with the token of another task; reset where you have set");
}

}  // namespace weft::fibers::detail
