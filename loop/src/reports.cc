// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Errors that have nobody to go to, and slow callbacks.

#include <array>
#include <cstdio>
#include <string>
#include <utility>

#include "loop/src/loop_core.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/log.h"

namespace weft::loop::detail {

namespace {

std::string place(const std::source_location& site) {
  const std::string file = site.file_name();
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(site.line());
}

std::string describe(const ExceptionContext& context) {
  std::string text = context.message.empty() ? "Unhandled error in event loop" : context.message;
  text += " (from " + place(context.source) + ")";
  if (context.exception != nullptr) {
    text += ": " + fibers::describe_exception(context.exception);
  }
  return text;
}

}  // namespace

void LoopCore::report_by_default(const ExceptionContext& context) {
  fibers::log(fibers::LogLevel::kError, describe(context));
  if (default_exception_handler == nullptr || facade_ == nullptr) return;
  const ExceptionHandler owner = default_exception_handler;
  owner(*facade_, context);
}

void LoopCore::report(const ExceptionContext& context) {
  if (exception_handler == nullptr || facade_ == nullptr) return report_by_default(context);
  const ExceptionHandler handler = exception_handler;  // It may put another in its place.
  try {
    handler(*facade_, context);
  } catch (const fibers::Cancelled&) {
    throw;
  } catch (const fibers::KeyboardInterrupt&) {
    throw;
  } catch (...) {
    report_by_default(
        {.message = "Unhandled error in exception handler, called for '" + describe(context) + "'",
         .exception = std::current_exception(),
         .handle = context.handle,
         .future = context.future,
         .source = context.source});
  }
}

void LoopCore::report_callback_error(HandleNode* node, std::exception_ptr error) {
  ++node->refs;
  report({.message = "Exception in callback",
          .exception = std::move(error),
          .handle = HandleAccess::wrap(node),
          .source = node->site});
}

void LoopCore::report_slow(const HandleNode& node, fibers::Duration took) const {
  if (took < slow_callback_duration) return;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3f", std::chrono::duration<double>(took).count());
  fibers::log(fibers::LogLevel::kWarning, "Executing the callback from " + place(node.site) +
                                              " took " + text.data() + " seconds");
}

}  // namespace weft::loop::detail
