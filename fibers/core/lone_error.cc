// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/lone_error.h"

#include <utility>
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
    std::exception_ptr next = std::move(todo.back());
    todo.pop_back();
    const auto* group = open ? exception_cast<BaseExceptionGroup>(next) : nullptr;
    if (group == nullptr) {
      errors.push_back(std::move(next));
      continue;
    }
    const auto& inside = group->exceptions();
    for (std::size_t i = inside.size(); i-- > 0;) {
      std::exception_ptr copy = inside[i];
      todo.push_back(std::move(copy));
    }
    open = nested;
  }
  return errors;
}

// Loops: the standard algorithms are unrolled, wherever they stand.
const std::exception_ptr* find_interrupt(const std::vector<std::exception_ptr>& errors) {
  for (const std::exception_ptr& e : errors) {
    if (holds<KeyboardInterrupt>(e)) return &e;
  }
  return nullptr;
}

bool all_cancelled(const std::vector<std::exception_ptr>& errors) {
  for (const std::exception_ptr& e : errors) {
    if (!holds<Cancelled>(e)) return false;
  }
  return true;
}

}  // namespace

std::exception_ptr lone_error(const std::exception_ptr& error, const LoneErrorOptions& options) {
  std::vector<std::exception_ptr> errors = errors_in(error, options.nested);
  if (options.interrupt_first) {
    if (const std::exception_ptr* interrupt = find_interrupt(errors)) return *interrupt;
  }
  std::exception_ptr first = errors.front();
  std::erase_if(errors, [](const std::exception_ptr& e) { return holds<Cancelled>(e); });
  if (errors.empty()) return first;
  return errors.size() == 1 ? errors.front() : error;
}

std::exception_ptr detail::bare_cancelled(std::exception_ptr error) {
  if (!holds<BaseExceptionGroup>(error)) return error;
  std::vector<std::exception_ptr> errors = errors_in(error, true);
  return all_cancelled(errors) ? errors.front() : error;
}

bool detail::has_interrupt_inside(const std::exception_ptr& error) {
  return find_interrupt(errors_in(error, true)) != nullptr;
}

}  // namespace weft::fibers
