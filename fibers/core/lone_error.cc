// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/lone_error.h"

#include <algorithm>
#include <vector>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/exception_group.h"

namespace weft::fibers {

namespace {

// What is in a group, in order; not by recursion, for groups may be nested deep.
std::vector<std::exception_ptr> errors_in(const std::exception_ptr& error, bool nested) {
  std::vector<std::exception_ptr> errors;
  std::vector<std::exception_ptr> todo{error};
  bool open = true;
  while (!todo.empty()) {
    const std::exception_ptr next = todo.back();
    todo.pop_back();
    if (!open) {
      errors.push_back(next);
      continue;
    }
    if (const auto* group = exception_cast<BaseExceptionGroup>(next)) {
      todo.insert(todo.end(), group->exceptions().rbegin(), group->exceptions().rend());
    } else {
      errors.push_back(next);
    }
    open = nested;
  }
  return errors;
}

}  // namespace

std::exception_ptr lone_error(const std::exception_ptr& error, const LoneErrorOptions& options) {
  std::vector<std::exception_ptr> errors = errors_in(error, options.nested);
  if (options.interrupt_first) {
    const auto interrupt = std::find_if(errors.begin(), errors.end(), &holds<KeyboardInterrupt>);
    if (interrupt != errors.end()) return *interrupt;
  }
  std::exception_ptr first = errors.front();
  std::erase_if(errors, [](const std::exception_ptr& e) { return holds<Cancelled>(e); });
  if (errors.empty()) return first;
  return errors.size() == 1 ? errors.front() : error;
}

std::exception_ptr detail::bare_cancelled(std::exception_ptr error) {
  if (!holds<BaseExceptionGroup>(error)) return error;
  std::vector<std::exception_ptr> errors = errors_in(error, true);
  return std::all_of(errors.begin(), errors.end(), &holds<Cancelled>) ? errors.front() : error;
}

}  // namespace weft::fibers
