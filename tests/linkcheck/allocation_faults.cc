// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Memory that runs out in the middle of a check: it ends, says so, and leaves nothing behind.

#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/linkcheck/test_servers.h"
#include "tools/linkcheck/check.h"
#include "tools/linkcheck/lack.h"
#include "weft/fibers/testing/fault_sweep.h"

namespace linkcheck {
namespace {

using weft::fibers::testing::fault_sweep;

bool is_lack_of_memory(const std::exception_ptr& error) {
  return lack_in(error) == "out of memory";
}

// All that this site has: two pages, a file, a redirect, a link that is dead and one to an anchor.
void check_a_small_site() {
  auto site = std::make_unique<testing::ScriptedSite>();
  site->html("/", "<a href=a.html#x>a</a><a href=old>b</a><a href=gone.html>c</a><img src=f.png>");
  site->html("/a.html", "<p id=y>text");
  site->redirect("/old", "/a.html");
  site->page("/f.png", [] {
    Answer answer;
    answer.type = "image/png";
    return answer;
  });
  CheckPlan plan;
  plan.crawl.jobs = 2;
  plan.served.push_back({std::move(site), "site"});
  const CheckResult result = run_check(plan);
  const Findings found = find(result.ledger);
  if (result.ending == Ending::kLack) {
    if (result.lack != "out of memory") throw std::logic_error("wrong words: " + result.lack);
    for (const Finding& finding : found.dead) {
      if (finding.reason == "404 Not Found" || finding.reason == "no such anchor") continue;
      throw std::logic_error("reported as dead: " + finding.reason);
    }
  } else if (result.ending != Ending::kComplete || found.dead.size() != 2) {
    throw std::logic_error("something is reported that is not so");
  }
}

TEST(LinkcheckFaults, EachAllocationMayFail) {
  const auto swept = fault_sweep(
      check_a_small_site,
      {.most = 400, .calls = false, .allowed = is_lack_of_memory, .in_run = false, .failures = 60});
  EXPECT_GT(swept.allocations, 100U);
  EXPECT_GT(swept.runs, 100U);
}

}  // namespace
}  // namespace linkcheck
