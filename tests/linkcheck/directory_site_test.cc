// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "tools/linkcheck/site.h"

namespace linkcheck {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class DirectorySiteTest : public ::testing::Test {
 protected:
  DirectorySiteTest() {
    std::string pattern = (fs::temp_directory_path() / "linkcheck-XXXXXX").string();
    base_ = ::mkdtemp(pattern.data());
    root_ = base_ / "root";
    fs::create_directories(root_ / "dir with space");
    fs::create_directories(root_ / "indexed");
    fs::create_directories(base_ / "outside" / "inner");
    write(root_ / "a.html", "<p>a");
    write(root_ / "b&c.txt", "text");
    write(root_ / ".hidden", "secret");
    write(root_ / "indexed" / "index.html", "<p>index");
    write(base_ / "outside" / "secret.html", "<p>outside");
  }
  ~DirectorySiteTest() override { fs::remove_all(base_); }

  static void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
  Answer ask(const std::string& target) const {
    return DirectorySite(root_.string()).answer(target);
  }
  Answer ask_following(const std::string& target) const {
    return DirectorySite(root_.string(), {.follow_links = true}).answer(target);
  }

  fs::path base_;
  fs::path root_;
};

TEST_F(DirectorySiteTest, FilesAreServedWithTypeAndSize) {
  const Answer answer = ask("/a.html?query");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.type, "text/html; charset=utf-8");
  ASSERT_EQ(answer.body, BodyKind::kFile);
  EXPECT_EQ(answer.size, 4U);
  char buffer[16];
  EXPECT_EQ(std::string(buffer, answer.file.read_at(1, buffer, sizeof buffer)), "p>a");
  EXPECT_EQ(answer.file.read_at(4, buffer, sizeof buffer), 0U);
}

TEST_F(DirectorySiteTest, MarkdownIsAPageOnlyWhereItIsWanted) {
  write(root_ / "a.md", "[x](y)");
  EXPECT_EQ(ask("/a.md").type, "text/plain; charset=utf-8");
  EXPECT_EQ(DirectorySite(root_.string(), {.markdown = true}).answer("/a.md").type,
            "text/markdown; charset=utf-8");
}

TEST_F(DirectorySiteTest, DirectoriesHaveAnIndexOrAListing) {
  const Answer listing = ask("/");
  EXPECT_EQ(listing.status, 200);
  EXPECT_THAT(listing.text, HasSubstr("<a href=\"./dir%20with%20space/\">dir with space/</a>"));
  EXPECT_THAT(listing.text, HasSubstr("<a href=\"./b%26c.txt\">b&amp;c.txt</a>"));
  EXPECT_THAT(listing.text, Not(HasSubstr("hidden")));
  const Answer index = ask("/indexed/");
  EXPECT_EQ(index.body, BodyKind::kFile);
  EXPECT_EQ(index.size, 8U);
}

TEST_F(DirectorySiteTest, ADirectoryWithoutItsSlashRedirects) {
  const Answer answer = ask("/dir%20with%20space");
  EXPECT_EQ(answer.status, 301);
  EXPECT_EQ(answer.location, "/dir%20with%20space/");
}

TEST_F(DirectorySiteTest, WhatIsNotThereIsNotFound) {
  for (const char* target : {"/none", "/a.html/", "/a.html/x", "/.hidden", "/.hidden/x"}) {
    EXPECT_EQ(ask(target).status, 404) << target;
  }
  fs::create_symlink("nowhere", root_ / "broken");
  EXPECT_EQ(ask("/broken").status, 404);
}

TEST_F(DirectorySiteTest, NobodyClimbsOut) {
  for (const char* target : {"/../outside/secret.html", "/%2e%2e/outside/secret.html",
                             "/dir%20with%20space/..%2f..%2fx"}) {
    EXPECT_EQ(ask(target).status, 400) << target;
  }
}

TEST_F(DirectorySiteTest, OnlyRegularFilesAreOpened) {
  ASSERT_EQ(::mkfifo((root_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(ask("/pipe").status, 403) << "opening it would wait for a writer";
}

TEST_F(DirectorySiteTest, ALinkInsideTheTreeRedirectsToTheDirectoryItself) {
  fs::create_directory_symlink("../indexed", root_ / "dir with space" / "alias");
  const Answer answer = ask("/dir%20with%20space/alias/");
  EXPECT_EQ(answer.status, 301);
  EXPECT_EQ(answer.location, "/indexed/");
}

TEST_F(DirectorySiteTest, LinksThatGoInCirclesEnd) {
  fs::create_directory_symlink(".", root_ / "self");
  EXPECT_EQ(ask("/self/").location, "/");
  fs::create_directory_symlink(base_ / "outside", root_ / "out");
  fs::create_directory_symlink("..", base_ / "outside" / "inner" / "up");
  EXPECT_EQ(ask_following("/out/inner/").status, 200);
  EXPECT_EQ(ask_following("/out/secret.html").status, 200);
  const Answer answer = ask_following("/out/inner/up/");
  EXPECT_EQ(answer.status, 301);
  EXPECT_EQ(answer.location, "/out/");
}

// Or else each page in such a loop is read as often as the system follows links: forty times.
TEST_F(DirectorySiteTest, AFileInALoopOfLinksHasOnePath) {
  fs::create_directory_symlink(".", root_ / "self");
  EXPECT_EQ(ask("/self/a.html").location, "/a.html");
  EXPECT_EQ(ask("/self/self/dir%20with%20space/../x").status, 400);
  EXPECT_EQ(ask("/self/self/b%26c.txt").location, "/b%26c.txt");
  fs::create_directory_symlink(base_ / "outside", root_ / "out");
  fs::create_directory_symlink("..", base_ / "outside" / "inner" / "up");
  EXPECT_EQ(ask_following("/out/inner/up/secret.html").location, "/out/secret.html");
  fs::create_symlink("a.html", root_ / "also-a.html");
  EXPECT_EQ(ask("/also-a.html").status, 200) << "a link to a file is another name of it";
}

TEST_F(DirectorySiteTest, NoLinkLeadsOutOfTheTreeUnlessToldSo) {
  fs::create_directory_symlink(base_ / "outside", root_ / "out");
  fs::create_symlink(base_ / "outside" / "secret.html", root_ / "secret.html");
  fs::create_directories(root_ / "its-index");
  fs::create_symlink(base_ / "outside" / "secret.html", root_ / "its-index" / "index.html");
  for (const char* target : {"/out", "/out/", "/out/secret.html", "/out/inner/", "/secret.html"}) {
    const Answer answer = ask(target);
    EXPECT_EQ(answer.status, 403) << target;
    EXPECT_TRUE(answer.outside) << target;
  }
  EXPECT_EQ(ask("/its-index/").body, BodyKind::kText) << "a listing instead";
  for (const char* target : {"/out/", "/out/secret.html", "/secret.html", "/its-index/"}) {
    EXPECT_EQ(ask_following(target).status, 200) << target;
  }
  EXPECT_EQ(ask("/out/none.html").status, 404) << "what is not there is dead wherever it is not";
}

TEST_F(DirectorySiteTest, ALinkDoesNotShowWhatIsHidden) {
  fs::create_symlink(".hidden", root_ / "shown");
  EXPECT_EQ(ask("/shown").status, 404);
}

TEST_F(DirectorySiteTest, ARootThatIsNoneSaysSo) {
  EXPECT_THROW(DirectorySite((root_ / "none").string()), std::system_error);
  try {
    DirectorySite site((root_ / "a.html").string());
    FAIL() << "a file is no directory";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().value(), ENOTDIR);
  }
}

TEST_F(DirectorySiteTest, HtmlIsLookedForInTheWholeTree) {
  EXPECT_TRUE(holds_html(root_.string()));
  EXPECT_FALSE(holds_html((root_ / "dir with space").string()));
  EXPECT_FALSE(holds_html((root_ / "none").string()));
}

}  // namespace
}  // namespace linkcheck
