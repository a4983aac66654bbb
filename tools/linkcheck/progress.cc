// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/progress.h"

#include <unistd.h>

#include <chrono>
#include <string>
#include <string_view>

#include "tools/linkcheck/units.h"
#include "weft/fibers/timeouts.h"

namespace linkcheck {
namespace {

// One write, so that the line never shows in halves; a terminal that is gone is no reason to stop.
void write_to_terminal(std::string_view text) {
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

class Line {
 public:
  Line() = default;
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;
  ~Line() { write_to_terminal("\r\x1B[K"); }

  void show(const CrawlProgress& progress) {
    write_to_terminal("\r" + format_count(progress.asked) + " checked, " +
                      format_count(progress.waiting) + " to go, " + format_count(progress.failed) +
                      " with an error\x1B[K");
  }
};

}  // namespace

void show_progress(const CrawlProgress& progress) {
  Line line;
  while (true) {
    weft::fibers::sleep(std::chrono::milliseconds(100));
    line.show(progress);
  }
}

}  // namespace linkcheck
