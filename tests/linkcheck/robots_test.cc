// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/robots.h"

#include <gtest/gtest.h>

namespace linkcheck {
namespace {

TEST(RobotsTest, WithoutRulesEverythingIsAllowed) {
  EXPECT_TRUE(Robots().allows("/x"));
  EXPECT_TRUE(Robots("", "linkcheck").allows("/x"));
  EXPECT_TRUE(Robots("User-agent: *\nDisallow:\n", "linkcheck").allows("/x"));
  EXPECT_TRUE(Robots("<html>not found</html>", "linkcheck").allows("/x"));
}

TEST(RobotsTest, TheLongestRuleDecides) {
  const Robots robots(
      "User-agent: *\nDisallow: /private/\nAllow: /private/open/\nAllow: /same\nDisallow: /same\n",
      "linkcheck");
  EXPECT_FALSE(robots.allows("/private/x"));
  EXPECT_TRUE(robots.allows("/private/open/x"));
  EXPECT_TRUE(robots.allows("/public"));
  EXPECT_TRUE(robots.allows("/same"));
}

TEST(RobotsTest, OurOwnGroupReplacesTheGeneralOne) {
  const char text[] =
      "User-agent: other\nDisallow: /a\n\n"
      "User-agent: LinkCheck/1.0  # us\nUser-agent: friend\nDisallow: /b\n\n"
      "User-agent: *\nDisallow: /\n";
  const Robots ours(text, "linkcheck");
  EXPECT_TRUE(ours.allows("/a"));
  EXPECT_FALSE(ours.allows("/b"));
  EXPECT_FALSE(Robots(text, "friend").allows("/b"));
  EXPECT_FALSE(Robots(text, "somebody").allows("/c"));
  EXPECT_TRUE(Robots("User-agent: linkcheck\nDisallow:\nUser-agent: *\nDisallow: /\n", "linkcheck")
                  .allows("/x"));
}

TEST(RobotsTest, PatternsHaveStarsAndAnEnd) {
  EXPECT_TRUE(robots_match("/a*b", "/axxb/y"));
  EXPECT_FALSE(robots_match("/a*b", "/axx"));
  EXPECT_TRUE(robots_match("/*.pdf$", "/x/y.pdf"));
  EXPECT_FALSE(robots_match("/*.pdf$", "/x/y.pdf?z"));
  EXPECT_TRUE(robots_match("/*.pdf$", "/a.pdf.pdf"));
  EXPECT_TRUE(robots_match("/x$", "/x"));
  EXPECT_FALSE(robots_match("/x$", "/xy"));
  EXPECT_TRUE(robots_match("*", "/"));
  EXPECT_FALSE(robots_match("/" + std::string(40, '*') + "z", "/" + std::string(2000, 'a')));
}

}  // namespace
}  // namespace linkcheck
