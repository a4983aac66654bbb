// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/unix_socket.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "tests/support/temporary_directory.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

void echo(SocketStream& stream) {
  for (std::string data = stream.receive_some(); !data.empty(); data = stream.receive_some()) {
    stream.send_all(data);
  }
}

std::string what_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing";
}

// trio: test_highlevel_open_unix_stream.py::test_open_unix_socket
FIBER_TEST(UnixSocketTest, ConnectsToAPath) {
  const test::TemporaryDirectory directory;
  const std::string path = directory / "server";
  auto listeners = open_unix_listeners(path);
  ASSERT_EQ(listeners.size(), 1U);
  EXPECT_EQ(listeners.front().local_address().host(), path);
  SocketStream client = open_unix_socket(path);
  SocketStream server = listeners.front().accept();
  client.send_all("test");
  EXPECT_EQ(server.receive_some(), "test");
  server.send_eof();
  EXPECT_EQ(client.receive_some(), "");
}

// trio: test_highlevel_open_unix_stream.py::test_open_bad_socket
// trio: test_highlevel_open_unix_stream.py::test_close_on_error
FIBER_TEST(UnixSocketTest, FailureNamesThePath) {
  const test::TemporaryDirectory directory;
  const std::string nothing = directory / "nothing";
  try {
    open_unix_socket(nothing);
    FAIL() << "connected to nobody";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::no_such_file_or_directory);
    EXPECT_NE(std::string(error.what()).find(nothing), std::string::npos);
  }
  const std::string plain = directory / "plain";
  std::ofstream(plain) << "no socket";
  EXPECT_NE(what_of([&] { open_unix_socket(plain); }).find(plain), std::string::npos);
  // That nothing is left open is counted at the end.
}

FIBER_TEST(UnixSocketTest, LongPathsAreNamed) {
  const std::string fits = "/tmp/" + std::string(102, 'x');
  EXPECT_EQ(SocketAddress::from_path(fits).host(), fits);
  const std::string too_long = fits + 'y';
  try {
    open_unix_socket(too_long);
    FAIL() << "took a path of 108 bytes";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::filename_too_long);
    EXPECT_NE(std::string(error.what()).find(too_long), std::string::npos);
  }
  EXPECT_THROW(open_unix_listeners(too_long), std::system_error);
  EXPECT_THROW(open_unix_socket(""), UsageError);
  EXPECT_THROW(open_unix_socket(std::string("a\0b", 3)), UsageError);
}

FIBER_TEST(UnixSocketTest, AbstractNamesHaveNoFile) {
  const std::string name = std::string("\0weft test ", 11) + std::to_string(::getpid());
  {
    auto listeners = open_unix_listeners(name, {.mode = 0600});
    EXPECT_EQ(listeners.front().local_address().host(), '@' + name.substr(1));
    SocketStream client = open_unix_socket(name);
    listeners.front().accept().send_all("x");
    EXPECT_EQ(client.receive_some(), "x");
    EXPECT_THROW(open_unix_listeners(name), std::system_error);
  }
  EXPECT_NO_THROW(open_unix_listeners(name));
}

FIBER_TEST(UnixListenerTest, ModeIsThatOfTheFile) {
  const test::TemporaryDirectory directory;
  const std::string path = directory / "server";
  const auto listeners = open_unix_listeners(path, {.mode = 0640});
  struct stat found {};
  ASSERT_EQ(::stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0640U);
  EXPECT_THROW(open_unix_listeners(path, {.backlog = 0}), UsageError);
}

FIBER_TEST(UnixListenerTest, ReplacesAFileThatNobodyListensOn) {
  const test::TemporaryDirectory directory;
  const std::string path = directory / "server";
  { const auto gone = open_unix_listeners(path); }
  EXPECT_TRUE(std::filesystem::exists(path));
  auto listeners = open_unix_listeners(path);
  SocketStream client = open_unix_socket(path);
  // One that lives is not disturbed.
  try {
    open_unix_listeners(path);
    FAIL() << "took another's socket away";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::address_in_use);
    EXPECT_NE(std::string(error.what()).find(path), std::string::npos);
  }
  EXPECT_NO_THROW(open_unix_socket(path));
}

FIBER_TEST(UnixListenerTest, LeavesFilesThatAreNoSocketsAlone) {
  const test::TemporaryDirectory directory;
  const std::string path = directory / "plain";
  std::ofstream(path) << "precious";
  EXPECT_THROW(open_unix_listeners(path), std::system_error);
  EXPECT_EQ(std::filesystem::file_size(path), 8U);
  EXPECT_THROW(open_unix_listeners(directory / "no/such/folder"), std::system_error);
}

FIBER_TEST(ServeUnixTest, ServesAndCleansUp) {
  const test::TemporaryDirectory directory;
  const std::string path = directory / "server";
  open_nursery([&](Nursery& nursery) {
    nursery.start(
        [&](TaskStatus<void>& status) { serve_unix(echo, path, {.mode = 0600}, status); });
    SocketStream client = open_unix_socket(path);
    client.send_all("hello");
    EXPECT_EQ(client.receive_some(), "hello");
    nursery.cancel_scope().cancel();
  });
  EXPECT_FALSE(std::filesystem::exists(path));
}

FIBER_TEST(ServeUnixTest, LeavesASuccessorsFileAlone) {
  const test::TemporaryDirectory directory;
  const std::string path = directory / "server";
  std::vector<SocketListener> successor;
  open_nursery([&](Nursery& nursery) {
    nursery.start([&](TaskStatus<void>& status) { serve_unix(echo, path, {}, status); });
    std::filesystem::remove(path);
    successor = open_unix_listeners(path);
    nursery.cancel_scope().cancel();
  });
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_NO_THROW(open_unix_socket(path));
}

}  // namespace
}  // namespace weft::fibers
