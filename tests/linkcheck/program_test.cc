// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The program as a shell sees it: what goes where, and the exit status.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tools/linkcheck/options.h"

namespace linkcheck {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Ended {
  int status = -1;
  std::string output;
};

// `arguments` are a shell's, redirections included; of the output, what is left for stdout.
Ended run_program(const std::string& arguments) {
  Ended ended;
  FILE* const pipe = ::popen(("\"" LINKCHECK_PROGRAM "\" " + arguments).c_str(), "r");
  if (pipe == nullptr) return ended;
  std::array<char, 4096> block{};
  while (const std::size_t size = std::fread(block.data(), 1, block.size(), pipe)) {
    ended.output.append(block.data(), size);
  }
  const int status = ::pclose(pipe);
  if (WIFEXITED(status)) ended.status = WEXITSTATUS(status);
  return ended;
}

TEST(ProgramTest, AWholeCheckEndsWithNothingLeft) {
  const Ended ended = run_program("--generated 20 --stats");
  EXPECT_EQ(ended.status, kExitFine);
  EXPECT_THAT(ended.output, StartsWith("20 URLs checked in "));
  EXPECT_THAT(ended.output, HasSubstr("Left at the end: 0 tasks, 0 descriptors, 0 stacks\n"));
}

TEST(ProgramTest, DeadLinksCountOnlyIfAsked) {
  EXPECT_EQ(run_program("--generated 60").status, kExitFine);
  const Ended ended = run_program("--generated 60 --fail --quiet");
  EXPECT_EQ(ended.status, kExitDead);
  EXPECT_EQ(ended.output,
            "  404 Not Found: (generated)/missing/50.html\n      in (generated)/page/50.html\n");
}

TEST(ProgramTest, AWrongCommandLineIsOneLineOfStderr) {
  EXPECT_EQ(run_program("--jobs 0 2>/dev/null").output, "");
  const Ended ended = run_program("--jobs 0 2>&1");
  EXPECT_EQ(ended.status, kExitUsage);
  EXPECT_EQ(ended.output,
            "linkcheck: --jobs: '0' is not a whole number from 1 to 10000 (linkcheck --help lists "
            "the options)\n");
}

TEST(ProgramTest, AnEmptyTargetCanBeSeen) {
  EXPECT_THAT(run_program("''").output, HasSubstr("https://): ''\n"));
}

TEST(ProgramTest, ADeadlineHasItsOwnStatus) {
  const Ended ended = run_program("--generated 20 --latency 1h --timeout 1h --deadline 10ms");
  EXPECT_EQ(ended.status, kExitDeadline);
  EXPECT_THAT(ended.output, HasSubstr("The deadline passed: 1 URL was not checked.\n"));
}

TEST(ProgramTest, AReportThatCannotBeWrittenIsAFailure) {
  for (const char* arguments : {"--generated 3", "--generated 3 --json", "--help"}) {
    const Ended ended = run_program(arguments + std::string(" 2>&1 >/dev/full"));
    EXPECT_EQ(ended.status, kExitBroken) << arguments;
    EXPECT_EQ(ended.output, "linkcheck: cannot write to the standard output\n");
  }
}

}  // namespace
}  // namespace linkcheck
