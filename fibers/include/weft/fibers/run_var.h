// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Values that belong to a run: one for all of its tasks, another for every other run. For what a
// library would otherwise keep in a global variable.
//
//   RunVar<std::shared_ptr<Pool>> pool("pool");
//   pool.set(std::make_shared<Pool>());
//   pool.get()->take();                            // Anywhere in the same run.
//
// (Trio: lowlevel.RunVar, lowlevel.RunVarToken.)

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

// A RunVar without a value was read. (Python: LookupError.)
class LookupError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace detail {
std::uint64_t next_run_var();
// Null if there is none. All three throw UsageError outside a run.
std::shared_ptr<void> get_run_value(std::uint64_t var);
// Returns the one before. Null takes the value away.
std::shared_ptr<void> set_run_value(std::uint64_t var, std::shared_ptr<void> value);
void require_token(bool ours, bool used);
}  // namespace detail

template <class T>
class RunVar;

// What RunVar::set returns: the way back to the value before. Movable; used up by one reset().
template <class T>
class RunVarToken {
 private:
  friend class RunVar<T>;
  RunVarToken(std::uint64_t var, std::shared_ptr<void> before)
      : var_(var), before_(std::move(before)) {}

  std::uint64_t var_;
  std::shared_ptr<void> before_;
  bool used_ = false;
};

// A resource, usually of static lifetime. Its values live until the run has ended. All calls throw
// UsageError outside a run; inside they work in tasks and in callbacks of the scheduler alike.
template <class T>
class RunVar {
 public:
  explicit RunVar(std::string name) : name_(std::move(name)) {}
  // With a value for runs in which none has been set.
  RunVar(std::string name, T otherwise) : name_(std::move(name)), default_(std::move(otherwise)) {}
  RunVar(const RunVar&) = delete;
  RunVar& operator=(const RunVar&) = delete;

  const std::string& name() const { return name_; }

  // A copy of this run's value, or of the default. Throws LookupError if there is neither.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  T get() const {
    if (const auto value = current()) return *value;
    if (default_) return *default_;
    throw LookupError("the RunVar '" + name_ +
                      "' has no value in this run; set one first, or name a default");
  }
  // The same, but with `otherwise` in place of the default.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  T get(T otherwise) const {
    const auto value = current();
    return value != nullptr ? *value : std::move(otherwise);
  }
  RunVarToken<T> set(T value) {
    return {id_, detail::set_run_value(id_, std::make_shared<T>(std::move(value)))};
  }
  // Puts back what was there before the set() that returned `token`; nothing, if nothing was.
  // Throws UsageError for another variable's token, and for one that has been used.
  void reset(RunVarToken<T>& token) {
    detail::require_token(token.var_ == id_, token.used_);
    // Destroyed last: its destructor may use this variable and the token.
    const auto replaced = detail::set_run_value(id_, token.before_);
    token.used_ = true;
  }

 private:
  std::shared_ptr<T> current() const {
    return std::static_pointer_cast<T>(detail::get_run_value(id_));
  }

  std::string name_;
  std::optional<T> default_;
  // And not the address: another variable may come to lie there while the run goes on.
  std::uint64_t id_ = detail::next_run_var();
};

}  // namespace weft::fibers
