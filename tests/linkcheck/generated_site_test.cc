// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include <gtest/gtest.h>

#include <deque>
#include <set>

#include "tools/linkcheck/page.h"
#include "tools/linkcheck/site.h"
#include "tools/linkcheck/urls.h"

namespace linkcheck {
namespace {

// Follows every link by hand: what the crawler is to find.
struct Walk {
  std::set<std::string> pages;
  std::set<std::string> missing;
  std::set<std::string> missing_anchors;
};

Walk walk(const GeneratedSite& site) {
  const std::string origin = "http://x";
  Walk result;
  std::set<std::string> seen{"/"};
  std::deque<std::string> queue{"/"};
  while (!queue.empty()) {
    const std::string path = queue.front();
    queue.pop_front();
    const Answer answer = site.answer(path);
    if (answer.status == 404) result.missing.insert(path);
    const auto visit = [&](const std::string& next) {
      if (seen.insert(next).second) queue.push_back(next);
    };
    if (answer.status == 302) visit(answer.location);
    if (answer.status != 200) continue;
    result.pages.insert(path);
    const Page page = read_html(answer.text);
    for (const PageLink& link : page.links) {
      const Resolved target = UrlResolver(origin + path).resolve(link.reference);
      if (!target.is_http()) continue;
      visit(std::string(path_of(target.url)));
      if (target.url == origin + path && !page.has_anchor(target.fragment)) {
        result.missing_anchors.insert(link.reference);
      }
    }
  }
  return result;
}

TEST(GeneratedSiteTest, EveryPageIsReachedAndTheDeadLinksAreKnown) {
  for (const std::uint32_t pages : {1U, 2U, 9U, 51U, 679U}) {
    const GeneratedSite site(pages);
    const Walk found = walk(site);
    EXPECT_EQ(found.pages.size(), pages);
    EXPECT_EQ(found.missing.size() + found.missing_anchors.size(), site.dead_links()) << pages;
  }
}

TEST(GeneratedSiteTest, OtherPathsAreNotFound) {
  const GeneratedSite site(10);
  for (const char* target : {"/page/10.html", "/page/x.html", "/page/.html", "/old/99",
                             "/page/1.htm", "/page/-1.html"}) {
    EXPECT_EQ(site.answer(target).status, 404) << target;
  }
  EXPECT_EQ(site.answer("/../x").status, 400);
}

}  // namespace
}  // namespace linkcheck
