// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Where weft's warnings go. There are few, and no failure is only logged.

#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace weft::fibers {

enum class LogLevel : std::uint8_t { kInfo, kWarning, kError };
using LogSink = std::function<void(LogLevel, std::string_view message)>;

// Replaces the sink of the process, by default a line on standard error; null puts that back.
// Returns the one before. Not while runs are active on other threads.
LogSink set_log_sink(LogSink sink);
void log(LogLevel level, std::string_view message);

}  // namespace weft::fibers
