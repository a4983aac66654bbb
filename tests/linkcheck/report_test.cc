// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

namespace linkcheck {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ReportTest : public ::testing::Test {
 protected:
  ReportTest() : home_(add("http://127.0.0.1:1/", 200)) { ledger_[home_].page = true; }

  UrlId add(const std::string& url, int status) {
    const UrlId id = ledger_.add(url).first;
    ledger_[id].state = UrlState::kAnswered;
    ledger_[id].ours = true;
    ledger_[id].exchange = std::make_unique<Exchange>();
    ledger_[id].exchange->status = status;
    ledger_[id].exchange->method = "GET";
    return id;
  }
  void add_dead(int count) {
    for (int i = 0; i < count; ++i) {
      ledger_.link(home_, add("http://127.0.0.1:1/dead/" + std::to_string(100 + i), 404), "", 1);
    }
  }
  Report report() {
    findings_ = find(ledger_);
    Report result{.ledger = ledger_, .findings = findings_};
    result.stats.wall = std::chrono::milliseconds(1020);
    result.stats.tasks_at_most = 1045;
    return result;
  }
  static std::string text(const Report& report) {
    std::ostringstream out;
    write_text(out, report);
    return out.str();
  }
  static nlohmann::json json(const Report& report) {
    std::ostringstream out;
    write_json(out, report);
    return nlohmann::json::parse(out.str());
  }

  Ledger ledger_;
  Findings findings_;
  UrlId home_;
};

TEST_F(ReportTest, TheSummaryHasTheNumbers) {
  add_dead(1);
  EXPECT_THAT(
      text(report()),
      HasSubstr("2 URLs checked in 1.02 s: 1 fine, 1 dead link; 1 page read, 1 link on them; "
                "at most 1,045 tasks."));
}

TEST_F(ReportTest, RowsAreLimitedAndTheRestIsCounted) {
  add_dead(25);
  const std::string shown = text(report());
  EXPECT_THAT(shown, HasSubstr("dead/119\n"));
  EXPECT_THAT(shown, Not(HasSubstr("dead/120\n")));
  EXPECT_THAT(shown, HasSubstr("... and 5 more"));
  Report all = report();
  all.rows = 0;
  EXPECT_THAT(text(all), HasSubstr("dead/124\n"));
}

TEST_F(ReportTest, PagesThatLinkAreNamed) {
  add_dead(1);
  const UrlId dead = ledger_.add("http://127.0.0.1:1/dead/100").first;
  ledger_.link(home_, dead, "", 2);
  for (int i = 0; i < 9'999; ++i)
    ledger_.link(add("http://127.0.0.1:1/p" + std::to_string(i), 200), dead, "");
  EXPECT_THAT(text(report()), HasSubstr("in http://127.0.0.1:1/ (3 times), http://127.0.0.1:1/p0, "
                                        "http://127.0.0.1:1/p1 and 9,997 more pages"));
}

TEST_F(ReportTest, ServedFilesShowUnderTheirOwnNames) {
  add_dead(1);
  Report served = report();
  served.sites = {{"http://127.0.0.1:1", "/usr/share/doc"}};
  EXPECT_THAT(text(served),
              HasSubstr("404 Not Found: /usr/share/doc/dead/100\n      in /usr/share/doc/\n"));
}

TEST_F(ReportTest, RedirectsAreShown) {
  const UrlId old = add("http://127.0.0.1:1/old", 301);
  ledger_.link(home_, old, "");
  ledger_[old].redirect = add("http://127.0.0.1:1/new", 200);
  EXPECT_THAT(text(report()),
              HasSubstr("301 Moved Permanently: http://127.0.0.1:1/old -> http://127.0.0.1:1/new"));
}

TEST_F(ReportTest, QuietSaysNothingWithoutDeadLinks) {
  Report quiet = report();
  quiet.quiet = true;
  EXPECT_EQ(text(quiet), "");
  add_dead(1);
  Report one = report();
  one.quiet = true;
  EXPECT_EQ(text(one),
            "  404 Not Found: http://127.0.0.1:1/dead/100\n      in http://127.0.0.1:1/\n");
}

TEST_F(ReportTest, AnEndThatCameEarlySaysSo) {
  ledger_.add("http://127.0.0.1:1/later");
  Report early = report();
  early.ending = Ending::kInterrupted;
  EXPECT_THAT(text(early), HasSubstr("Interrupted: 1 URL was not checked."));
  early.ending = Ending::kDeadline;
  EXPECT_THAT(text(early), HasSubstr("The deadline passed: 1 URL was not checked."));
  early.ending = Ending::kLack;
  EXPECT_THAT(text(early), HasSubstr("Given up for lack of descriptors or memory: 1 URL was not"));
}

TEST_F(ReportTest, StatsTellWhatIsLeft) {
  Report stats = report();
  stats.show_stats = true;
  EXPECT_THAT(text(stats), HasSubstr("Left at the end: 0 tasks, 0 descriptors, 0 stacks\n"));
}

TEST_F(ReportTest, PagesCannotDriveTheTerminal) {
  const UrlId bad = ledger_.add("http://\x1B[2J").first;
  ledger_[bad].state = UrlState::kMalformed;
  ledger_[bad].error = "host";
  ledger_.link(home_, bad, "");
  EXPECT_THAT(text(report()), Not(HasSubstr("\x1B")));
}

TEST_F(ReportTest, JsonHoldsEverything) {
  add_dead(25);
  const UrlId odd = ledger_.add("http://\xFF\"").first;
  ledger_[odd].state = UrlState::kMalformed;
  ledger_[odd].error = "host";
  ledger_.link(home_, odd, "frag");
  const nlohmann::json whole = json(report());
  EXPECT_EQ(whole["summary"]["dead"], 26);
  EXPECT_EQ(whole["summary"]["ending"], "complete");
  EXPECT_EQ(whole["dead"].size(), 26U);
  EXPECT_EQ(whole["urls"].size(), 27U);
  EXPECT_EQ(whole["urls"][1]["status"], 404);
  EXPECT_EQ(whole["urls"][26]["linked_from"][0]["fragment"], "frag");
  EXPECT_EQ(whole["urls"][1]["linked_from"][0]["page"], "http://127.0.0.1:1/");
  EXPECT_FALSE(whole.contains("stats"));
}

}  // namespace
}  // namespace linkcheck
