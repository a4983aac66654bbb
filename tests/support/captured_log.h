// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Keeps weft's messages away from standard error, and in hand to look at.

#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weft/fibers/log.h"

namespace weft::test {

// While it lives, messages go to `sink`, also when the test is left by an error. For tests on one
// thread.
class ReplacedLogSink {
 public:
  explicit ReplacedLogSink(fibers::LogSink sink) : before_(fibers::set_log_sink(std::move(sink))) {}
  ReplacedLogSink(const ReplacedLogSink&) = delete;
  ReplacedLogSink& operator=(const ReplacedLogSink&) = delete;
  ~ReplacedLogSink() { fibers::set_log_sink(std::move(before_)); }

 private:
  fibers::LogSink before_;
};

// While it lives, messages go into `lines`.
class CapturedLog {
 public:
  std::vector<fibers::LogLevel> levels;
  std::vector<std::string> lines;

 private:
  ReplacedLogSink sink_{[this](fibers::LogLevel level, std::string_view message) {
    levels.push_back(level);
    lines.emplace_back(message);
  }};
};

}  // namespace weft::test
