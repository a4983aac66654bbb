// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/chrome_trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <locale>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <system_error>

#include "tests/support/captured_log.h"
#include "weft/fibers/greenlet.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/mock_clock.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

// A path of its own, removed at the end.
struct TemporaryFile {
  TemporaryFile() : path(::testing::TempDir() + "weft_trace_" + std::to_string(::getpid())) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::filesystem::remove(path); }
  std::string path;
};

// The slices of each track, by the names of both.
std::map<std::string, std::set<std::string>> slices_of(const nlohmann::json& events) {
  std::map<int, std::string> names;
  std::map<std::string, std::set<std::string>> slices;
  for (const auto& event : events) {
    const int track = event.at("tid");
    if (event.at("ph") == "M") names[track] = event.at("args").at("name");
    if (event.at("ph") == "X") slices[names.at(track)].insert(event.at("name"));
  }
  return slices;
}

TEST(ChromeTraceTest, ShowsWhoRanAndWhatTheOthersWaitedFor) {
  const TemporaryFile file;
  testing::MockClock clock;
  clock.set_autojump_threshold(Duration::zero());
  run(
      [] {
        open_nursery([](Nursery& nursery) {
          nursery.start_soon([] { sleep(std::chrono::hours(1)); }, {.name = "a \"sleeper\""});
          nursery.start_soon([] { checkpoint(); }, {.name = "yielder"});
        });
      },
      {.clock = &clock, .instruments = {std::make_shared<ChromeTrace>(file.path)}});
  const nlohmann::json events = nlohmann::json::parse(std::ifstream(file.path));
  const auto slices = slices_of(events);
  EXPECT_THAT(slices.at("a \"sleeper\""), ElementsAre("ready", "running", "sleep"));
  EXPECT_THAT(slices.at("yielder"), ElementsAre("ready", "running"));
  EXPECT_THAT(slices.at("main"), Contains("tasks of a nursery"));
  EXPECT_THAT(slices.at("who ran"), IsSupersetOf({"main", "yielder", "a \"sleeper\"", "root"}));
  for (const auto& event : events) {
    if (event.at("ph") == "X") {
      EXPECT_GE(event.at("dur").get<double>(), 0.0);
    }
  }
}

TEST(ChromeTraceTest, StepsOfOneThreadDoNotOverlap) {
  const TemporaryFile file;
  run(
      [] {
        open_nursery([](Nursery& nursery) {
          for (int i = 0; i < 5; ++i) {
            nursery.start_soon([] {
              for (int k = 0; k < 5; ++k) checkpoint();
            });
          }
        });
      },
      {.instruments = {std::make_shared<ChromeTrace>(file.path)}});
  double end = 0;
  int steps = 0;
  for (const auto& event : nlohmann::json::parse(std::ifstream(file.path))) {
    if (event.at("ph") != "X" || event.at("tid") != 0) continue;
    EXPECT_GE(event.at("ts").get<double>(), end - 0.002);  // Rounded to nanoseconds.
    end = event.at("ts").get<double>() + event.at("dur").get<double>();
    ++steps;
  }
  EXPECT_GT(steps, 30);
}

// "1.234,5", as in much of Europe.
struct EuropeanNumbers : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\1"; }
};

TEST(ChromeTraceTest, TheProgramsLocaleDoesNotShow) {
  const TemporaryFile file;
  const std::locale before = std::locale::global(std::locale({}, new EuropeanNumbers));
  run(
      [] {
        open_nursery([](Nursery& nursery) {
          for (int i = 0; i < 20; ++i) nursery.start_soon([] { checkpoint(); });
        });
      },
      {.instruments = {std::make_shared<ChromeTrace>(file.path)}});
  std::locale::global(before);
  const nlohmann::json events = nlohmann::json::parse(std::ifstream(file.path));
  std::set<int> tracks;
  for (const auto& event : events) tracks.insert(event.at("tid").get<int>());
  EXPECT_EQ(tracks.size(), 23U) << "who ran, root, main and twenty";
}

TEST(ChromeTraceTest, ANameMayBeAnyBytes) {
  const TemporaryFile file;
  const std::string bytes =
      std::string("tab\t nul") + '\0' + " \x80 \xc0\xaf \xed\xa0\x80 \xf8 \xe2\x82";
  run(
      [&] {
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([] {}, {.name = bytes});
          nursery.start_soon([] {}, {.name = "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80"});
        });
      },
      {.instruments = {std::make_shared<ChromeTrace>(file.path)}});
  const auto slices = slices_of(nlohmann::json::parse(std::ifstream(file.path)));
  EXPECT_EQ(slices.count("na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80"), 1U) << "UTF-8 stays";
  const std::string no = "\xef\xbf\xbd";  // What stands for a byte that is none.
  EXPECT_EQ(slices.count(std::string("tab\t nul") + '\0' + " " + no + " " + no + no + " " + no +
                         no + no + " " + no + " " + no + no),
            1U);
}

// The instrument goes while tasks live: a run in a greenlet that is left alone.
TEST(ChromeTraceTest, IsCompleteWhereTasksAreStillAlive) {
  const TemporaryFile file;
  auto trace = std::make_shared<ChromeTrace>(file.path);
  std::optional<Greenlet> left;
  left.emplace([&] {
    const Greenlet outside = getcurrent().parent();
    run([&] { outside.switch_to(); }, {.instruments = {trace}});
  });
  left->switch_to();
  trace->after_run();  // As its destructor does.
  const auto slices = slices_of(nlohmann::json::parse(std::ifstream(file.path)));
  EXPECT_THAT(slices.at("main"), Contains("running"));
  left->switch_to();
}

TEST(ChromeTraceTest, AFullDiskIsToldAtTheEnd) {
  const test::CapturedLog log;
  bool ran = false;
  run([&] { ran = true; }, {.instruments = {std::make_shared<ChromeTrace>("/dev/full")}});
  EXPECT_TRUE(ran);
  EXPECT_THAT(log.lines, ElementsAre(HasSubstr("/dev/full could not be written")));
}

TEST(ChromeTraceTest, AFileThatCannotBeWrittenIsNamed) {
  try {
    ChromeTrace trace("/nowhere/at/all.json");
    FAIL() << "it was written";
  } catch (const std::system_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("/nowhere/at/all.json"));
    EXPECT_EQ(error.code(), std::errc::no_such_file_or_directory);
  }
}

}  // namespace
}  // namespace weft::fibers
