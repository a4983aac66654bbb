// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Who could end a wait, as far as the thing waited for knows. Asked only by reports, so that
// waiting itself carries nothing for it. Not for use outside weft.

#pragma once

#include <vector>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers::detail {

// How a primitive is asked who holds it. One object of static lifetime for each kind of wait; it
// enters itself into a list of the process, which is only ever read by reports.
class HoldersRule {
 public:
  // `on` is the WaitingFor::on of a waiting task. Adds the tasks of which any one could let a
  // waiter go; what is no task of the run is left out by the report.
  using Find = void (*)(const void* on, std::vector<const void*>& holders);

  // For the waits whose WaitingFor::what reads `what`.
  HoldersRule(const char* what, Find find) noexcept;
  HoldersRule(const HoldersRule&) = delete;
  HoldersRule& operator=(const HoldersRule&) = delete;
  ~HoldersRule() = default;

  // Null if nobody has a rule for that.
  static const HoldersRule* find_rule(const char* what);
  void add_holders(const void* on, std::vector<const void*>& holders) const { find_(on, holders); }

 private:
  const char* const what_;
  const Find find_;
  const HoldersRule* next_;
};

}  // namespace weft::fibers::detail
