// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/catch.h"

#include <algorithm>

#include "weft/fibers/lone_error.h"
#include "weft/fibers/throw_backtrace.h"

namespace weft::fibers::detail {

namespace {

// What the handlers of one catch_ leave of an error.
class Dispatch {
 public:
  explicit Dispatch(const std::exception_ptr& error)
      : error_(error), was_group_(holds<BaseExceptionGroup>(error)) {
    whole_ = was_group_ ? error : make_exception_group("", {error});
    rest_ = whole_;
  }

  void run(const CatchHandler& handler) {
    if (rest_ == nullptr) return;
    auto [matched, unmatched] = split(rest_, handler.matches);
    rest_ = std::move(unmatched);
    if (matched == nullptr) return;
    try {
      try {
        std::rethrow_exception(matched);
      } catch (...) {
        handler.handle(matched);
      }
    } catch (...) {
      const std::exception_ptr raised = std::current_exception();
      (raised == matched ? passed_on_ : raised_).push_back(raised);
    }
  }

  // Null: everything has been handled.
  std::exception_ptr outcome() {
    std::exception_ptr left = what_is_left();
    if (left != error_) left = bare_cancelled(std::move(left));
    if (raised_.empty()) return left;
    if (left != nullptr) raised_.push_back(left);
    if (raised_.size() == 1) return raised_.front();
    return bare_cancelled(
        make_exception_group("errors from handlers of catch_", std::move(raised_)));
  }

 private:
  // Parts that were passed on go back to where they were in the whole.
  std::exception_ptr what_is_left() {
    if (rest_ == whole_) return error_;
    if (passed_on_.empty()) return rest_;
    if (rest_ == nullptr && passed_on_.size() == 1) return passed_on_.front();
    Leaves kept;
    add_leaves(rest_, kept);
    for (const std::exception_ptr& part : passed_on_) add_leaves(part, kept);
    std::sort(kept.begin(), kept.end());
    return split(whole_,
                 [&kept](const std::exception_ptr& e) {
                   return std::binary_search(kept.begin(), kept.end(), exception_address(e));
                 })
        .first;
  }

  // By their addresses, which can be sorted: a group may be wide.
  using Leaves = std::vector<const void*>;

  static void add_leaves(const std::exception_ptr& error, Leaves& found) {
    std::vector<std::exception_ptr> todo;
    if (error != nullptr) todo.push_back(error);
    while (!todo.empty()) {
      const std::exception_ptr e = std::move(todo.back());
      todo.pop_back();
      if (const auto* group = exception_cast<BaseExceptionGroup>(e)) {
        todo.insert(todo.end(), group->exceptions().begin(), group->exceptions().end());
      } else {
        found.push_back(exception_address(e));
      }
    }
  }

  const std::exception_ptr& error_;
  const bool was_group_;
  std::exception_ptr whole_;  // The error, or the group made for it.
  std::exception_ptr rest_;   // What no handler has matched yet.
  std::vector<std::exception_ptr> raised_;
  std::vector<std::exception_ptr> passed_on_;
};

}  // namespace

void dispatch_to_handlers(const std::exception_ptr& error,
                          const std::vector<CatchHandler>& handlers) {
  std::exception_ptr left;
  {
    Dispatch dispatch(error);
    for (const CatchHandler& handler : handlers) dispatch.run(handler);
    left = dispatch.outcome();
  }
  if (left != nullptr) std::rethrow_exception(std::move(left));
}

void throw_rest(const std::exception_ptr& error, const ExceptionPredicate& dropped) {
  std::exception_ptr rest = split(error, dropped).second;
  if (rest != error) rest = bare_cancelled(std::move(rest));
  if (rest != nullptr) std::rethrow_exception(std::move(rest));
}

}  // namespace weft::fibers::detail
