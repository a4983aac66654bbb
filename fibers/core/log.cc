// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/log.h"

#include <cstdio>
#include <string>
#include <utility>

#include "fibers/sys/lasting.h"

namespace weft::fibers {

namespace {

// Never destroyed, as destructors of static objects log too.
LogSink& sink() {
  static sys::NeverDestroyed<LogSink> current;
  return *current;
}

void write_line(LogLevel level, std::string_view message) {
  const char* names[] = {"info", "warning", "error"};
  std::string line = std::string("weft: ") + names[static_cast<int>(level)] + ": ";
  line.append(message).push_back('\n');
  std::fputs(line.c_str(), stderr);
}

}  // namespace

LogSink set_log_sink(LogSink next) {
  return std::exchange(sink(), std::move(next));
}

void log(LogLevel level, std::string_view message) {
  if (sink()) {
    sink()(level, message);
  } else {
    write_line(level, message);
  }
}

}  // namespace weft::fibers
