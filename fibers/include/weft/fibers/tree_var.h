// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Values that follow the tree of tasks: a new task has the value that was in force where its
// nursery was opened, whoever starts it. For what a surrounding block provides, and what must not
// leak in from a caller: the present connection, a span, a supervisor.
//
//   TreeVar<std::string> tenant("tenant");
//   tenant.being("blue", [&] {
//     open_nursery([&](Nursery& nursery) {          // all that is started here is blue's,
//       serve_tcp(handle, 80, {.nursery = &nursery});   // also by a call from a red task
//     });
//   });
//
// A ContextVar, in contrast, goes from whoever calls start_soon to the task. (tricycle: TreeVar.)

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "weft/fibers/detail/variable_id.h"
#include "weft/fibers/run_var.h"  // LookupError

namespace weft::fibers {

class Task;
class Nursery;

namespace detail {
// Null if there is none. The first two throw UsageError outside a task.
const void* find_tree_value(std::uint64_t var);
std::shared_ptr<const void> hold_tree_value(std::uint64_t var);
// Returns the one before. Null takes the value away.
std::shared_ptr<void> set_tree_value(std::uint64_t var, std::shared_ptr<void> value);
std::shared_ptr<const void> hold_tree_value(std::uint64_t var, const Task& task);
std::shared_ptr<const void> hold_tree_value(std::uint64_t var, const Nursery& nursery);
std::uint64_t tree_task();
void require_tree_token(bool ours, bool used, std::uint64_t task);
}  // namespace detail

template <class T>
class TreeVar;

// What TreeVar::set returns: the way back to the value before, for the same task. Movable; used up
// by one reset().
template <class T>
class TreeVarToken {
 private:
  friend class TreeVar<T>;
  TreeVarToken(std::uint64_t var, std::shared_ptr<void> before)
      : var_(var), before_(std::move(before)), task_(detail::tree_task()) {}

  std::uint64_t var_;
  std::shared_ptr<void> before_;
  std::uint64_t task_;
  bool used_ = false;
};

// A resource, usually of static lifetime. All but get_in throw UsageError
// outside a task.
template <class T>
class TreeVar {
 public:
  explicit TreeVar(std::string name) : name_(std::move(name)) {}
  // With a value for where none has been set.
  TreeVar(std::string name, T otherwise) : name_(std::move(name)), default_(std::move(otherwise)) {}
  TreeVar(const TreeVar&) = delete;
  TreeVar& operator=(const TreeVar&) = delete;

  const std::string& name() const { return name_; }

  // The value of this task without a copy, or null; not the default. Good until this task sets the
  // variable, or ends.
  const T* find() const { return static_cast<const T*>(detail::find_tree_value(id_.get())); }
  // A copy of it, or of the default. Throws LookupError if there is neither.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  T get() const { return or_default(detail::hold_tree_value(id_.get())); }
  // The same, but with `otherwise` in place of the default.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  T get(T otherwise) const {
    const auto value = detail::hold_tree_value(id_.get());
    return value != nullptr ? *static_cast<const T*>(value.get()) : std::move(otherwise);
  }
  // The value that get() would return in that task; of a nursery: in a task started there now.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  T get_in(const Task& task) const { return or_default(detail::hold_tree_value(id_.get(), task)); }
  T get_in(const Nursery& nursery) const {
    return or_default(detail::hold_tree_value(id_.get(), nursery));
  }

  // For this task from now on, and for the nurseries that it opens from now on. What goes on in
  // those that are open keeps the value from before, and so does what is started there later.
  TreeVarToken<T> set(T value) {
    const std::uint64_t id = id_.make();
    return {id, detail::set_tree_value(id, std::make_shared<T>(std::move(value)))};
  }
  // Puts back what was there before the set() that returned `token`. Throws UsageError for the
  // token of another variable or task, and for one that has been used.
  void reset(TreeVarToken<T>& token) {
    detail::require_tree_token(token.var_ == id_.get(), token.used_, token.task_);
    // Destroyed last: its destructor may use this variable and the token.
    const auto replaced = detail::set_tree_value(token.var_, token.before_);
    token.used_ = true;
  }
  // Runs `body` with that value, and puts back the one before.
  //
  // Blocks: only if `body` does.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  template <class F>
  auto being(T value, F&& body) -> std::invoke_result_t<F> {
    struct Restore {
      TreeVarToken<T> token;
      ~Restore() { detail::set_tree_value(token.var_, std::move(token.before_)); }
    } restore{set(std::move(value))};
    return std::invoke(std::forward<F>(body));
  }

 private:
  // Held while it is copied, for its copy constructor may set the variable, or wait.
  T or_default(const std::shared_ptr<const void>& value) const {
    if (value != nullptr) return *static_cast<const T*>(value.get());
    if (default_) return *default_;
    throw LookupError("the TreeVar '" + name_ +
                      "' has no value here; set one further up, or name a default");
  }

  std::string name_;
  std::optional<T> default_;
  detail::VariableId id_;
};

}  // namespace weft::fibers
