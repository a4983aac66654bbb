// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace linkcheck {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> references(const Page& page) {
  std::vector<std::string> list;
  for (const PageLink& link : page.links) list.push_back(link.reference);
  return list;
}

std::string repeated(const std::string& text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

TEST(PageTest, EveryElementThatLinksCounts) {
  const Page page =
      read_html(R"(<html><head><link rel=stylesheet href=a.css><link rel=preconnect href=//cdn>
    <script src=b.js></script><meta http-equiv=Refresh content="5; URL='c.html'"></head><body background=x>
    <a href="d.html">d</a><map name=m><area href=e.html></map><img src=f.png srcset="g.png 1x, h.png 2x">
    <iframe src=i.html></iframe><video src=j.mp4 poster=k.png><source src=l.mp4></video><audio src=m.ogg></audio>
    <object data=n.svg></object><embed src=o.swf><A HREF=p.html>P</A></body></html>)");
  EXPECT_THAT(references(page), ElementsAre("a.css", "b.js", "c.html", "d.html", "e.html", "f.png",
                                            "g.png", "h.png", "i.html", "j.mp4", "k.png", "l.mp4",
                                            "m.ogg", "n.svg", "o.swf", "p.html"));
  EXPECT_TRUE(page.complete());
}

TEST(PageTest, WhatIsNoElementIsNoLink) {
  const Page page = read_html(
      "<!-- <a href=a> --><script>'<a href=b>'</script><style>a{}/*<a href=c>*/</style>"
      "<a name=here>x</a><a>y</a>");
  EXPECT_THAT(references(page), ElementsAre());
}

TEST(PageTest, EntitiesAndSpacesInAttributes) {
  const Page page = read_html("<a href=' x?a=1&amp;b=2 '>x</a><a href=\"caf&eacute;\">y</a>");
  EXPECT_THAT(references(page), ElementsAre("x?a=1&b=2", "caf\xC3\xA9"));
}

TEST(PageTest, TenThousandLinksToOnePageAreOneLink) {
  const Page page = read_html(repeated("<a href='x.html'>x</a> ", 10'000));
  ASSERT_EQ(page.links.size(), 1U);
  EXPECT_EQ(page.links[0].count, 10'000U);
}

TEST(PageTest, IdsAndNamesAreAnchors) {
  const Page page = read_html("<h1 id=one>1</h1><a name='two words'>2</a><p name=three>3</p>");
  EXPECT_TRUE(page.has_anchor("one"));
  EXPECT_TRUE(page.has_anchor("two words"));
  EXPECT_FALSE(page.has_anchor("three")) << "only of <a> does the name count";
  EXPECT_FALSE(page.has_anchor("One"));
  EXPECT_TRUE(page.has_anchor(""));
  EXPECT_TRUE(page.has_anchor("top"));
  EXPECT_TRUE(page.has_anchor(":~:text=anything"));
  EXPECT_TRUE(page.has_anchor("one:~:text=anything"));
}

TEST(PageTest, TheFirstBaseCounts) {
  EXPECT_EQ(read_html("<base target=x><base href=/b/><base href=/c/>").base, "/b/");
  EXPECT_EQ(read_html("<p>").base, "");
}

TEST(PageTest, EncodingsAreUnderstood) {
  const std::string utf8 = "caf\xC3\xA9";
  EXPECT_THAT(references(read_html("<a href='caf\xC3\xA9'>", "utf-8")), ElementsAre(utf8));
  EXPECT_THAT(references(read_html("<a href='caf\xE9'>", "iso-8859-1")), ElementsAre(utf8));
  EXPECT_THAT(references(read_html("<a href='caf\xE9'>")), ElementsAre(utf8))
      << "not UTF-8: Latin-1";
  EXPECT_THAT(references(read_html("<meta charset=iso-8859-1><a href='caf\xE9'>")),
              ElementsAre(utf8));
  EXPECT_THAT(references(read_html("\xEF\xBB\xBF<a href='caf\xC3\xA9'>")), ElementsAre(utf8));
  EXPECT_THAT(references(read_html("<a href=x>", "no-such-charset")), ElementsAre("x"));
  std::string utf16 = "\xFF\xFE";
  for (const char c : std::string("<a href='x.html'>")) utf16 += {c, '\0'};
  EXPECT_THAT(references(read_html(utf16)), ElementsAre("x.html"));
}

TEST(PageTest, PiecesOfAnySizeGiveTheSamePage) {
  const std::string text =
      "<html><head><title>t</title></head><body><a href='one.html'>1</a>"
      "<!-- <a href=no> --><a href='t\xC3\xBC.html' id='an&amp;chor'>2</a></body></html>";
  for (std::size_t size = 1; size < text.size(); ++size) {
    HtmlReader reader("utf-8");
    for (std::size_t at = 0; at < text.size(); at += size) reader.feed(text.substr(at, size));
    const Page page = reader.finish();
    EXPECT_THAT(references(page), ElementsAre("one.html", "t\xC3\xBC.html")) << size;
    EXPECT_TRUE(page.has_anchor("an&chor")) << size;
  }
}

TEST(PageTest, DeepNestingIsCutOffAndSaidSo) {
  const std::string page =
      "<a href=before>x</a>" + repeated("<div>", 400'000) + "<a href=after>y</a>";
  const Page read = read_html(page);
  EXPECT_THAT(references(read), ElementsAre("before"));
  EXPECT_EQ(read.note, "nested more than 1000 elements deep; read only in part");
}

TEST(PageTest, OldPagesWithoutEndTagsAreNotDeep) {
  const Page page = read_html("<ul>" + repeated("<li><p>x", 5000) + "</ul><a href=end>");
  EXPECT_TRUE(page.complete()) << page.note;
  EXPECT_THAT(references(page), ElementsAre("end"));
}

TEST(PageTest, UnmatchedEndTagsStayCheap) {
  // Quadratic without the limit on depth: minutes for half a million pairs.
  const Page page = read_html(repeated("<x></y>", 20'000));
  EXPECT_FALSE(page.complete());
}

TEST(PageTest, APageIsReadAsItArrives) {
  // The pieces end inside quoted values now and then. What has arrived is read all the same: here
  // nothing else is, as the page is longer than what we want of it.
  const std::string one = "<a href='x.html' title=\"it's > that\">x</a>";
  PageLimits limits;
  limits.bytes = 5000 * one.size();
  HtmlReader reader("", limits);
  const std::string text = repeated(one, 6000);
  for (std::size_t at = 0; at < text.size(); at += 997) reader.feed(text.substr(at, 997));
  const Page page = reader.finish();
  EXPECT_FALSE(page.complete());
  ASSERT_EQ(page.links.size(), 1U);
  EXPECT_GE(page.links[0].count, 4900U);
}

TEST(PageTest, LongPagesAreReadInPart) {
  PageLimits limits;
  limits.bytes = 1000;
  HtmlReader reader("", limits);
  EXPECT_TRUE(reader.feed("<a href=first>x</a>"));
  EXPECT_FALSE(reader.feed(repeated("<p>text</p>", 200)));
  EXPECT_FALSE(reader.feed("<a href=late>x</a>"));
  const Page page = reader.finish();
  EXPECT_THAT(references(page), ElementsAre("first"));
  EXPECT_EQ(page.note, "longer than 1000 B; read only in part");
}

TEST(PageTest, RubbishIsReadToItsEnd) {
  for (const std::string& text :
       {std::string(), std::string("<"), std::string("\0\0<a href=x>", 12), repeated("<!--", 1000),
        repeated("<a href='", 1000), repeated("&amp", 1000), repeated("\xFF\xFE", 1000),
        std::string("]]>"), std::string("<![CDATA[")}) {
    const Page page = read_html(text);
    EXPECT_LE(page.links.size(), 1000U);
    EXPECT_EQ(page.base, "");
  }
}

TEST(PageTest, SrcsetCandidatesLoseTheirDescriptors) {
  EXPECT_THAT(srcset_urls("a.png 1x, b.png 2x"), ElementsAre("a.png", "b.png"));
  EXPECT_THAT(srcset_urls(" a.png, b.png 100w ,c.png"), ElementsAre("a.png", "b.png", "c.png"));
  EXPECT_THAT(srcset_urls("x,y.png 1x"), ElementsAre("x,y.png"));
  EXPECT_THAT(srcset_urls(" , "), ElementsAre());
}

TEST(PageTest, RefreshTargets) {
  EXPECT_EQ(refresh_target("5; url=a.html"), "a.html");
  EXPECT_EQ(refresh_target("0;URL='a b.html' "), "a b.html");
  EXPECT_EQ(refresh_target("0; a.html"), "a.html");
  EXPECT_EQ(refresh_target("30"), "");
}

TEST(PageTest, ContentTypesTellWhatToRead) {
  EXPECT_EQ(page_kind("text/html"), PageKind::kHtml);
  EXPECT_EQ(page_kind("Text/HTML; charset=UTF-8"), PageKind::kHtml);
  EXPECT_EQ(page_kind("application/xhtml+xml"), PageKind::kHtml);
  EXPECT_EQ(page_kind("text/markdown"), PageKind::kMarkdown);
  EXPECT_EQ(page_kind("text/plain"), PageKind::kNone);
  EXPECT_EQ(page_kind(""), PageKind::kNone);
  EXPECT_EQ(charset_of("text/html; charset=\"utf-8\"; x=y"), "utf-8");
  EXPECT_EQ(charset_of("text/html"), "");
}

TEST(MarkdownTest, LinksOutsideCodeCount) {
  const Page page = read_markdown(
      "See [one](one.md) and ![two](two.png \"title\"), [three](<three four.md>), [p](a(b)c).\n"
      "`[no](no.md)` and <https://example.org/x>\n"
      "```\n[no](fenced.md)\n```\n"
      "[ref]: five.md\n"
      "<a href=\"six.md\">html</a> [self](#a-heading)\n");
  EXPECT_THAT(references(page),
              ElementsAre("one.md", "two.png", "three four.md", "a(b)c", "https://example.org/x",
                          "five.md", "six.md", "#a-heading"));
}

TEST(MarkdownTest, HeadingsAreAnchors) {
  const Page page = read_markdown(
      "# A heading: with `code`, *stars*\n## Twice\n## Twice\n#hash\n"
      "```\n# not one\n```\n### [A link](x.md)\n");
  EXPECT_TRUE(page.has_anchor("a-heading-with-code-stars"));
  EXPECT_TRUE(page.has_anchor("twice"));
  EXPECT_TRUE(page.has_anchor("twice-1"));
  EXPECT_TRUE(page.has_anchor("a-link"));
  EXPECT_FALSE(page.has_anchor("not-one"));
  EXPECT_FALSE(page.has_anchor("hash"));
}

}  // namespace
}  // namespace linkcheck
