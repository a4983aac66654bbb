// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Says which fault it was when a run with one ends the process, and ends it when the run hangs.

#pragma once

#include <memory>
#include <string>

#include "weft/fibers/clock.h"

namespace weft::fibers::testing {

class FaultLimit {
 public:
  explicit FaultLimit(Duration limit);
  FaultLimit(const FaultLimit&) = delete;
  FaultLimit& operator=(const FaultLimit&) = delete;
  ~FaultLimit();

  // Between these the process may end, and has so much time.
  void begin(const std::string& token);
  void end();

 private:
  class Watch;
  std::unique_ptr<Watch> watch_;
};

}  // namespace weft::fibers::testing
