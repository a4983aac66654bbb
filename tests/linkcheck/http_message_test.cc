// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/http_message.h"

#include <gtest/gtest.h>

namespace linkcheck {
namespace {

using Result = RequestReader::Result;

TEST(RequestReaderTest, AWholeRequest) {
  RequestReader reader;
  reader.feed("GET /a?b HTTP/1.1\r\nHost: x\r\nX-Thing:  spaced \r\n\r\n");
  ASSERT_EQ(reader.next(), Result::kRequest);
  EXPECT_EQ(reader.request().method, "GET");
  EXPECT_EQ(reader.request().target, "/a?b");
  EXPECT_TRUE(reader.request().keep_alive);
  ASSERT_NE(reader.request().field("x-thing"), nullptr);
  EXPECT_EQ(*reader.request().field("x-thing"), "spaced");
  EXPECT_EQ(reader.request().field("y"), nullptr);
  EXPECT_EQ(reader.next(), Result::kMore);
  EXPECT_FALSE(reader.in_request());
}

TEST(RequestReaderTest, SingleBytesAndPipelines) {
  RequestReader reader;
  const std::string two =
      "HEAD /1 HTTP/1.1\r\n\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /3 "
      "HTTP/1.1\r\n\r\n";
  std::string seen;
  for (const char c : two) {
    reader.feed(std::string_view(&c, 1));
    while (reader.next() == Result::kRequest) seen += reader.request().target;
  }
  EXPECT_EQ(seen, "/1/2/3");
  RequestReader at_once;
  at_once.feed(two);
  seen.clear();
  while (at_once.next() == Result::kRequest) seen += at_once.request().target;
  EXPECT_EQ(seen, "/1/2/3");
}

TEST(RequestReaderTest, KeepAliveFollowsVersionAndField) {
  const auto kept = [](const std::string& text) {
    RequestReader reader;
    reader.feed(text);
    EXPECT_EQ(reader.next(), Result::kRequest);
    return reader.request().keep_alive;
  };
  EXPECT_TRUE(kept("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_FALSE(kept("GET / HTTP/1.1\r\nConnection: foo, Close\r\n\r\n"));
  EXPECT_FALSE(kept("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(kept("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
}

TEST(RequestReaderTest, WrongRequestsGetTheirStatus) {
  const auto status = [](const std::string& text) {
    RequestReader reader;
    reader.feed(text);
    EXPECT_EQ(reader.next(), Result::kError) << text;
    EXPECT_EQ(reader.next(), Result::kError) << "an error is for good";
    return reader.error_status();
  };
  EXPECT_EQ(status("nonsense\r\n\r\n"), 400);
  EXPECT_EQ(status("GET  / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status("GET /\x01 HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/2.0\r\n\r\n"), 505);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nno colon\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nName : x\r\n\r\n"), 400);
  EXPECT_EQ(status("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), 400);
  EXPECT_EQ(status("POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"), 413);
  EXPECT_EQ(status("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), 501);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"), 431);
  EXPECT_EQ(status(std::string(20'000, 'x')), 431);
}

TEST(ResponseTest, HeadsAreWritten) {
  EXPECT_EQ(format_head({.status = 404, .type = "text/plain", .length = 3}),
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(format_head({.status = 301, .location = "/x/", .length = 0, .keep_alive = false}),
            "HTTP/1.1 301 Moved Permanently\r\nLocation: /x/\r\nContent-Length: 0\r\nConnection: "
            "close\r\n\r\n");
  EXPECT_EQ(format_head({}), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(format_chunk("0123456789abcdef"), "10\r\n0123456789abcdef\r\n");
  EXPECT_EQ(format_chunk(""), "0\r\n\r\n");
}

TEST(SafePathTest, NobodyClimbsOut) {
  EXPECT_EQ(safe_path("/a%20b/c?x=../"), "/a b/c");
  EXPECT_EQ(safe_path("/a..b/..."), "/a..b/...");
  for (const char* target : {"/..", "/../x", "/a/../../x", "/%2e%2e/x", "/a/%2E./x", "/..%2fx", "x",
                             "", "*", "http://x/", "/%", "/%zz", "/a%00"}) {
    EXPECT_EQ(safe_path(target), std::nullopt) << target;
  }
}

TEST(ContentTypeTest, TheLastSuffixCounts) {
  EXPECT_EQ(content_type_of("/x/INDEX.HTML"), "text/html; charset=utf-8");
  EXPECT_EQ(content_type_of("/x/page.html.gz"), "application/gzip");
  EXPECT_EQ(content_type_of("/x.d/README"), "text/plain");
  EXPECT_EQ(content_type_of("/x/a.unknown"), "application/octet-stream");
}

}  // namespace
}  // namespace linkcheck
