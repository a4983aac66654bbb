// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/plan.h"

#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "tools/linkcheck/text.h"
#include "tools/linkcheck/units.h"

#ifndef LINKCHECK_GUIDES
#define LINKCHECK_GUIDES ""
#endif

namespace linkcheck {
namespace {

constexpr std::uint32_t kUsualPages = 679;

void serve_directory(CheckPlan& plan, const std::string& directory, bool markdown) {
  try {
    std::string label = directory;
    while (label.size() > 1 && label.back() == '/') label.pop_back();
    plan.served.push_back(
        {std::make_unique<DirectorySite>(directory, markdown), label == "/" ? "" : label});
  } catch (const std::system_error& error) {
    plan.unusable.emplace_back(directory, "cannot be served: " + error.code().message());
  }
}

void serve_generated(CheckPlan& plan, std::uint32_t pages) {
  plan.served.push_back({std::make_unique<GeneratedSite>(pages), "(generated)"});
}

// A target is a URL when it says so, and else a directory.
void add_target(CheckPlan& plan, const std::string& target, bool markdown) {
  if (starts_with_ignoring_case(target, "http:") || starts_with_ignoring_case(target, "https:")) {
    plan.urls.push_back(target);
  } else if (target.find("://") != std::string::npos) {
    plan.unusable.emplace_back(target, "not an http or https URL");
  } else if (!std::filesystem::exists(target)) {
    plan.unusable.emplace_back(target, "no such directory (a URL begins with http:// or https://)");
  } else {
    serve_directory(plan, target, markdown);
  }
}

// Without any target.
std::string add_usual_targets(CheckPlan& plan, const UsualPlaces& usual, bool markdown) {
  if (holds_html(usual.tree)) {
    serve_directory(plan, usual.tree, markdown);
    return "Serving and checking " + usual.tree + ".\n";
  }
  serve_generated(plan, kUsualPages);
  const std::string generated =
      "a generated site of " + counted(kUsualPages, "page", "pages") + " with " +
      counted(GeneratedSite(kUsualPages).dead_links(), "dead link", "dead links") + " in it";
  const std::string instead = "There is no HTML in " + usual.tree + "; checking ";
  if (!std::filesystem::exists(usual.guides + "/README.md")) {
    return instead + generated + " instead.\n";
  }
  plan.served.push_back(
      {std::make_unique<DirectorySite>(usual.guides, true), usual.guides, "/README.md"});
  return instead + "weft's own guides and " + generated + " instead.\n";
}

}  // namespace

UsualPlaces usual_places() {
  return {.tree = "/usr/share/doc", .guides = LINKCHECK_GUIDES};
}

Planned make_plan(const Options& options, const UsualPlaces& usual) {
  Planned planned;
  CheckPlan& plan = planned.plan;
  for (const std::string& target : options.targets) add_target(plan, target, options.markdown);
  for (const std::string& directory : options.serve)
    serve_directory(plan, directory, options.markdown);
  if (options.generated > 0) serve_generated(plan, options.generated);
  const bool nothing_given =
      options.targets.empty() && options.serve.empty() && options.generated == 0;
  if (nothing_given) planned.message = add_usual_targets(plan, usual, options.markdown);
  plan.crawl.jobs = options.jobs;
  plan.crawl.timeout = options.timeout_for(plan.urls.empty() && !options.external);
  plan.crawl.external = options.external;
  plan.server = {.latency = options.latency, .hang = options.hang};
  plan.deadline = options.deadline;
  return planned;
}

}  // namespace linkcheck
