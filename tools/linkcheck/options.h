// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace linkcheck {

// Exit statuses; --help lists them.
constexpr int kExitFine = 0;
constexpr int kExitDead = 1;  // with --fail only
constexpr int kExitUsage = 2;
constexpr int kExitDeadline = 3;  // --deadline passed before everything was checked
constexpr int kExitBroken = 4;    // linkcheck itself failed, or lacked descriptors or memory
constexpr int kExitInterrupted = 130;

struct Options {
  std::vector<std::string> targets;  // URLs and directories, as given
  std::vector<std::string> serve;    // directories
  std::uint32_t jobs = 16;
  std::optional<std::chrono::nanoseconds> timeout;   // of one request; see timeout_for
  std::optional<std::chrono::nanoseconds> deadline;  // of the whole
  std::chrono::nanoseconds latency{};
  double hang = 0;              // share of the pages that never answer
  std::uint32_t generated = 0;  // pages of a generated site to check
  std::size_t rows = 20;
  bool external = false;
  bool markdown = false;
  bool follow_links = false;
  bool json = false;
  bool fail = false;
  bool quiet = false;
  bool stats = false;

  // 10 s; 2 s when everything comes from this process.
  std::chrono::nanoseconds timeout_for(bool only_own_sites) const;
};

// What came of a command line: options, or a text to print and an exit status.
struct ParsedOptions {
  Options options;
  std::optional<int> exit;
  std::string out;  // --help, --version
  std::string err;  // one line
};

// `arguments` without the program's name.
ParsedOptions parse_options(std::vector<std::string> arguments);

}  // namespace linkcheck
