// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <gtest/gtest.h>

#include <string>

#include "tests/faults/faults_testing.h"
#include "tests/support/temporary_directory.h"
#include "weft/fibers/file.h"
#include "weft/fibers/path.h"

namespace weft::fibers::testing {
namespace {

// In a directory that is empty each time.
void expect_no_fault_harms_in_directory(void (*body)(const test::TemporaryDirectory&)) {
  const test::TemporaryDirectory directory;
  const auto empty = [&] {
    for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
      std::filesystem::remove_all(entry.path());
    }
  };
  expect_no_fault_harms([&] { body(directory); }, {.check = empty});
}

#define DIRECTORY_FAULT_TEST(Suite, Claim)                                                  \
  static void weft_fault_test_##Suite##_##Claim(const test::TemporaryDirectory& directory); \
  TEST(Suite, Claim) {                                                                      \
    expect_no_fault_harms_in_directory(&weft_fault_test_##Suite##_##Claim);                 \
  }                                                                                         \
  static void weft_fault_test_##Suite##_##Claim(const test::TemporaryDirectory& directory)

DIRECTORY_FAULT_TEST(FileFaults, WrittenAndReadBack) {
  const Path path(directory / "file");
  {
    File file = open_file(directory / "file", "w+");
    file.write("one\ntwo\n");
    file.flush();
    EXPECT_EQ(file.seek(0), 0);
    EXPECT_EQ(file.readline(), "one\n");
    EXPECT_EQ(file.read(), "two\n");
    EXPECT_EQ(file.truncate(4), 4);
    file.aclose();
  }
  EXPECT_EQ(path.read_text(), "one\n");
}

DIRECTORY_FAULT_TEST(FileFaults, WhatIsClosedIsWritten) {
  File file = open_file(directory / "file", "w");
  file.write("buffered");
  file.aclose();
  EXPECT_EQ(Path(directory / "file").read_text(), "buffered");
}

DIRECTORY_FAULT_TEST(FileFaults, Paths) {
  const Path base(directory.path());
  const Path sub = base / "a" / "b";
  sub.mkdir({.parents = true});
  (sub / "file").touch();
  EXPECT_TRUE((sub / "file").is_file());
  (sub / "file").chmod(0600);
  (sub / "link").symlink_to(sub / "file");
  EXPECT_EQ((sub / "link").readlink(), sub / "file");
  (sub / "hard").hardlink_to(sub / "file");
  (sub / "hard").rename(sub / "other");
  EXPECT_EQ(sub.iterdir().size(), 3U);
  (sub / "other").unlink();
  EXPECT_EQ((sub / "link").resolve(), sub.resolve() / "file");
  EXPECT_EQ((sub / "file").stat().st_size, 0);
}

}  // namespace
}  // namespace weft::fibers::testing
