// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "tools/linkcheck/findings.h"
#include "tools/linkcheck/ledger.h"

namespace linkcheck {

// kLack: linkcheck lacked what it needs; see lack.h.
enum class Ending { kComplete, kInterrupted, kDeadline, kLack };

// What running the check itself cost and left behind.
struct RunStats {
  std::chrono::nanoseconds wall{};
  std::uint64_t requests = 0;
  std::uint64_t tasks_at_most = 0;  // of the whole run, server and loop included
  std::uint64_t tasks_spawned = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t peak_memory = 0;  // resident, of the process
  std::uint64_t tasks_left = 0;   // these three once everything was closed: 0, or there is a leak
  std::uint64_t descriptors_left = 0;
  std::uint64_t stacks_left = 0;
};

// A directory that we served ourselves: the report shows its files under their own names.
struct ServedSite {
  std::string origin;  // "http://127.0.0.1:40123"
  std::string label;   // "/usr/share/doc"
};

struct Report {
  const Ledger& ledger;
  const Findings& findings;
  Ending ending = Ending::kComplete;
  std::string lack{};  // of Ending::kLack: what was lacking
  RunStats stats{};
  std::vector<ServedSite> sites{};
  std::size_t rows = 20;  // of each table; 0 for all
  bool show_stats = false;
  bool quiet = false;         // dead links only, and nothing when there are none
  bool asked_others = false;  // --external
};

void write_text(std::ostream& out, const Report& report);

// One object: "summary", "dead", "notes", "urls" with everything known about each, and "stats".
void write_json(std::ostream& out, const Report& report);

}  // namespace linkcheck
