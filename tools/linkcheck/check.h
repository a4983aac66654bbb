// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/linkcheck/crawler.h"
#include "tools/linkcheck/findings.h"
#include "tools/linkcheck/ledger.h"
#include "tools/linkcheck/report.h"
#include "tools/linkcheck/server.h"
#include "tools/linkcheck/site.h"

namespace linkcheck {

// A site to serve from this process and to check.
struct Served {
  std::unique_ptr<Site> site;
  std::string label;        // what the report calls its root: "/usr/share/doc"
  std::string start = "/";  // the path to begin with
};

struct CheckPlan {
  std::vector<Served> served;
  std::vector<std::string> urls;
  CrawlOptions crawl;
  ServerOptions server;
  std::optional<std::chrono::nanoseconds> deadline;
  bool progress = false;  // a line on stderr, rewritten as the check goes on
};

struct CheckResult {
  Ledger ledger;
  Ending ending = Ending::kComplete;
  std::string lack;  // of Ending::kLack: what was lacking
  RunStats stats;
  std::vector<ServedSite> sites;
};

// Runs the whole check on this thread: starts the servers, crawls, closes everything. Ctrl-C, the
// deadline and a lack of descriptors or memory end it early; the result then holds what was known.
//
// Blocks: the thread, until the check is over.
// Cancel: by Ctrl-C, when this is the main thread.
// Threads: any; outside a run.
CheckResult run_check(const CheckPlan& plan);

// Counts this process's open descriptors. Throws Lack if not even one is left to do so.
std::uint64_t open_descriptors();

}  // namespace linkcheck
