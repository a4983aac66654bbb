// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/units.h"

#include <gtest/gtest.h>

#include "tools/linkcheck/text.h"

namespace linkcheck {
namespace {

using namespace std::chrono_literals;

TEST(UnitsTest, DurationsHaveUnits) {
  EXPECT_EQ(parse_duration("20ms"), 20ms);
  EXPECT_EQ(parse_duration("500us"), 500us);
  EXPECT_EQ(parse_duration("2s"), 2s);
  EXPECT_EQ(parse_duration("1.5m"), 90s);
  EXPECT_EQ(parse_duration("1min"), 60s);
  EXPECT_EQ(parse_duration("1h"), 3600s);
  EXPECT_EQ(parse_duration("0"), 0s);
}

TEST(UnitsTest, OtherTextIsNoDuration) {
  for (const char* text :
       {"", "2", "ms", "-1s", "1 s", "1e3s", "nan", "infs", "2sec", "1h30m", "99999h"}) {
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
  }
}

TEST(UnitsTest, PercentIsAShareOfOne) {
  EXPECT_DOUBLE_EQ(parse_percent("1%").value(), 0.01);
  EXPECT_DOUBLE_EQ(parse_percent("0.5%").value(), 0.005);
  EXPECT_DOUBLE_EQ(parse_percent("100").value(), 1.0);
  for (const char* text : {"", "%", "-1%", "101%", "1%%", "one"}) {
    EXPECT_EQ(parse_percent(text), std::nullopt) << text;
  }
}

TEST(UnitsTest, NumbersAreForReading) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(7619), "7,619");
  EXPECT_EQ(format_count(1234567), "1,234,567");
  EXPECT_EQ(counted(1, "page", "pages"), "1 page");
  EXPECT_EQ(counted(2000, "page", "pages"), "2,000 pages");
  EXPECT_EQ(format_bytes(812), "812 B");
  EXPECT_EQ(format_bytes(3482), "3.4 KiB");
  EXPECT_EQ(format_bytes(60U << 20U), "60.0 MiB");
  EXPECT_EQ(format_duration(20ms), "20 ms");
  EXPECT_EQ(format_duration(1020ms), "1.02 s");
  EXPECT_EQ(format_duration(125s), "2 min 5 s");
}

TEST(UnitsTest, NothingDrivesTheTerminal) {
  EXPECT_EQ(printable("a\x1B[31mb\n"), "a%1B[31mb%0A");
  EXPECT_EQ(printable("gr\xC3\xBC\xC3\x9F"), "gr\xC3\xBC\xC3\x9F");
  EXPECT_EQ(printable("\xFF\xC3"), "%FF%C3");
  EXPECT_EQ(printable("\xC2\x9B"), "%C2%9B") << "the C1 control sequence introducer";
}

TEST(TextTest, Utf8SequencesAreCheckedWhole) {
  EXPECT_EQ(utf8_sequence("a"), 1U);
  EXPECT_EQ(utf8_sequence("\xE2\x82\xAC"), 3U);
  EXPECT_EQ(utf8_sequence("\xF0\x9F\x98\x80"), 4U);
  EXPECT_EQ(utf8_sequence("\xC0\x80"), 0U) << "overlong";
  EXPECT_EQ(utf8_sequence("\xED\xA0\x80"), 0U) << "a surrogate";
  EXPECT_EQ(utf8_sequence("\xE2\x82"), 0U) << "cut off";
}

TEST(TextTest, PercentDecodingIsStrictWhereItMatters) {
  EXPECT_EQ(percent_decoded("%41%zz%4"), "A%zz%4");
  EXPECT_EQ(percent_decoded_strictly("/a%20b"), "/a b");
  EXPECT_EQ(percent_decoded_strictly("/a%2"), std::nullopt);
  EXPECT_EQ(percent_decoded_strictly("/a%00b"), std::nullopt);
  EXPECT_EQ(percent_encoded_step("a b/c#d?"), "a%20b%2Fc%23d%3F");
}

}  // namespace
}  // namespace linkcheck
