// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/cancelled.h"

#include <memory>
#include <new>
#include <string>

#include "fibers/core/cancel_status.h"
#include "fibers/core/task.h"
#include "fibers/core/text.h"

namespace weft::fibers {

namespace detail {

std::shared_ptr<const CancelReason> with_words(const CancelReason& bare, std::string_view words,
                                               const TaskBlock* by) noexcept {
  if (words.empty() && by == nullptr) return unowned(bare);
  try {
    auto reason = std::make_shared<CancelReason>();
    reason->source = bare.source;
    reason->reason = std::string(words);
    if (by != nullptr) reason->source_task = std::string(by->name());
    return reason;
  } catch (const std::bad_alloc&) {
    return unowned(bare);
  }
}

}  // namespace detail

std::string_view Cancelled::source() const {
  return reason_->source;
}
std::string_view Cancelled::reason() const {
  return reason_->reason;
}
std::string_view Cancelled::source_task() const {
  return reason_->source_task;
}

std::string Cancelled::what() const {
  std::string text = detail::concat({"cancelled due to ", reason_->source});
  if (!reason_->reason.empty()) detail::append(text, {" with reason '", reason_->reason, "'"});
  if (!reason_->source_task.empty()) {
    detail::append(text, {" from task '", reason_->source_task, "'"});
  }
  return text;
}

}  // namespace weft::fibers
