// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/log.h"

#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "fibers/core/text.h"
#include "fibers/sys/lasting.h"

namespace weft::fibers {

namespace {

// Never destroyed, as destructors of static objects log too.
std::shared_ptr<const LogSink>& sink() {
  static sys::NeverDestroyed<std::shared_ptr<const LogSink>> current;
  return *current;
}

void write_line(LogLevel level, std::string_view message) {
  const char* names[] = {"info", "warning", "error"};
  const std::string line =
      detail::concat({"weft: ", names[static_cast<int>(level)], ": ", message, "\n"});
  std::fputs(line.c_str(), stderr);
}

}  // namespace

LogSink set_log_sink(LogSink next) {
  auto shared = next ? std::make_shared<const LogSink>(std::move(next)) : nullptr;
  const auto before = std::exchange(sink(), std::move(shared));
  return before != nullptr ? *before : LogSink();
}

void log(LogLevel level, std::string_view message) {
  // Held, for a sink may put another one in its place.
  if (const auto present = sink()) {
    (*present)(level, message);
  } else {
    write_line(level, message);
  }
}

}  // namespace weft::fibers
