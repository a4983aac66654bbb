// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/core/reports.h"

#include <array>
#include <cstdio>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "loop/core/loop_core.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/log.h"
#include "weft/fibers/no_suspend.h"
#include "weft/loop/detail/task_core.h"

namespace weft::loop::detail {

std::string place(const std::source_location& site) {
  const std::string file = site.file_name();
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(site.line());
}

namespace {

std::string describe(const ExceptionContext& context) {
  std::string text = context.message.empty() ? "Unhandled error in event loop" : context.message;
  if (context.source.line() != 0) text += " (from " + place(context.source) + ")";
  if (context.exception != nullptr) {
    text += ": " + fibers::describe_exception(context.exception);
  }
  return text;
}

std::string failed_handler_text(const ExceptionContext& context) noexcept {
  try {
    return "Unhandled error in exception handler, called for '" + describe(context) + "'";
  } catch (const std::bad_alloc&) {
    return {};
  }
}

}  // namespace

void Reports::report_by_default(const ExceptionContext& context) {
  try {
    fibers::log(fibers::LogLevel::kError, describe(context));
  } catch (const std::bad_alloc&) {
    // The owner is told all the same.
  }
  if (default_exception_handler == nullptr || core_.facade() == nullptr) return;
  const ExceptionHandler owner = default_exception_handler;
  owner(*core_.facade(), context);
}

// Logs what the default handler throws: it must not end the loop. A direct call of it, from
// elsewhere, does throw.
void Reports::report_in_the_end(const ExceptionContext& context) {
  try {
    report_by_default(context);
  } catch (const fibers::Cancelled&) {
    throw;
  } catch (const fibers::KeyboardInterrupt&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (...) {
    fibers::detail::log_quietly(fibers::LogLevel::kError, [] {
      return "Exception in default exception handler: " +
             fibers::describe_exception(std::current_exception());
    });
  }
}

// While it lives, the variables here are those of what has failed. What is set meanwhile stays with
// that.
class Reports::InContextOf {
 public:
  InContextOf(TaskCore* task, HandleNode* node)
      : task_(task), node_(node), place_(fibers::detail::place_of_own_locals()) {
    if ((task_ == nullptr && node_ == nullptr) || place_ == nullptr) {
      place_ = nullptr;
      return;
    }
    outside_ = std::exchange(*place_, fibers::detail::share_locals(of_failed()));
  }
  InContextOf(const InContextOf&) = delete;
  InContextOf& operator=(const InContextOf&) = delete;
  ~InContextOf() {
    if (place_ == nullptr) return;
    fibers::detail::TaskLocals* const kept = std::exchange(*place_, outside_);
    if (task_ != nullptr) {
      task_->set_context(kept);
    } else {
      fibers::detail::release_locals(std::exchange(node_->context, kept));
    }
  }

 private:
  fibers::detail::TaskLocals* of_failed() const {
    return task_ != nullptr ? fibers::ContextAccess::locals(task_->context()) : node_->context;
  }

  TaskCore* const task_;
  HandleNode* const node_;
  fibers::detail::TaskLocals** place_;  // Null: nothing is changed.
  fibers::detail::TaskLocals* outside_ = nullptr;
};

void Reports::report(const ExceptionContext& context, TaskCore* task) {
  if (exception_handler == nullptr || core_.facade() == nullptr) return report_in_the_end(context);
  const ExceptionHandler handler = exception_handler;  // It may put another in its place.
  try {
    const InContextOf inside(task, HandleAccess::node(context.handle));
    handler(*core_.facade(), context);
  } catch (const fibers::Cancelled&) {
    throw;
  } catch (const fibers::KeyboardInterrupt&) {
    throw;
  } catch (...) {
    report_in_the_end({.message = failed_handler_text(context),
                       .exception = std::current_exception(),
                       .handle = context.handle,
                       .future = context.future,
                       .source = context.source});
  }
}

std::exception_ptr Reports::try_to_report(const ExceptionContext& context) noexcept {
  try {
    report(context);
    return nullptr;
  } catch (...) {
    return std::current_exception();
  }
}

void Reports::report_without_throwing(const ExceptionContext& context) noexcept {
  std::exception_ptr error = try_to_report(context);
  // A Cancelled comes again at the next wait.
  if (error != nullptr && !fibers::holds<fibers::Cancelled>(error)) late_error_ = std::move(error);
}

std::string text(const char* message) noexcept {
  try {
    return message;
  } catch (const std::bad_alloc&) {
    return {};
  }
}

ExceptionContext callback_context(HandleNode* node, std::exception_ptr error) {
  ++node->refs;
  return {.message = text("Exception in callback"),
          .exception = std::move(error),
          .handle = HandleAccess::wrap(node),
          .source = node->site};
}

namespace {

std::string describe(const SlowCallback& slow) {
  std::array<char, 32> seconds{};
  std::snprintf(seconds.data(), seconds.size(), "%.3f",
                std::chrono::duration<double>(slow.took).count());
  std::string text = slow.task_name.empty() ? "Executing the callback"
                                            : "Executing a step of task '" + slow.task_name + "'";
  return text += " from " + place(slow.source) + " took " + seconds.data() + " seconds";
}

}  // namespace

void Reports::report_slow(fibers::Duration took, const HandleNode& node) noexcept {
  if (took < slow_callback_duration) return;
  try {
    SlowCallback slow{.took = took, .source = node.site};
    if (node.kind == NodeKind::kTask)
      slow.task_name = static_cast<const TaskNode&>(node).task.name();
    if (slow_callback_handler == nullptr || core_.facade() == nullptr) {
      return fibers::log(fibers::LogLevel::kWarning, describe(slow));
    }
    const SlowCallbackHandler handler = slow_callback_handler;  // It may put another in its place.
    std::optional<fibers::NoSuspend> guard;
    if (fibers::in_trio_task()) guard.emplace("a handler of slow callbacks");
    handler(*core_.facade(), slow);
  } catch (...) {
    fibers::detail::log_quietly(fibers::LogLevel::kError, [] {
      return "a handler of slow callbacks has failed: " +
             fibers::describe_exception(std::current_exception());
    });
  }
}

}  // namespace weft::loop::detail
