// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/linkcheck/test_servers.h"

namespace linkcheck {
namespace {

using namespace std::chrono_literals;
using testing::ClosedPort;
using ::testing::HasSubstr;
using testing::OtherServer;
using testing::RawServer;
using testing::ScriptedSite;
using testing::SelfSignedServer;
using ::testing::StartsWith;

std::string link_to(const std::string& target) {
  return "<a href=\"" + target + "\">x</a>";
}

// Checks a scripted site, in this process, and looks at what was found.
class CheckTest : public ::testing::Test {
 protected:
  CheckTest() : owned_(std::make_unique<ScriptedSite>()), site_(*owned_) { plan_.crawl.jobs = 4; }

  void run() {
    plan_.served.push_back({std::move(owned_), "site"});
    run_plan();
  }
  void run_plan() {
    result_ = run_check(plan_);
    found_ = find(result_.ledger);
    EXPECT_EQ(result_.stats.tasks_left, 0U);
    if (!other_threads_) {
      EXPECT_EQ(result_.stats.descriptors_left, 0U);
    }
    EXPECT_EQ(result_.stats.stacks_left, 0U);
  }
  // The path, and the fragment, of a finding on the served site.
  std::string path(const Finding& finding) const {
    const std::string url(path_and_query_of(result_.ledger[finding.url].url));
    return finding.fragment.empty() ? url : url + "#" + finding.fragment;
  }
  // "path: reason" of everything that is dead.
  std::vector<std::string> dead() const {
    std::vector<std::string> list;
    for (const Finding& finding : found_.dead)
      list.push_back(path(finding) + ": " + finding.reason);
    return list;
  }
  const UrlRecord& record(const std::string& url_path) const {
    for (UrlId id = 0; id < result_.ledger.size(); ++id) {
      if (path_and_query_of(result_.ledger[id].url) == url_path) return result_.ledger[id];
    }
    throw std::out_of_range(url_path + " was never found");
  }

  std::unique_ptr<ScriptedSite> owned_;
  ScriptedSite& site_;
  CheckPlan plan_;
  bool other_threads_ = false;  // with a server of their own, whose descriptors come and go
  CheckResult result_;
  Findings found_;
};

TEST_F(CheckTest, AWholeSiteIsCheckedAndNothingIsLeft) {
  const GeneratedSite counted(200);
  plan_.served.push_back({std::make_unique<GeneratedSite>(200), "generated"});
  plan_.crawl.jobs = 16;
  run_plan();
  EXPECT_EQ(result_.ending, Ending::kComplete);
  EXPECT_EQ(found_.pages, 200U);
  EXPECT_EQ(found_.dead.size(), counted.dead_links());
  EXPECT_EQ(found_.unasked, 0U);
  EXPECT_GT(result_.stats.tasks_at_most, 16U);
}

TEST_F(CheckTest, EachUrlIsAskedForOnce) {
  site_.html(
      "/", link_to("a.html") + link_to("/a.html#x") + link_to("./b/../a.html") + link_to("b.png"));
  site_.html("/a.html", "<p id=x>" + link_to("/") + link_to("a.html"));
  site_.page("/b.png", [] {
    Answer answer;
    answer.type = "image/png";
    return answer;
  });
  run();
  EXPECT_THAT(dead(), ::testing::IsEmpty());
  EXPECT_EQ(site_.asked("/"), 1);
  EXPECT_EQ(site_.asked("/a.html"), 1);
  EXPECT_EQ(site_.asked("/b.png"), 1);
  EXPECT_EQ(record("/b.png").exchange->method, "HEAD");
  EXPECT_EQ(record("/a.html").exchange->method, "GET");
}

TEST_F(CheckTest, DeadLinksNameThePagesThatHoldThem) {
  site_.html("/", link_to("a.html") + link_to("gone"));
  site_.html("/a.html", link_to("gone"));
  run();
  ASSERT_THAT(dead(), ::testing::ElementsAre("/gone: 404 Not Found"));
  EXPECT_EQ(found_.dead[0].referrers.size(), 2U);
}

TEST_F(CheckTest, FragmentsAreChecked) {
  site_.html("/", "<p id=here>" + link_to("#here") + link_to("#there") + link_to("a.html#in%20a"));
  site_.html("/a.html", "<a name='in a'>" + link_to("/#nowhere"));
  run();
  EXPECT_THAT(dead(),
              ::testing::ElementsAre("/#nowhere: no such anchor", "/#there: no such anchor"));
}

TEST_F(CheckTest, RedirectsAreFollowedAndShown) {
  site_.html("/", link_to("old#part") + link_to("lost"));
  site_.redirect("/old", "/older").redirect("/older", "new.html").redirect("/lost", "/gone");
  site_.html("/new.html", "<p id=part>");
  run();
  EXPECT_THAT(dead(), ::testing::ElementsAre("/lost: redirects, then: 404 Not Found"));
  ASSERT_EQ(found_.redirects.size(), 1U);
  EXPECT_EQ(found_.redirects[0].redirects.size(), 2U);
}

TEST_F(CheckTest, RedirectLoopsAndEndlessRedirectsEnd) {
  site_.html("/", link_to("/1") + link_to("/self") + link_to("/n0") + link_to("/where"));
  site_.redirect("/1", "/2").redirect("/2", "/1").redirect("/self", "/self").redirect("/where", "");
  for (int i = 0; i < 40; ++i)
    site_.redirect("/n" + std::to_string(i), "/n" + std::to_string(i + 1));
  run();
  EXPECT_THAT(dead(),
              ::testing::UnorderedElementsAre("/1: redirect loop", "/self: redirect loop",
                                              "/n0: redirects, then: more than 20 redirects",
                                              "/where: redirects, but does not say where to"));
  EXPECT_EQ(site_.asked("/n20"), 1);
  EXPECT_EQ(site_.asked("/n21"), 0);
}

TEST_F(CheckTest, TheBaseOfAPageCounts) {
  site_.html("/", "<base href='/deep/'>" + link_to("a.html"));
  site_.html("/deep/a.html", "");
  run();
  EXPECT_THAT(dead(), ::testing::IsEmpty());
  EXPECT_EQ(site_.asked("/deep/a.html"), 1);
}

TEST_F(CheckTest, ServersWithoutHeadAreAskedByGet) {
  // The built-in server answers HEAD like GET; what HEAD says is distrusted from status 400 on.
  int times = 0;
  site_.html("/", link_to("file.bin"));
  site_.page("/file.bin", [&times] { return ++times == 1 ? error_answer(405) : Answer(); });
  run();
  EXPECT_THAT(dead(), ::testing::IsEmpty());
  EXPECT_EQ(record("/file.bin").exchange->method, "GET");
}

TEST_F(CheckTest, APageThatLooksLikeAFileIsReadAsWell) {
  site_.html("/", link_to("README"));
  site_.html("/README", link_to("found-in-it"));
  run();
  EXPECT_THAT(dead(), ::testing::ElementsAre("/found-in-it: 404 Not Found"));
}

TEST_F(CheckTest, MalformedAndOtherLinksAreToldApart) {
  site_.html("/", link_to("http://[::1/") + link_to("mailto:a@b") + link_to("javascript:x") +
                      link_to("http://other.example/"));
  run();
  ASSERT_EQ(found_.dead.size(), 1U);
  EXPECT_THAT(found_.dead[0].reason, StartsWith("malformed URL: "));
  EXPECT_EQ(found_.skipped, 2U);
  EXPECT_EQ(found_.listed, 1U);
}

TEST_F(CheckTest, ATruncatedBodyIsReported) {
  site_.html("/", link_to("cut.html"));
  site_.page("/cut.html", [] {
    Answer answer;
    answer.body = BodyKind::kTruncated;
    answer.text = "<p>half of it";
    answer.size = 1000;
    return answer;
  });
  run();
  ASSERT_EQ(found_.dead.size(), 1U);
  EXPECT_THAT(found_.dead[0].reason, StartsWith("body is truncated"));
}

TEST_F(CheckTest, AnEndlessBodyIsReadInPart) {
  plan_.crawl.limits.bytes = 100'000;
  site_.html("/", link_to("endless.html") + link_to("endless.bin"));
  const auto endless = [](const char* type) {
    Answer answer;
    answer.body = BodyKind::kEndless;
    answer.type = type;
    answer.text = "<p>" + std::string(8000, 'x') + link_to("gone");
    return answer;
  };
  site_.page("/endless.html", [&] { return endless("text/html"); });
  site_.page("/endless.bin", [&] { return endless("application/octet-stream"); });
  run();
  EXPECT_THAT(dead(), ::testing::ElementsAre("/gone: 404 Not Found")) << "what was read counts";
  ASSERT_EQ(found_.notes.size(), 1U);
  EXPECT_EQ(path(found_.notes[0]), "/endless.html");
  EXPECT_THAT(found_.notes[0].reason, HasSubstr("read only in part"));
}

TEST_F(CheckTest, AHangingPageCostsItsTimeoutAndNothingElse) {
  plan_.crawl.timeout = 500ms;
  site_.html("/", link_to("hang.html") + link_to("ok.html"));
  site_.page("/hang.html", [] {
    Answer answer;
    answer.body = BodyKind::kNever;
    return answer;
  });
  site_.html("/ok.html", "");
  run();
  EXPECT_THAT(dead(), ::testing::ElementsAre("/hang.html: no complete answer within 500 ms"));
  EXPECT_EQ(record("/ok.html").status(), 200);
}

TEST_F(CheckTest, TheServersShareOfHangingPagesHangs) {
  plan_.server.hang = 1.0;
  plan_.crawl.timeout = 500ms;
  site_.html("/", link_to("a.html") + link_to("b.html"));
  site_.html("/a.html", "").html("/b.html", "");
  run();
  EXPECT_EQ(found_.dead.size(), 2U) << "the start page itself never hangs";
}

TEST_F(CheckTest, TheDeadlineOfTheWholeLeavesWhatIsKnown) {
  plan_.deadline = 500ms;
  plan_.crawl.timeout = 10s;
  site_.html("/", link_to("gone") + link_to("hang.html"));
  site_.page("/hang.html", [] {
    Answer answer;
    answer.body = BodyKind::kNever;
    return answer;
  });
  run();
  EXPECT_EQ(result_.ending, Ending::kDeadline);
  EXPECT_THAT(dead(), ::testing::ElementsAre("/gone: 404 Not Found"));
  EXPECT_EQ(found_.unasked, 1U);
}

TEST_F(CheckTest, CtrlCLeavesWhatIsKnown) {
  plan_.crawl.timeout = 10s;
  plan_.crawl.jobs = 1;
  site_.html("/", link_to("gone.html") + link_to("stop.html") + link_to("never.html"));
  site_.page("/stop.html", [] {
    std::raise(SIGINT);
    Answer answer;
    answer.body = BodyKind::kNever;
    return answer;
  });
  run();
  EXPECT_EQ(result_.ending, Ending::kInterrupted);
  EXPECT_THAT(dead(), ::testing::ElementsAre("/gone.html: 404 Not Found"));
  EXPECT_EQ(found_.unasked, 2U);
  EXPECT_LT(result_.stats.wall, 5s);
}

TEST_F(CheckTest, TenThousandLinksToOnePageAreOneRequest) {
  std::string body;
  for (int i = 0; i < 10'000; ++i)
    body += link_to("a.html#" + std::to_string(i % 100)) + link_to("b.html");
  site_.html("/", body).html("/a.html", "").html("/b.html", "");
  run();
  EXPECT_EQ(site_.asked("/a.html"), 1);
  EXPECT_EQ(site_.asked("/b.html"), 1);
  EXPECT_EQ(found_.links, 20'000U);
  EXPECT_EQ(found_.dead.size(), 100U) << "one for each anchor that is not there";
}

// A task is a stack: a site of a million pages is not to need a million of them.
TEST_F(CheckTest, ManyLinksAreNotAsManyTasksAtOnce) {
  std::string body;
  for (int i = 0; i < 1300; ++i) body += link_to(std::to_string(i) + ".html");
  site_.html("/", body);
  run();
  EXPECT_EQ(found_.dead.size(), 1300U);
  EXPECT_EQ(result_.stats.tasks_spawned, 1301U);
  EXPECT_LT(result_.stats.tasks_at_most, 1100U);
}

TEST_F(CheckTest, StartsThatCannotBeReachedAreReported) {
  const ClosedPort closed;
  const SelfSignedServer untrusted;
  other_threads_ = true;
  plan_.urls = {"http://127.0.0.1:" + std::to_string(closed.port()) + "/", untrusted.url(),
                "http://"};
  run_plan();
  ASSERT_EQ(found_.dead.size(), 3U);
  EXPECT_EQ(found_.dead[0].reason, "cannot connect: refused or unreachable");
  EXPECT_THAT(found_.dead[1].reason, StartsWith("certificate is not trusted: "));
  EXPECT_THAT(found_.dead[2].reason, StartsWith("malformed URL: "));
}

TEST_F(CheckTest, WhatIsNoHttpIsCalledSo) {
  const RawServer rambling("220 mail.example.org ready\r\n");
  const RawServer mute("");
  other_threads_ = true;
  plan_.urls = {rambling.url(), mute.url()};
  run_plan();
  ASSERT_EQ(found_.dead.size(), 2U);
  EXPECT_EQ(found_.dead[0].reason, "closed without an answer");
  EXPECT_THAT(found_.dead[1].reason, StartsWith("not an HTTP answer: "));
}

class ExternalTest : public CheckTest {
 protected:
  ExternalTest() {
    plan_.crawl.external = true;
    other_threads_ = true;
  }
  ScriptedSite other_;
};

TEST_F(ExternalTest, OtherHostsAreLeftAloneUnlessAskedFor) {
  plan_.crawl.external = false;
  other_.html("/x.html", "");
  const OtherServer server(other_);
  site_.html("/", link_to(server.origin() + "/x.html"));
  run();
  EXPECT_EQ(found_.listed, 1U);
  EXPECT_EQ(other_.asked("/x.html") + other_.asked("/robots.txt"), 0);
}

TEST_F(ExternalTest, OtherHostsAreAskedButNotRead) {
  other_.html("/x.html", link_to("deeper.html"));
  const OtherServer server(other_);
  site_.html("/", link_to(server.origin() + "/x.html") + link_to(server.origin() + "/gone"));
  run();
  EXPECT_THAT(dead(), ::testing::ElementsAre("/gone: 404 Not Found"));
  EXPECT_EQ(other_.asked("/deeper.html"), 0);
  EXPECT_EQ(record("/x.html").exchange->method, "HEAD");
}

TEST_F(ExternalTest, FragmentsOfOtherHostsAreCheckedToo) {
  other_.html("/x.html", "<p id=here>");
  const OtherServer server(other_);
  const std::string page = server.origin() + "/x.html";
  // The link without a fragment comes first: HEAD is not enough after all.
  site_.html("/", link_to(page) + link_to("later.html"));
  site_.html("/later.html", link_to(page + "#here") + link_to(page + "#there"));
  run();
  EXPECT_THAT(dead(), ::testing::ElementsAre("/x.html#there: no such anchor"));
}

TEST_F(ExternalTest, RobotsAreObeyed) {
  other_.page("/robots.txt", [] {
    Answer answer;
    answer.type = "text/plain";
    answer.text = "User-agent: *\nDisallow: /private/\n";
    return answer;
  });
  other_.html("/private/x.html", "").html("/open.html", "");
  const OtherServer server(other_);
  site_.html(
      "/", link_to(server.origin() + "/private/x.html") + link_to(server.origin() + "/open.html"));
  run();
  EXPECT_EQ(found_.forbidden, 1U);
  EXPECT_EQ(other_.asked("/private/x.html"), 0);
  EXPECT_EQ(other_.asked("/open.html"), 1);
  EXPECT_EQ(other_.asked("/robots.txt"), 1);
}

TEST_F(ExternalTest, AHostWhoseRobotsFailIsLeftAlone) {
  other_.page("/robots.txt", [] { return error_answer(503); });
  other_.html("/x.html", "");
  const OtherServer server(other_);
  site_.html("/", link_to(server.origin() + "/x.html"));
  run();
  EXPECT_EQ(found_.forbidden, 1U);
}

TEST(ServerTest, TheShareThatHangsIsTheShareAskedFor) {
  int hanging = 0;
  for (int i = 0; i < 10'000; ++i)
    hanging += hangs("/page/" + std::to_string(i) + ".html", 0.01) ? 1 : 0;
  EXPECT_GT(hanging, 60);
  EXPECT_LT(hanging, 140);
  EXPECT_FALSE(hangs("/", 1.0));
  EXPECT_FALSE(hangs("/x", 0));
}

}  // namespace
}  // namespace linkcheck
