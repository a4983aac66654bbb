// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
// linkcheck: checks every link of a site. The concurrent half is check.cc (what runs inside what)
// and crawler.cc (what one task a link does); everything else needs no fibers.

#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tools/linkcheck/check.h"
#include "tools/linkcheck/lack.h"
#include "tools/linkcheck/options.h"
#include "tools/linkcheck/plan.h"
#include "tools/linkcheck/report.h"
#include "weft/fibers/cancelled.h"

namespace linkcheck {
namespace {

// Each request is two descriptors when we are the server as well; the usual limit of 1,024 is a
// default, not a rule.
void allow_many_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// A disk that is full, say. What is in the stream's buffer counts as well.
void require_written() {
  if (!std::cout.flush()) throw std::runtime_error("cannot write to the standard output");
}

int exit_status(const Options& options, Ending ending, const Findings& findings) {
  if (ending == Ending::kLack) return kExitBroken;
  if (ending == Ending::kInterrupted) return kExitInterrupted;
  if (options.fail && !findings.dead.empty()) return kExitDead;
  return ending == Ending::kDeadline ? kExitDeadline : kExitFine;
}

void say(const std::string& text) {
  std::cerr << "linkcheck: " << text << std::endl;
}

// Static objects of libraries are made before main(): if memory lacks for one of these, words are
// all that is left.
[[gnu::constructor(101)]] void speak_when_there_is_no_memory_at_the_start() {
  std::set_terminate([] {
    const std::exception_ptr error = std::current_exception();
    const bool no_memory = error != nullptr && lack_in(error).has_value();
    constexpr std::string_view kNoMemory = "linkcheck: out of memory\n";
    constexpr std::string_view kBroken = "linkcheck: broken by an error that nobody takes\n";
    const std::string_view words = no_memory ? kNoMemory : kBroken;
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, words.data(), words.size());
    if (no_memory) ::_exit(kExitBroken);
    std::abort();
  });
}

int check_and_report(const Options& options) {
  Planned planned = make_plan(options);
  planned.plan.progress = !options.quiet && ::isatty(STDERR_FILENO) == 1;
  // Where the tables do not go, so that JSON stays JSON.
  if (!options.quiet) (options.json ? std::cerr : std::cout) << planned.message << std::flush;
  const CheckResult result = run_check(planned.plan);
  const Findings findings = find(result.ledger);
  Report report{.ledger = result.ledger, .findings = findings, .ending = result.ending};
  report.lack = result.lack;
  report.stats = result.stats;
  report.sites = result.sites;
  report.rows = options.rows;
  report.show_stats = options.stats;
  report.quiet = options.quiet;
  options.json ? write_json(std::cout, report) : write_text(std::cout, report);
  require_written();
  if (result.ending == Ending::kLack) say(result.lack);
  return exit_status(options, result.ending, findings);
}

int main_or_throw(int argc, char** argv) {
  const ParsedOptions parsed = parse_options({argv + 1, argv + argc});
  if (parsed.exit) {
    std::cout << parsed.out;
    std::cerr << parsed.err << std::flush;
    require_written();
    return *parsed.exit;
  }
  allow_many_descriptors();
  return check_and_report(parsed.options);
}

}  // namespace
}  // namespace linkcheck

int main(int argc, char** argv) {
  try {
    return linkcheck::main_or_throw(argc, argv);
  } catch (const weft::fibers::KeyboardInterrupt&) {
    return linkcheck::kExitInterrupted;  // pressed again while everything was being closed
  } catch (const linkcheck::WrongTarget& wrong) {
    linkcheck::say(std::string(wrong.what()) + " (linkcheck --help lists the options)");
    return linkcheck::kExitUsage;
  } catch (const std::exception& error) {
    linkcheck::say(linkcheck::lack_in(std::current_exception()).value_or(error.what()));
    return linkcheck::kExitBroken;
  }
}
