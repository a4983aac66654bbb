// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tools/linkcheck/report.h"

namespace linkcheck {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// A tree for documentation, and a folder for guides, both empty.
class PlanTest : public ::testing::Test {
 protected:
  PlanTest()
      : root_(std::filesystem::path(::testing::TempDir()) /
              ("linkcheck-plan-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(root_ / "doc");
    std::filesystem::create_directories(root_ / "guides");
  }
  ~PlanTest() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    std::ofstream(root_ / path) << text;
  }
  UsualPlaces places() const { return {.tree = tree(), .guides = (root_ / "guides").string()}; }
  std::string tree() const { return (root_ / "doc").string(); }

  std::filesystem::path root_;
};

std::vector<std::string> labels(const CheckPlan& plan) {
  std::vector<std::string> list;
  for (const Served& served : plan.served) list.push_back(served.label + served.start);
  return list;
}

TEST_F(PlanTest, WithoutATargetTheUsualTreeIsChecked) {
  write("doc/index.html", "<p>");
  const Planned planned = make_plan({}, places());
  EXPECT_EQ(planned.message, "Serving and checking " + tree() + ".\n");
  EXPECT_THAT(labels(planned.plan), ElementsAre(tree() + "/"));
}

TEST_F(PlanTest, WithoutGuidesThereIsStillTheGeneratedSite) {
  write("doc/copyright", "no HTML");
  const Planned planned = make_plan({}, places());
  EXPECT_EQ(planned.message, "There is no HTML in " + tree() +
                                 "; checking a generated site of 679 pages with 19 dead links in "
                                 "it instead.\n");
  EXPECT_THAT(labels(planned.plan), ElementsAre("(generated)/"));
}

TEST_F(PlanTest, ATreeThatIsNotThereIsOneWithoutHtml) {
  UsualPlaces usual = places();
  usual.tree += "/none";
  EXPECT_THAT(make_plan({}, usual).message, StartsWith("There is no HTML in " + usual.tree));
}

TEST_F(PlanTest, TargetsAreUrlsOrDirectories) {
  Options options;
  options.targets = {"http://example.org/", "/no/such/directory", "ftp://x/", tree()};
  const Planned planned = make_plan(options, places());
  EXPECT_EQ(planned.message, "");
  EXPECT_THAT(planned.plan.urls, ElementsAre("http://example.org/"));
  ASSERT_EQ(planned.plan.unusable.size(), 2U);
  EXPECT_THAT(planned.plan.unusable[0].second, HasSubstr("no such directory"));
  EXPECT_THAT(planned.plan.unusable[1].second, HasSubstr("not an http"));
  EXPECT_THAT(labels(planned.plan), ElementsAre(tree() + "/"));
  EXPECT_EQ(planned.plan.crawl.timeout, 10s) << "others may be slower than we are";
}

TEST_F(PlanTest, WithoutTargetsThereIsAlwaysSomethingToCheck) {
  const Planned planned = make_plan(Options());
  EXPECT_GE(planned.plan.served.size(), 1U);
  EXPECT_FALSE(planned.message.empty());
  EXPECT_EQ(planned.plan.crawl.timeout, 2s);
}

// What a slim image shows, whole.
TEST_F(PlanTest, OnASlimImageTheGuidesAndAGeneratedSiteAreChecked) {
  write("guides/README.md", "# Guide\n\nSee [the other](other.md#there) and [nothing](gone.md).\n");
  write("guides/other.md", "# There\n");
  const Planned planned = make_plan({}, places());
  EXPECT_THAT(planned.message, HasSubstr("checking weft's own guides and a generated site of 679"));
  const CheckResult result = run_check(planned.plan);
  const Findings found = find(result.ledger);
  EXPECT_EQ(found.pages, 679U + 2U);
  EXPECT_EQ(found.dead.size(), GeneratedSite(679).dead_links() + 1);
  EXPECT_EQ(result.stats.tasks_left + result.stats.descriptors_left + result.stats.stacks_left, 0U);
  Report report{.ledger = result.ledger, .findings = found, .ending = result.ending};
  report.sites = result.sites;
  report.rows = 0;
  std::ostringstream screen;
  write_text(screen, report);
  EXPECT_THAT(screen.str(), HasSubstr(places().guides + "/gone.md\n      in " + places().guides +
                                      "/README.md\n"));
  EXPECT_THAT(screen.str(), HasSubstr("  404 Not Found: (generated)/missing/100.html\n"));
}

}  // namespace
}  // namespace linkcheck
