// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/urls.h"

#include <curl/curl.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace linkcheck {
namespace {

std::string resolved(const std::string& reference) {
  return UrlResolver("http://example.org/a/b.html?q=1").resolve(reference).url;
}

TEST(UrlResolverTest, ReferencesResolveAgainstThePage) {
  EXPECT_EQ(resolved("c.html"), "http://example.org/a/c.html");
  EXPECT_EQ(resolved("/c.html"), "http://example.org/c.html");
  EXPECT_EQ(resolved("../c/./d/../e.html"), "http://example.org/c/e.html");
  EXPECT_EQ(resolved("../../../../c"), "http://example.org/c");
  EXPECT_EQ(resolved("//other.org/x"), "http://other.org/x");
  EXPECT_EQ(resolved("?q=2"), "http://example.org/a/b.html?q=2");
  EXPECT_EQ(resolved(""), "http://example.org/a/b.html?q=1");
  EXPECT_EQ(resolved("#x"), "http://example.org/a/b.html?q=1");
  EXPECT_EQ(resolved("./a%3Ab"), "http://example.org/a/a%3Ab");
}

TEST(UrlResolverTest, OneUrlHasOneSpelling) {
  for (const char* same :
       {"http://example.org/x", "HTTP://EXAMPLE.org:80/x", "http://example.org/%78",
        " http://example.org/y/../x ", "http://exam\nple.org/x", "/x#frag"}) {
    EXPECT_EQ(resolved(same), "http://example.org/x") << same;
  }
  EXPECT_EQ(resolved("https://example.org:443"), "https://example.org/");
  EXPECT_EQ(resolved("https://example.org:8443/"), "https://example.org:8443/");
  EXPECT_EQ(resolved("http://example.org/%c3%bc"), resolved("http://example.org/\xC3\xBC"));
  EXPECT_EQ(resolved("a b|c"), "http://example.org/a/a%20b%7Cc");
  EXPECT_EQ(resolved("100%"), "http://example.org/a/100%25");
  EXPECT_EQ(resolved("http://[::1]:81/"), "http://[::1]:81/");
}

TEST(UrlResolverTest, FragmentsAreSplitOffAndDecoded) {
  const UrlResolver resolver("http://example.org/");
  EXPECT_EQ(resolver.resolve("/x#a%20b").fragment, "a b");
  EXPECT_EQ(resolver.resolve("/x#").fragment, "");
  EXPECT_EQ(resolver.resolve("/x#a#b").fragment, "a#b");
  EXPECT_EQ(resolver.resolve("/x").fragment, "");
}

TEST(UrlResolverTest, OtherSchemesAreKnown) {
  const UrlResolver resolver("http://example.org/");
  for (const char* reference : {"mailto:a@b", "javascript:void(0)", "data:text/plain,x",
                                "file:///etc/passwd", "ftp://ftp.example.org/", "tel:+49"}) {
    const Resolved result = resolver.resolve(reference);
    EXPECT_EQ(result.kind, UrlKind::kOtherScheme) << reference;
    EXPECT_EQ(result.url, reference);
  }
  EXPECT_EQ(resolver.resolve("JavaScript:x()").problem, "javascript");
  EXPECT_EQ(resolver.resolve("data:," + std::string(100'000, 'x')).url.size(), 300U);
}

TEST(UrlResolverTest, MalformedUrlsSayWhatIsWrong) {
  const UrlResolver resolver("http://example.org/");
  for (const char* reference :
       {"http://", "http://exa mple.org/", "http://a:99999/", "http://[::1/", "http:/x",
        "https:page.html", "http://<host>/", "http://a:port/"}) {
    const Resolved result = resolver.resolve(reference);
    EXPECT_EQ(result.kind, UrlKind::kMalformed) << reference;
    EXPECT_FALSE(result.problem.empty()) << reference;
  }
  const Resolved longer = resolver.resolve("/" + std::string(9000, 'x'));
  EXPECT_EQ(longer.kind, UrlKind::kMalformed);
  EXPECT_LE(longer.url.size(), 300U);
}

TEST(UrlResolverTest, WithoutABaseOnlyAbsoluteUrlsResolve) {
  EXPECT_EQ(parse_url("https://example.org").url, "https://example.org/");
  EXPECT_EQ(parse_url("example.org").kind, UrlKind::kMalformed);
  EXPECT_EQ(parse_url("").kind, UrlKind::kMalformed);
}

// libcurl's allocations, of which one fails: the `fail_in`-th from now.
int fail_in = 0;
bool fails() {
  return fail_in > 0 && --fail_in == 0;
}
void* failing_malloc(std::size_t size) {
  return fails() ? nullptr : std::malloc(size);
}
void* failing_realloc(void* old, std::size_t size) {
  return fails() ? nullptr : std::realloc(old, size);
}
char* failing_strdup(const char* text) {
  return fails() ? nullptr : ::strdup(text);
}
void* failing_calloc(std::size_t count, std::size_t size) {
  return fails() ? nullptr : std::calloc(count, size);
}

TEST(UrlResolverTest, ALackOfMemorySaysNothingAboutTheUrl) {
  ASSERT_EQ(curl_global_init_mem(CURL_GLOBAL_NOTHING, &failing_malloc, &std::free, &failing_realloc,
                                 &failing_strdup, &failing_calloc),
            CURLE_OK);
  const UrlResolver resolver("http://example.org/a/b.html");
  int lacks = 0;
  int at = 0;
  do {
    fail_in = ++at;
    try {
      EXPECT_EQ(resolver.resolve("/page/1.html#part-0").url, "http://example.org/page/1.html")
          << at;
    } catch (const std::bad_alloc&) {
      ++lacks;
    }
  } while (fail_in == 0);
  fail_in = 0;
  EXPECT_GT(lacks, 5);
}

TEST(UrlsTest, PartsOfAUrl) {
  EXPECT_EQ(origin_of("https://example.org:8443/x?y"), "https://example.org:8443");
  EXPECT_EQ(origin_of("https://me:secret@example.org/x"), "https://example.org");
  EXPECT_EQ(host_of("http://example.org/x"), host_of("https://example.org/"));
  EXPECT_NE(host_of("http://example.org:81/x"), host_of("http://example.org/x"));
  EXPECT_EQ(path_of("http://example.org/x/y?z"), "/x/y");
  EXPECT_EQ(path_and_query_of("http://example.org/x/y?z"), "/x/y?z");
}

}  // namespace
}  // namespace linkcheck
