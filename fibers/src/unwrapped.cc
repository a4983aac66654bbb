// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/unwrapped.h"

#include <vector>

#include "weft/fibers/cancelled.h"

namespace weft::fibers {

namespace {

// The leaves of a group, in order; not by recursion, for groups may be nested deep.
std::vector<std::exception_ptr> leaves_of(const std::exception_ptr& error) {
  std::vector<std::exception_ptr> leaves;
  std::vector<std::exception_ptr> todo{error};
  while (!todo.empty()) {
    const std::exception_ptr next = todo.back();
    todo.pop_back();
    try {
      std::rethrow_exception(next);
    } catch (const BaseExceptionGroup& group) {
      todo.insert(todo.end(), group.exceptions().rbegin(), group.exceptions().rend());
    } catch (...) {
      leaves.push_back(next);
    }
  }
  return leaves;
}

}  // namespace

std::exception_ptr lone_error(const std::exception_ptr& error) {
  std::vector<std::exception_ptr> leaves = leaves_of(error);
  std::exception_ptr first = leaves.front();
  std::erase_if(leaves, [](const std::exception_ptr& leaf) { return holds<Cancelled>(leaf); });
  if (leaves.empty()) return first;
  return leaves.size() == 1 ? leaves.front() : error;
}

}  // namespace weft::fibers
