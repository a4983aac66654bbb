// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "tests/support/pipe.h"
#include "tests/support/temporary_directory.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/path.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/threads.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using testing::assert_checkpoints;
using testing::wait_all_tasks_blocked;

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

template <class Error, class F>
std::string text_of(F&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing";
}

// trio: test_file_io.py::test_open
FIBER_TEST(FileTest, ReadsWhatWasWritten) {
  const test::TemporaryDirectory directory;
  const std::string path = directory / "file";
  File writing = open_file(path, "w");
  EXPECT_EQ(writing.name(), path);
  assert_checkpoints([&] { writing.write("one\ntwo\nthree"); });
  assert_checkpoints([&] { writing.flush(); });
  EXPECT_EQ(content_of(path), "one\ntwo\nthree");
  assert_checkpoints([&] { writing.aclose(); });
  EXPECT_TRUE(writing.closed());

  File reading = open_file(path);
  EXPECT_NE(::fcntl(reading.fileno(), F_GETFD) & FD_CLOEXEC, 0);
  assert_checkpoints([&] { EXPECT_EQ(reading.read(3), "one"); });
  EXPECT_EQ(reading.readline(), "\n");
  EXPECT_EQ(reading.readlines(), (std::vector<std::string>{"two\n", "three"}));
  EXPECT_EQ(reading.read(), "");
  EXPECT_EQ(reading.readline(), "");
  EXPECT_EQ(reading.seek(4), 4);
  EXPECT_EQ(reading.tell(), 4);
  EXPECT_EQ(reading.read(), "two\nthree");
  EXPECT_EQ(reading.seek(-5, SEEK_END), 8);
  std::array<std::byte, 3> buffer{};
  EXPECT_EQ(reading.readinto(buffer), 3U);
  EXPECT_EQ(buffer[0], std::byte{'t'});
  EXPECT_EQ(reading.readinto(buffer), 2U);
  reading.aclose();
}

FIBER_TEST(FileTest, HoldsLargeFilesAndAllBytes) {
  const test::TemporaryDirectory directory;
  std::string much;
  for (int i = 0; i < 300'000; ++i) much += static_cast<char>(i * 7);
  open_file(directory / "file", "w", [&](File& file) { file.write(much); });
  EXPECT_EQ(open_file(directory / "file", "rb", [](File& file) { return file.read(); }), much);
  EXPECT_EQ(open_file(directory / "file", "r", [](File& file) { return file.read(100'000); }),
            much.substr(0, 100'000));
}

// trio: test_file_io.py::test_open_context_manager
FIBER_TEST(FileTest, ClosesWhenTheBodyHasEnded) {
  const test::TemporaryDirectory directory;
  const std::string path = directory / "file";
  File* inside = nullptr;
  int fd = -1;
  open_file(path, "w", [&](File& file) {
    inside = &file;
    fd = file.fileno();
    EXPECT_FALSE(file.closed());
    file.write("x");
  });
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
  EXPECT_EQ(content_of(path), "x");
  EXPECT_THROW(open_file(path, "w", [](File&) { throw std::domain_error("body"); }),
               std::domain_error);
  EXPECT_EQ(open_file(path, "a", [](File&) { return 7; }), 7);
}

// trio: test_file_io.py::test_async_iter
FIBER_TEST(FileTest, IteratesItsLines) {
  const test::TemporaryDirectory directory;
  std::ofstream(directory / "file") << "a\n\nlast, without an end";
  std::vector<std::string> lines;
  open_file(directory / "file", "r", [&](File& file) {
    for (const std::string& line : file) lines.push_back(line);
  });
  EXPECT_EQ(lines, (std::vector<std::string>{"a\n", "\n", "last, without an end"}));
}

// trio: test_file_io.py::test_aclose_cancelled
FIBER_TEST(FileTest, ClosingCancelledStillCloses) {
  const test::TemporaryDirectory directory;
  const std::string path = directory / "file";
  File file = open_file(path, "w");
  file.write("not lost");
  CancelScope early;
  early.cancel();
  EXPECT_FALSE(early.run([&] { file.write("too late"); }));
  CancelScope scope;
  scope.cancel();
  EXPECT_FALSE(scope.run([&] { file.aclose(); }));
  EXPECT_TRUE(file.closed());
  EXPECT_EQ(content_of(path), "not lost");
}

// trio: test_file_io.py::test_async_methods_wrap
FIBER_TEST(FileTest, ClosingInterruptedStillCloses) {
  WEFT_NOT_SWEPT("it raises SIGINT");
  const test::TemporaryDirectory directory;
  File file = open_file(directory / "file", "w");
  file.write("written");
  ::raise(SIGINT);
  EXPECT_THROW(file.aclose(), KeyboardInterrupt);
  EXPECT_TRUE(file.closed());
  EXPECT_EQ(content_of(directory / "file"), "written");
}

FIBER_TEST(FileTest, WrapsACFile) {
  std::FILE* temporary = std::tmpfile();
  File file = wrap_file(temporary, "scratch");
  EXPECT_EQ(file.wrapped(), temporary);
  EXPECT_EQ(file.name(), "scratch");
  file.write("hello");
  // Reading after writing, and the other way round, without a seek in between.
  file.seek(0);
  EXPECT_EQ(file.read(2), "he");
  file.write("LLO");
  file.seek(0);
  EXPECT_EQ(file.read(), "heLLO");
  file.write("!");
  EXPECT_EQ(file.seek(0), 0);
  EXPECT_EQ(file.read(), "heLLO!");
  file.aclose();
  EXPECT_THROW(wrap_file(nullptr), UsageError);
}

FIBER_TEST(FileTest, Truncates) {
  const test::TemporaryDirectory directory;
  File file = open_file(directory / "file", "w+");
  file.write("0123456789");
  EXPECT_EQ(file.truncate(8), 8);
  file.seek(4);
  EXPECT_EQ(file.truncate(), 4);
  file.seek(0);
  EXPECT_EQ(file.read(), "0123");
  file.aclose();
}

FIBER_TEST(FileTest, ModesAreThoseOfPython) {
  const test::TemporaryDirectory directory;
  const std::string path = directory / "file";
  open_file(path, "x", [](File& file) { file.write("new"); });
  EXPECT_THROW(open_file(path, "x"), std::system_error);
  open_file(path, "ab", [](File& file) { file.write("er"); });
  EXPECT_EQ(content_of(path), "newer");
  open_file(path, "r+", [](File& file) { file.write("N"); });
  EXPECT_EQ(content_of(path), "Newer");
  open_file(path, "a+", [](File& file) {
    EXPECT_EQ(file.tell(), 5);
    EXPECT_EQ(file.read(), "");
    file.seek(0);
    EXPECT_EQ(file.read(), "Newer");
    file.write("!");
  });
  open_file(path, "rt", [](File& file) { EXPECT_EQ(file.read(), "Newer!"); });
  open_file(path, "w+b", [](File& file) { EXPECT_EQ(file.read(), ""); });
  for (const char* bad : {"", "q", "rw", "b", "r++", "re"}) {
    EXPECT_THROW(open_file(path, bad), UsageError) << bad;
  }
  EXPECT_THROW(open_file(path + '\0', "r"), UsageError);
}

FIBER_TEST(FileTest, ErrorsNameTheFile) {
  const test::TemporaryDirectory directory;
  const std::string missing = directory / "missing";
  EXPECT_NE(text_of<std::system_error>([&] { open_file(missing); }).find(missing),
            std::string::npos);
  const std::string path = directory / "file";
  std::ofstream(path) << "x";
  File file = open_file(path);
  EXPECT_NE(text_of<std::system_error>([&] { file.write("x"); }).find(path), std::string::npos);
  EXPECT_NE(text_of<std::system_error>([&] { file.seek(-1); }).find(path), std::string::npos);
  file.aclose();
  file.aclose();
  EXPECT_NE(text_of<ClosedResourceError>([&] { file.read(); }).find(path), std::string::npos);
  EXPECT_THROW(file.wrapped(), ClosedResourceError);
  EXPECT_EQ(file.name(), path);
}

FIBER_TEST(FileTest, WhatCannotBeWrittenIsToldByClosing) {
  File full = open_file("/dev/full", "w");
  full.write("x");  // Into the buffer.
  EXPECT_THROW(full.aclose(), std::system_error);
  EXPECT_TRUE(full.closed());
  EXPECT_THROW(open_file("/dev/full", "w", [](File& file) { file.write("x"); }), std::system_error);
}

// A pipe lets a call last as long as the test wants.
FIBER_TEST(FileTest, OneCallAfterTheOther) {
  WEFT_NOT_SWEPT("its thread waits for what the body does later");
  test::Pipe pipe;
  ::fcntl(pipe[0], F_SETFL, 0);
  File file = wrap_file(::fdopen(pipe.take(0), "r"));
  std::vector<std::string> got;
  bool closed = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { got.push_back(file.readline()); });
    wait_all_tasks_blocked();
    nursery.start_soon([&] { got.push_back(file.readline()); });
    wait_all_tasks_blocked();
    EXPECT_EQ(testing::active_thread_count(), 1U);
    nursery.start_soon([&] {
      file.aclose();
      closed = true;
    });
    wait_all_tasks_blocked();
    EXPECT_FALSE(closed);
    EXPECT_EQ(::write(pipe[1], "1\n2\n", 4), 4);
  });
  EXPECT_EQ(got, (std::vector<std::string>{"1\n", "2\n"}));
  EXPECT_TRUE(closed);
}

// What the call was doing is done: nothing read is lost.
FIBER_TEST(FileTest, CancellationWaitsForACallThatHasBegun) {
  WEFT_NOT_SWEPT("its thread waits for what the body does later");
  test::Pipe pipe;
  ::fcntl(pipe[0], F_SETFL, 0);
  File file = wrap_file(::fdopen(pipe.take(0), "r"));
  std::string got;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { got = file.readline(); });
    wait_all_tasks_blocked();
    nursery.cancel_scope().cancel();
    EXPECT_EQ(::write(pipe[1], "kept\n", 5), 5);
  });
  EXPECT_EQ(got, "kept\n");
  file.aclose();
}

FIBER_TEST(FileTest, MovesAndClosesWhenItGoes) {
  const test::TemporaryDirectory directory;
  {
    File first = open_file(directory / "file", "w");
    File second = std::move(first);
    second.write("written by the destructor");
    EXPECT_TRUE(first.closed());  // NOLINT(bugprone-use-after-move)
    EXPECT_THROW(first.read(), ClosedResourceError);
    EXPECT_THROW(static_cast<void>(first.name()), ClosedResourceError);
  }
  EXPECT_EQ(content_of(directory / "file"), "written by the destructor");
}

}  // namespace
}  // namespace weft::fibers
