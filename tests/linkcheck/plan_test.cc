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
  options.targets = {"http://example.org/", tree()};
  const Planned planned = make_plan(options, places());
  EXPECT_EQ(planned.message, "");
  EXPECT_THAT(planned.plan.urls, ElementsAre("http://example.org/"));
  EXPECT_THAT(labels(planned.plan), ElementsAre(tree() + "/"));
  EXPECT_EQ(planned.plan.crawl.timeout, 10s) << "others may be slower than we are";
}

TEST_F(PlanTest, ATargetThatIsNoneIsAnErrorOfTheCall) {
  write("doc/file.html", "<p>");
  Options options;
  options.targets = {"/no/such/directory", tree(), "ftp://x/", "http://", ""};
  options.serve = {tree() + "/file.html"};
  try {
    make_plan(options, places());
    ADD_FAILURE() << "there is a plan";
  } catch (const WrongTarget& wrong) {
    EXPECT_THAT(wrong.what(), StartsWith("'/no/such/directory': no such directory"));
    EXPECT_THAT(wrong.what(), HasSubstr("\n'ftp://x/': not an http or https URL\n"));
    EXPECT_THAT(wrong.what(), HasSubstr("\n'http://': malformed URL: "));
    EXPECT_THAT(wrong.what(), HasSubstr("\n'': no such directory"));
    EXPECT_THAT(wrong.what(), HasSubstr("file.html': cannot be served: Not a directory"));
  }
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
