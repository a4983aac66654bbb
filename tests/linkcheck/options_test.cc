// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>

namespace linkcheck {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(OptionsTest, NothingGivenIsTheDefault) {
  const ParsedOptions parsed = parse_options({});
  ASSERT_FALSE(parsed.exit.has_value());
  EXPECT_EQ(parsed.options.jobs, 16U);
  EXPECT_TRUE(parsed.options.targets.empty());
  EXPECT_EQ(parsed.options.timeout_for(true), 2s);
  EXPECT_EQ(parsed.options.timeout_for(false), 10s);
  EXPECT_FALSE(parsed.options.deadline.has_value());
}

TEST(OptionsTest, EverythingCanBeSaid) {
  const ParsedOptions parsed = parse_options({"https://example.org",
                                              "docs",
                                              "--serve",
                                              "one",
                                              "--serve=two",
                                              "--jobs",
                                              "32",
                                              "--timeout=500ms",
                                              "--deadline",
                                              "1m",
                                              "--latency",
                                              "20ms",
                                              "--hang",
                                              "1%",
                                              "--json",
                                              "--fail",
                                              "--quiet",
                                              "--external",
                                              "--markdown",
                                              "--stats",
                                              "--rows=0",
                                              "--generated",
                                              "679"});
  ASSERT_FALSE(parsed.exit.has_value()) << parsed.err;
  const Options& options = parsed.options;
  EXPECT_THAT(options.targets, ElementsAre("https://example.org", "docs"));
  EXPECT_THAT(options.serve, ElementsAre("one", "two"));
  EXPECT_EQ(options.jobs, 32U);
  EXPECT_EQ(options.timeout_for(true), 500ms);
  EXPECT_EQ(options.deadline, 60s);
  EXPECT_EQ(options.latency, 20ms);
  EXPECT_DOUBLE_EQ(options.hang, 0.01);
  EXPECT_EQ(options.generated, 679U);
  EXPECT_EQ(options.rows, 0U);
  EXPECT_TRUE(options.json && options.fail && options.quiet && options.markdown &&
              options.external && options.stats);
}

TEST(OptionsTest, AServedDirectoryDoesNotSwallowTheTargets) {
  const ParsedOptions parsed = parse_options({"--serve", "one", "https://example.org"});
  EXPECT_THAT(parsed.options.serve, ElementsAre("one"));
  EXPECT_THAT(parsed.options.targets, ElementsAre("https://example.org"));
}

struct WrongLine {
  std::vector<std::string> arguments;
  std::string names;
};

void PrintTo(const WrongLine& line, std::ostream* out) {
  for (const std::string& argument : line.arguments) *out << argument << ' ';
}

class WrongOptionsTest : public ::testing::TestWithParam<WrongLine> {};

TEST_P(WrongOptionsTest, OneLineNamesTheOption) {
  const ParsedOptions parsed = parse_options(GetParam().arguments);
  ASSERT_TRUE(parsed.exit.has_value());
  EXPECT_EQ(*parsed.exit, kExitUsage);
  EXPECT_EQ(parsed.out, "");
  EXPECT_THAT(parsed.err, HasSubstr(GetParam().names));
  EXPECT_EQ(std::count(parsed.err.begin(), parsed.err.end(), '\n'), 1) << parsed.err;
}

INSTANTIATE_TEST_SUITE_P(
    All, WrongOptionsTest,
    ::testing::Values(
        WrongLine{{"--jobs", "0"}, "--jobs: '0' is not a whole number from 1 to 10000"},
        WrongLine{{"--jobs", "many"}, "--jobs"}, WrongLine{{"--jobs"}, "--jobs"},
        WrongLine{{"--timeout", "5"}, "--timeout: '5' is not a duration such as 20ms"},
        WrongLine{{"--timeout", "0s"}, "--timeout"}, WrongLine{{"--deadline", "-1s"}, "--deadline"},
        WrongLine{{"--latency", "fast"}, "--latency"},
        WrongLine{{"--hang", "200%"}, "--hang: '200%' is not a percentage such as 1%"},
        WrongLine{{"--rows", "x"}, "--rows"}, WrongLine{{"--nonsense"}, "--nonsense"},
        WrongLine{{"--generated", "0"}, "--generated"},
        WrongLine{{"--latency", "1\n2"}, "'1%0A2'"}));

TEST(OptionsTest, HelpTellsTheExitStatuses) {
  const ParsedOptions parsed = parse_options({"--help"});
  EXPECT_EQ(parsed.exit, kExitFine);
  for (const char* text :
       {"--jobs", "--timeout", "--deadline", "--latency", "--hang", "--serve", "--json", "--fail",
        "--quiet", "--external", "--markdown", "--stats", "--version", "Exit status", "  130 "}) {
    EXPECT_THAT(parsed.out, HasSubstr(text));
  }
}

TEST(OptionsTest, VersionIsOneLine) {
  const ParsedOptions parsed = parse_options({"--version"});
  EXPECT_EQ(parsed.exit, kExitFine);
  EXPECT_THAT(parsed.out, ::testing::MatchesRegex("linkcheck [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

}  // namespace
}  // namespace linkcheck
