// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/run_values.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "fibers/core/current_scheduler.h"
#include "weft/fibers/run_var.h"

namespace weft::fibers::detail {

std::shared_ptr<void> RunValues::get(std::uint64_t var) const {
  const auto at = std::ranges::find(values_, var, &Value::var);
  return at != values_.end() ? at->value : nullptr;
}

std::shared_ptr<void> RunValues::set(std::uint64_t var, std::shared_ptr<void> value) {
  const auto at = std::ranges::find(values_, var, &Value::var);
  if (at == values_.end()) {
    if (value != nullptr) values_.push_back({var, std::move(value)});
    return nullptr;
  }
  std::shared_ptr<void> before = std::exchange(at->value, std::move(value));
  if (at->value == nullptr) values_.erase(at);
  return before;
}

std::uint64_t next_run_var() {
  // Variables are made by any thread, once in their life.
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

std::shared_ptr<void> get_run_value(std::uint64_t var) {
  return current_scheduler().run_values.get(var);
}

std::shared_ptr<void> set_run_value(std::uint64_t var, std::shared_ptr<void> value) {
  return current_scheduler().run_values.set(var, std::move(value));
}

void require_token(bool ours, bool used) {
  WEFT_REQUIRE(ours, "RunVar::reset with a token of another variable");
  WEFT_REQUIRE(!used, "RunVar::reset with a token that has been used; each set() returns its own");
}

}  // namespace weft::fibers::detail
