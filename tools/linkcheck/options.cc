// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <functional>

#include "tools/linkcheck/units.h"

#ifndef LINKCHECK_VERSION
#define LINKCHECK_VERSION "unknown"
#endif

namespace linkcheck {
namespace {

using std::chrono::nanoseconds;

constexpr char kAbout[] =
    "Checks every link of a site: pages, what they embed, redirects and #fragments.\n"
    "Directories are served by linkcheck itself, from this process. Without any target it\n"
    "serves and checks /usr/share/doc, or its own guides where that holds no HTML.";

constexpr char kFooter[] =
    "Symbolic links inside a served directory are followed; one that leads out of it is a note\n"
    "in the report, and followed with --follow-links only.\n"
    "\n"
    "Durations: 500us, 20ms, 2s, 1.5m, 1h. Links to other hosts are listed, not asked for,\n"
    "unless --external is given; then their robots.txt is obeyed.\n"
    "\n"
    "Exit status:\n"
    "  0    the check is complete; without --fail also when there are dead links\n"
    "  1    dead links, and --fail was given\n"
    "  2    the command line is wrong, or names a directory that is not there\n"
    "  3    --deadline passed first; what was found until then was printed\n"
    "  4    linkcheck itself failed, or ran out of descriptors or memory\n"
    "  130  interrupted by Ctrl-C; what was found until then was printed";

// A value in words, so that an error names the option and says what it takes.
class DurationOption {
 public:
  static CLI::Option* add(CLI::App& app, const std::string& name, const std::string& help,
                          std::function<void(nanoseconds)> store, bool zero_allowed) {
    return app
        .add_option_function<std::string>(
            name,
            [name, store = std::move(store), zero_allowed](const std::string& text) {
              const std::optional<nanoseconds> value = parse_duration(text);
              if (!value || (!zero_allowed && value->count() == 0)) {
                throw CLI::ValidationError(name, "'" + printable(text) +
                                                     "' is not a duration such as 20ms, 2s or 1m" +
                                                     (value ? " (0 is too short)" : ""));
              }
              store(*value);
            },
            help)
        ->type_name("TIME");
  }
};

// `number` of an option that takes a whole one.
std::uint64_t whole_number(const std::string& name, const std::string& text, std::uint64_t least,
                           std::uint64_t most) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    throw CLI::ValidationError(name, "'" + printable(text) + "' is not a whole number from " +
                                         std::to_string(least) + " to " + std::to_string(most));
  }
  return value;
}

void add_number(CLI::App& app, const std::string& name, const std::string& help,
                std::uint64_t least, std::uint64_t most, std::function<void(std::uint64_t)> store) {
  // The error names the long form only.
  const std::string shown = name.substr(0, name.find(','));
  app.add_option_function<std::string>(
         name,
         [=, store = std::move(store)](const std::string& text) {
           store(whole_number(shown, text, least, most));
         },
         help)
      ->type_name("N");
}

void add_target_options(CLI::App& app, Options& options) {
  app.add_option("target", options.targets, "URLs (http, https) or directories")
      ->type_name("URL|DIR");
  app.add_option("--serve", options.serve, "Serve this directory and check it (repeatable)")
      ->type_name("DIR")
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add_number(app, "--generated", "Check a generated site of so many pages", 1, 1'000'000,
             [&options](std::uint64_t n) { options.generated = static_cast<std::uint32_t>(n); });
  app.add_flag("--external", options.external, "Ask other hosts about links to them, too");
  app.add_flag("--markdown", options.markdown,
               "Read .md files of served directories as pages, too");
  app.add_flag("--follow-links", options.follow_links,
               "Serve what symbolic links out of a directory lead to, too");
}

void add_limit_options(CLI::App& app, Options& options) {
  add_number(app, "--jobs,-j", "Requests at a time (default 16)", 1, 10'000,
             [&options](std::uint64_t n) { options.jobs = static_cast<std::uint32_t>(n); });
  DurationOption::add(
      app, "--timeout", "For one request (default 10s; 2s when only own directories are checked)",
      [&options](nanoseconds value) { options.timeout = value; }, false);
  DurationOption::add(
      app, "--deadline", "For the whole check (default: none)",
      [&options](nanoseconds value) { options.deadline = value; }, false);
  DurationOption::add(
      app, "--latency", "Let the built-in server wait this long before each answer",
      [&options](nanoseconds value) { options.latency = value; }, true);
  app.add_option_function<std::string>(
         "--hang",
         [&options](const std::string& text) {
           const std::optional<double> share = parse_percent(text);
           if (!share) {
             throw CLI::ValidationError("--hang",
                                        "'" + printable(text) + "' is not a percentage such as 1%");
           }
           options.hang = *share;
         },
         "Let this share of the built-in server's pages never answer")
      ->type_name("PERCENT");
}

void add_output_options(CLI::App& app, Options& options) {
  app.add_flag("--json", options.json, "Print everything as JSON instead of the tables");
  app.add_flag("--fail", options.fail, "Exit with status 1 when there are dead links");
  app.add_flag("--quiet,-q", options.quiet, "Print dead links only, and no progress");
  app.add_flag("--stats", options.stats,
               "Print tasks, wall time, memory, and what is left at the end");
  add_number(app, "--rows", "Rows of each table (default 20; 0 for all)", 0, 1'000'000'000,
             [&options](std::uint64_t n) { options.rows = n; });
  app.set_version_flag("--version", std::string("linkcheck " LINKCHECK_VERSION));
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

}  // namespace

nanoseconds Options::timeout_for(bool only_own_sites) const {
  if (timeout) return *timeout;
  return only_own_sites ? std::chrono::seconds(2) : std::chrono::seconds(10);
}

ParsedOptions parse_options(std::vector<std::string> arguments) {
  ParsedOptions parsed;
  CLI::App app(kAbout, "linkcheck");
  app.footer(kFooter);
  add_target_options(app, parsed.options);
  add_limit_options(app, parsed.options);
  add_output_options(app, parsed.options);
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the end
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    parsed.exit = kExitFine;
    parsed.out = app.help();
  } catch (const CLI::CallForVersion& version) {
    parsed.exit = kExitFine;
    parsed.out = std::string(version.what()) + "\n";
  } catch (const CLI::ParseError& error) {
    parsed.exit = kExitUsage;
    parsed.err =
        "linkcheck: " + first_line(error.what()) + " (linkcheck --help lists the options)\n";
  }
  return parsed;
}

}  // namespace linkcheck
