// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/findings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "tools/linkcheck/page.h"

namespace linkcheck {
namespace {

// A ledger to fill in few words.
class FindingsTest : public ::testing::Test {
 protected:
  FindingsTest() : home_(answered("http://x/", 200)) {
    ledger_[home_].start = true;
    ledger_[home_].page = ledger_[home_].complete = true;
  }

  UrlId answered(const std::string& url, int status) {
    const UrlId id = ledger_.add(url).first;
    ledger_[id].state = UrlState::kAnswered;
    ledger_[id].ours = true;
    ledger_[id].exchange = std::make_unique<Exchange>();
    ledger_[id].exchange->status = status;
    return id;
  }
  UrlId linked(const std::string& url, int status, const std::string& fragment = "") {
    const UrlId id = answered(url, status);
    ledger_.link(home_, id, fragment);
    return id;
  }
  Findings found() const { return find(ledger_); }

  Ledger ledger_;
  UrlId home_;
};

TEST(LedgerTest, AUrlIsAddedOnce) {
  Ledger ledger;
  EXPECT_EQ(ledger.add("a"), std::pair(UrlId{0}, true));
  EXPECT_EQ(ledger.add("b"), std::pair(UrlId{1}, true));
  EXPECT_EQ(ledger.add("a"), std::pair(UrlId{0}, false));
  EXPECT_EQ(ledger.size(), 2U);
}

TEST(LedgerTest, TenThousandLinksOfOnePageAreOneReferrer) {
  Ledger ledger;
  const UrlId page = ledger.add("page").first;
  const UrlId target = ledger.add("target").first;
  for (int i = 0; i < 10'000; ++i) ledger.link(page, target, "");
  ASSERT_EQ(ledger[target].referrers.size(), 1U);
  EXPECT_EQ(ledger[target].referrers[0].count, 10'000U);
  ledger.link(page, target, "part");
  ASSERT_EQ(ledger[target].referrers.size(), 2U);
  EXPECT_EQ(ledger.fragment(ledger[target].referrers[1].fragment), "part");
}

TEST_F(FindingsTest, ErrorStatusesAreDead) {
  linked("http://x/ok", 200);
  linked("http://x/gone", 404);
  linked("http://x/odd", 499);
  const Findings result = found();
  ASSERT_EQ(result.dead.size(), 2U);
  EXPECT_EQ(result.dead[0].reason, "404 Not Found");
  EXPECT_EQ(result.dead[1].reason, "499");
  EXPECT_EQ(result.dead[0].referrers.at(0).page, home_);
  EXPECT_EQ(result.urls, 4U);
  EXPECT_EQ(result.fine, 2U);
  EXPECT_EQ(result.links, 3U);
}

TEST_F(FindingsTest, APageCountsOnceForADeadUrl) {
  const UrlId gone = linked("http://x/gone", 404);
  ledger_.link(home_, gone, "a", 2);
  ledger_.link(home_, gone, "b");
  ASSERT_EQ(found().dead.at(0).referrers.size(), 1U);
  EXPECT_EQ(found().dead[0].referrers[0].count, 4U);
}

TEST_F(FindingsTest, ABodyThatBreaksItsPromiseIsDead) {
  ledger_[linked("http://x/cut", 200)].error = "body is truncated: 10 of 100 bytes";
  ASSERT_EQ(found().dead.size(), 1U);
  EXPECT_EQ(found().dead[0].reason, "body is truncated: 10 of 100 bytes");
}

TEST_F(FindingsTest, FailuresAndMalformedUrlsAreDead) {
  const UrlId refused = linked("http://y/", 0);
  ledger_[refused].state = UrlState::kFailed;
  ledger_[refused].error = "connection refused";
  const UrlId bad = linked("http://", 0);
  ledger_[bad].state = UrlState::kMalformed;
  ledger_[bad].error = "host name is missing";
  const Findings result = found();
  ASSERT_EQ(result.dead.size(), 2U);
  EXPECT_EQ(result.dead[0].reason, "connection refused");
  EXPECT_EQ(result.dead[1].reason, "malformed URL: host name is missing");
}

TEST_F(FindingsTest, WhatWasNotAskedForIsCountedNotJudged) {
  const UrlState states[] = {UrlState::kPending, UrlState::kSkipped, UrlState::kListed,
                             UrlState::kForbidden};
  for (const UrlState state : states) {
    ledger_[linked("u" + std::to_string(static_cast<int>(state)), 0)].state = state;
  }
  const Findings result = found();
  EXPECT_TRUE(result.dead.empty());
  EXPECT_EQ(result.unasked, 1U);
  EXPECT_EQ(result.skipped, 1U);
  EXPECT_EQ(result.listed, 1U);
  EXPECT_EQ(result.forbidden, 1U);
  EXPECT_EQ(result.urls, 1U);
}

TEST_F(FindingsTest, ARedirectIsAsGoodAsItsTarget) {
  const UrlId old = linked("http://x/old", 301);
  const UrlId moved = answered("http://x/new", 200);
  ledger_[old].redirect = moved;
  ASSERT_EQ(found().redirects.size(), 1U);
  EXPECT_EQ(found().redirects[0].redirects, std::vector<UrlId>{moved});
  EXPECT_TRUE(found().dead.empty());

  ledger_[moved].exchange->status = 404;
  const Findings result = found();
  ASSERT_EQ(result.dead.size(), 1U) << "the target is told under the one that redirects, once";
  EXPECT_EQ(result.dead[0].url, old);
  EXPECT_EQ(result.dead[0].reason, "redirects, then: 404 Not Found");
  EXPECT_TRUE(result.redirects.empty());
}

TEST_F(FindingsTest, ARedirectLoopEnds) {
  const UrlId one = linked("http://x/1", 302);
  const UrlId two = answered("http://x/2", 302);
  ledger_[one].redirect = two;
  ledger_[two].redirect = one;
  const Findings result = found();
  ASSERT_EQ(result.dead.size(), 1U);
  EXPECT_EQ(result.dead[0].reason, "redirect loop");
  EXPECT_EQ(result.dead[0].redirects, (std::vector<UrlId>{two, one}));
}

TEST_F(FindingsTest, AUrlThatRedirectsToItselfIsALoop) {
  const UrlId one = linked("http://x/1", 302);
  ledger_[one].redirect = one;
  EXPECT_EQ(found().dead.at(0).reason, "redirect loop");
}

TEST_F(FindingsTest, FragmentsAreCheckedWhereTheRedirectsEnd) {
  const UrlId old = linked("http://x/old", 301, "here");
  ledger_.link(home_, old, "nowhere", 3);
  const UrlId page = answered("http://x/new", 200);
  ledger_[old].redirect = page;
  ledger_[page].page = true;
  ledger_[page].complete = true;
  ledger_[page].exchange->anchors = {anchor_hash("here")};
  const Findings result = found();
  ASSERT_EQ(result.dead.size(), 1U);
  EXPECT_EQ(result.dead[0].fragment, "nowhere");
  EXPECT_EQ(result.dead[0].reason, "no such anchor");
  EXPECT_EQ(result.dead[0].referrers.at(0).count, 3U);

  ledger_[page].complete = false;
  EXPECT_TRUE(found().dead.empty()) << "the anchor may stand in the part that was not read";
  ledger_[page].page = false;
  EXPECT_TRUE(found().dead.empty()) << "only pages have anchors";
}

TEST_F(FindingsTest, OtherHostsMayRefuseUs) {
  const UrlId other = linked("http://y/", 403);
  ledger_[other].ours = false;
  EXPECT_TRUE(found().dead.empty());
  ASSERT_EQ(found().notes.size(), 1U);
  EXPECT_EQ(found().notes[0].reason, "403 Forbidden (refused to us)");
  ledger_[other].ours = true;
  EXPECT_EQ(found().dead.size(), 1U);
}

TEST_F(FindingsTest, NotesAreNotDead) {
  ledger_[linked("http://x/long", 200)].exchange->note = "longer than 16.0 MiB; read only in part";
  EXPECT_TRUE(found().dead.empty());
  EXPECT_EQ(found().notes.at(0).reason, "longer than 16.0 MiB; read only in part");
}

TEST_F(FindingsTest, TheOrderDoesNotDependOnDiscovery) {
  for (const char* url : {"http://x/c", "http://x/a", "http://x/b"}) linked(url, 404);
  const Findings result = found();
  EXPECT_TRUE(std::is_sorted(
      result.dead.begin(), result.dead.end(),
      [&](const Finding& a, const Finding& b) { return ledger_[a.url].url < ledger_[b.url].url; }));
}

}  // namespace
}  // namespace linkcheck
