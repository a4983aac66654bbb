// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Keeps weft's warnings away from standard error, and in hand to look at.

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "weft/fibers/log.h"

namespace weft::test {

// While it lives, messages go into `lines`. For tests on one thread.
class CapturedLog {
 public:
  CapturedLog()
      : before_(fibers::set_log_sink([this](fibers::LogLevel level, std::string_view message) {
          levels.push_back(level);
          lines.emplace_back(message);
        })) {}
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;
  ~CapturedLog() { fibers::set_log_sink(std::move(before_)); }

  std::vector<fibers::LogLevel> levels;
  std::vector<std::string> lines;

 private:
  fibers::LogSink before_;
};

}  // namespace weft::test
