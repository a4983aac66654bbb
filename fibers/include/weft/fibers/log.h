// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Where weft's warnings go. There are few, and no failure is only logged.

#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

enum class LogLevel : std::uint8_t { kInfo, kWarning, kError };
using LogSink = std::function<void(LogLevel, std::string_view message)>;

// Replaces the sink of the process, by default a line on standard error; null puts that back.
// Returns the one before. Not while runs are active on other threads.
LogSink set_log_sink(LogSink sink);
void log(LogLevel level, std::string_view message);

namespace detail {
// For what must not throw. A line is lost if there is no memory for it, or if the sink throws.
template <class MakeText>
void log_quietly(LogLevel level, const MakeText& make_text) noexcept {
  try {
    log(level, make_text());
  } catch (...) {
    static_cast<void>(0);
  }
}
}  // namespace detail

}  // namespace weft::fibers
