// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/plan.h"

#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "tools/linkcheck/lack.h"
#include "tools/linkcheck/text.h"
#include "tools/linkcheck/units.h"
#include "tools/linkcheck/urls.h"

#ifndef LINKCHECK_GUIDES
#define LINKCHECK_GUIDES ""
#endif

namespace linkcheck {
namespace {

constexpr std::uint32_t kUsualPages = 679;

// Takes one target after the other and notes which are none.
class Targets {
 public:
  Targets(CheckPlan& plan, const DirectoryOptions& directories)
      : plan_(plan), directories_(directories) {}

  // A target is a URL when it says so, and else a directory.
  void add(const std::string& target);
  void serve_directory(const std::string& directory);
  void serve_generated(std::uint32_t pages) {
    plan_.served.push_back({std::make_unique<GeneratedSite>(pages), "(generated)"});
  }
  void require_all_usable() const {
    if (!wrong_.empty()) throw WrongTarget(wrong_);
  }

 private:
  void add_url(const std::string& url);
  void add_wrong(const std::string& target, const std::string& why) {
    wrong_ += (wrong_.empty() ? "" : "\n") + ("'" + printable(target) + "': " + why);
  }

  CheckPlan& plan_;
  DirectoryOptions directories_;
  std::string wrong_;
};

void Targets::add(const std::string& target) {
  if (starts_with_ignoring_case(target, "http:") || starts_with_ignoring_case(target, "https:")) {
    add_url(target);
  } else if (target.find("://") != std::string::npos) {
    add_wrong(target, "not an http or https URL");
  } else if (!std::filesystem::exists(target)) {
    add_wrong(target, "no such directory (a URL begins with http:// or https://)");
  } else {
    serve_directory(target);
  }
}

void Targets::add_url(const std::string& url) {
  const Resolved parsed = parse_url(url);
  if (parsed.is_http()) {
    plan_.urls.push_back(url);
  } else {
    add_wrong(url, "malformed URL: " + parsed.problem);
  }
}

void Targets::serve_directory(const std::string& directory) {
  try {
    std::string label = directory;
    while (label.size() > 1 && label.back() == '/') label.pop_back();
    plan_.served.push_back(
        {std::make_unique<DirectorySite>(directory, directories_), label == "/" ? "" : label});
  } catch (const std::system_error& error) {
    if (is_lack(error.code().value())) throw_lack(error.code().value());
    add_wrong(directory, "cannot be served: " + error.code().message());
  }
}

// Without any target.
std::string add_usual_targets(CheckPlan& plan, Targets& targets, const UsualPlaces& usual) {
  if (holds_html(usual.tree)) {
    targets.serve_directory(usual.tree);
    return "Serving and checking " + usual.tree + ".\n";
  }
  targets.serve_generated(kUsualPages);
  const std::string generated =
      "a generated site of " + counted(kUsualPages, "page", "pages") + " with " +
      counted(GeneratedSite(kUsualPages).dead_links(), "dead link", "dead links") + " in it";
  const std::string instead = "There is no HTML in " + usual.tree + "; checking ";
  if (!std::filesystem::exists(usual.guides + "/README.md")) {
    return instead + generated + " instead.\n";
  }
  plan.served.push_back(
      {std::make_unique<DirectorySite>(usual.guides, DirectoryOptions{.markdown = true}),
       usual.guides, "/README.md"});
  return instead + "weft's own guides and " + generated + " instead.\n";
}

}  // namespace

UsualPlaces usual_places() {
  return {.tree = "/usr/share/doc", .guides = LINKCHECK_GUIDES};
}

Planned make_plan(const Options& options, const UsualPlaces& usual) {
  Planned planned;
  CheckPlan& plan = planned.plan;
  Targets targets(plan, {.markdown = options.markdown, .follow_links = options.follow_links});
  for (const std::string& target : options.targets) targets.add(target);
  for (const std::string& directory : options.serve) targets.serve_directory(directory);
  if (options.generated > 0) targets.serve_generated(options.generated);
  const bool nothing_given =
      options.targets.empty() && options.serve.empty() && options.generated == 0;
  if (nothing_given) planned.message = add_usual_targets(plan, targets, usual);
  targets.require_all_usable();
  plan.crawl.jobs = options.jobs;
  plan.crawl.timeout = options.timeout_for(plan.urls.empty() && !options.external);
  plan.crawl.external = options.external;
  plan.server = {.latency = options.latency, .hang = options.hang};
  plan.deadline = options.deadline;
  return planned;
}

}  // namespace linkcheck
