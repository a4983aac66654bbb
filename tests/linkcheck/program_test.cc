// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The program as a shell sees it: what goes where, and the exit status.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "tools/linkcheck/options.h"
#include "weft/fibers/detail/sanitizers.h"

namespace linkcheck {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Ended {
  int status = -1;
  std::string output;
};

// `arguments` are a shell's, redirections included; of the output, what is left for stdout.
Ended run_program(const std::string& arguments, const std::string& before = "") {
  Ended ended;
  FILE* const pipe = ::popen((before + "\"" LINKCHECK_PROGRAM "\" " + arguments).c_str(), "r");
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
  const Ended ended = run_program("'' 2>&1");
  EXPECT_EQ(ended.status, kExitUsage);
  EXPECT_THAT(ended.output, StartsWith("linkcheck: '': no such directory"));
}

TEST(ProgramTest, ATargetThatDoesNotExistIsAWrongCommandLine) {
  for (const char* arguments : {"/no/such/directory", "--serve /no/such/directory", "ftp://x/"}) {
    const Ended ended = run_program(arguments + std::string(" --fail 2>/dev/null"));
    EXPECT_EQ(ended.status, kExitUsage) << arguments;
    EXPECT_EQ(ended.output, "") << arguments;
  }
}

// What this process has inherited would count against the limit of the program.
void keep_descriptors_from_children() {
  constexpr int kMoreThanAnybodyLeavesOpen = 1024;
  for (int fd = STDERR_FILENO + 1; fd < kMoreThanAnybodyLeavesOpen; ++fd) {
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
}

// Whatever the limit is: either everything is checked, or the program says what it lacks. No dead
// link is ever made up.
void check_with_few_descriptors(const std::string& arguments) {
#ifdef WEFT_ASAN
  GTEST_SKIP() << "UBSan opens pipes of its own, and takes its lack of them for a fault";
#endif
  keep_descriptors_from_children();
  int given_up = 0;
  for (const int limit : {4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 24, 28, 32, 48, 64}) {
    const Ended ended = run_program(arguments + " --json",
                                    "exec 2>&1; ulimit -n " + std::to_string(limit) + "; exec ");
    if (ended.output.find("\"summary\"") != std::string::npos) {
      EXPECT_THAT(ended.output, HasSubstr("\"dead\":0,")) << limit;
    }
    if (ended.status == kExitFine) {
      EXPECT_THAT(ended.output, HasSubstr("\"ending\":\"complete\"")) << limit;
      continue;
    }
    ++given_up;
    EXPECT_EQ(ended.status, kExitBroken) << limit << '\n' << ended.output;
    EXPECT_THAT(ended.output,
                HasSubstr("linkcheck: out of file descriptors: this process may open " +
                          std::to_string(limit) + " at a time (ulimit -n)"))
        << limit;
  }
  EXPECT_GT(given_up, 5);
}

TEST(ProgramTest, TooFewDescriptorsAreNoDeadLinks) {
  check_with_few_descriptors("--generated 40 --jobs 16");
}

TEST(ProgramTest, TooFewDescriptorsForFilesAreNone) {
  char directory[] = "/tmp/linkcheck-files-XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  for (int page = 0; page < 40; ++page) {
    std::ofstream(directory + ("/" + std::to_string(page)) + ".html") << "<p>" << page;
  }
  check_with_few_descriptors(directory + std::string(" --jobs 16"));
  std::filesystem::remove_all(directory);
}

#ifdef FAILING_MALLOC
// From the first allocation of the dynamic linker to those of the report, in even steps: all is
// well, or the program says in words that it has no memory. It invents no dead link, and nothing
// hangs.
TEST(ProgramTest, WithoutMemoryItSaysSo) {
  int lacks = 0;
  for (int at = 1; at < 8'000; at += 41) {
    const std::string before =
        "exec 2>&1; export LD_PRELOAD=" FAILING_MALLOC " FAIL_AT=" + std::to_string(at) + "; exec ";
    const Ended ended = run_program("--generated 5 --fail", before);
    if (ended.status == kExitFine) continue;
    ++lacks;
    // glibc's own words come from its dynamic linker and from its threads.
    const bool of_glibc = ended.output.find("glibc error") != std::string::npos ||
                          ended.output.find("cannot allocate memory") != std::string::npos;
    if (of_glibc) continue;
    EXPECT_EQ(ended.status, kExitBroken) << at << ": " << ended.output;
    EXPECT_THAT(ended.output, ::testing::ContainsRegex("emory")) << at;
  }
  EXPECT_GT(lacks, 20);
}
#endif

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
