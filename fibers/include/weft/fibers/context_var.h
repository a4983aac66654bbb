// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Values that follow the flow of a program: each task has its own, and a new task starts with those
// of the task that started it. (Python: contextvars.ContextVar; Trio: task contexts.)
//
//   ContextVar<std::string> request_id("request_id");
//   request_id.set("42");              // this task, and what it starts from now on
//   log(request_id.get_or("none"));

#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "weft/fibers/errors.h"

namespace weft::fibers {

namespace detail {
std::shared_ptr<void> get_local(const void* key);
void set_local(const void* key, std::shared_ptr<void> value);
}  // namespace detail

// A resource, usually of static lifetime: its address is the key.
template <class T>
class ContextVar {
 public:
  explicit ContextVar(const char* name) : name_(name) {}
  ContextVar(const ContextVar&) = delete;
  ContextVar& operator=(const ContextVar&) = delete;

  const char* name() const { return name_; }
  // The running task's value, or nothing. Throws UsageError outside a task, as the others do.
  std::optional<T> get() const {
    const auto value = std::static_pointer_cast<T>(detail::get_local(this));
    return value == nullptr ? std::nullopt : std::optional<T>(*value);
  }
  T get_or(T otherwise) const { return get().value_or(std::move(otherwise)); }
  void set(T value) { detail::set_local(this, std::make_shared<T>(std::move(value))); }

 private:
  const char* name_;
};

}  // namespace weft::fibers
