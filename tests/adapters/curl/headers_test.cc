// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/curl/headers.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weft::curl {
namespace {

std::vector<std::string> all(const Headers& headers) {
  std::vector<std::string> list;
  for (const Header header : headers) {
    list.push_back(std::string(header.name) + "=" + std::string(header.value));
  }
  return list;
}

TEST(HeadersTest, KeepTheirOrderAndLoseTheBlanksAroundValues) {
  Headers headers;
  EXPECT_TRUE(headers.empty());
  headers.add_line("Content-Type:text/html\r\n");
  headers.add_line("X-Empty:\r\n");
  headers.add_line("X-Colon: \t a: b  c \r\n");
  EXPECT_EQ(all(headers),
            (std::vector<std::string>{"Content-Type=text/html", "X-Empty=", "X-Colon=a: b  c"}));
  EXPECT_EQ(headers.size(), 3U);
}

TEST(HeadersTest, AreFoundInAnyCaseOfLetters) {
  Headers headers;
  headers.add_line("Set-Cookie: a=1\r\n");
  headers.add_line("set-cookie: b=2\r\n");
  EXPECT_EQ(headers.find("SET-COOKIE"), "a=1") << "the first one";
  EXPECT_EQ(headers.find("Set-Cooki"), std::nullopt);
  headers.clear();
  EXPECT_EQ(headers.find("Set-Cookie"), std::nullopt);
}

TEST(HeadersTest, ALineThatBeginsWithABlankContinuesTheOneBefore) {
  Headers headers;
  headers.add_line(" nothing before it\r\n");
  headers.add_line("X-Long: one\r\n");
  headers.add_line("\t two\r\n");
  headers.add_line("X-Next: three\r\n");
  EXPECT_EQ(all(headers), (std::vector<std::string>{"X-Long=one two", "X-Next=three"}));
}

TEST(HeadersTest, ALineWithoutAColonIsNone) {
  Headers headers;
  headers.add_line("HTTP/1.1 200 OK\r\n");
  headers.add_line("\r\n");
  EXPECT_TRUE(headers.empty());
}

}  // namespace
}  // namespace weft::curl
