// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How many connections there are: counted by the server that accepts them.

#include <gtest/gtest.h>

#include "tests/adapters/curl/curl_test_support.h"
#include "tests/tls/test_authority.h"

namespace weft::curl {
namespace {

// Trusts the tests' authority.
Options trusting() {
  return {.configure = [](CURL* easy) {
    const std::string& certificate = fibers::test_authority().certificate();
    // libcurl promises not to write to it.
    curl_blob blob{const_cast<char*>(certificate.data()), certificate.size(), CURL_BLOB_COPY};
    curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
  }};
}

void get_at_once(TestServer& server, int count, const Options& options) {
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < count; ++i) {
      nursery.start_soon([&] { EXPECT_EQ(get(server.url("/hello"), options).status, 200); });
    }
  });
}

// Many at a time, then few, as of tasks that pause: libcurl by itself keeps connections for those
// that are under way at the moment only.
void get_many_and_few(TestServer& server, const Options& options) {
  for (int round = 0; round < 10; ++round) {
    get_at_once(server, 32, options);
    for (int i = 0; i < 32; ++i) get(server.url("/hello"), options);
  }
  EXPECT_EQ(server.requests, 10 * (32 + 32));
  EXPECT_LE(server.connections, 32) << "more than there were requests at a time";
}

TEST(CurlConnectionsTest, AreAsManyAsTransfersAtATime) {
  with_server([](TestServer& server) { get_many_and_few(server, {}); });
}

TEST(CurlConnectionsTest, AreAsManyWithTls) {
  with_server([](TestServer& server) { get_many_and_few(server, trusting()); },
              fibers::test_server_context());
}

TEST(CurlConnectionsTest, AreKeptForMoreThanTheUsualNumberOfTransfers) {
  with_server([](TestServer& server) {
    for (int round = 0; round < 3; ++round) {
      get_at_once(server, 150, {});
      for (int i = 0; i < 50; ++i) get(server.url("/hello"));
    }
    EXPECT_LE(server.connections, 150);
  });
}

TEST(CurlConnectionsTest, ANewOneResumesTheTlsSessionOfAnother) {
  with_server(
      [](TestServer& server) {
        get(server.url("/hello"), trusting());
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] { get(server.url("/hang"), trusting()); });
          server.hanging.wait();
          get(server.url("/hello"), trusting());
          nursery.cancel_scope().cancel();
        });
        EXPECT_EQ(server.connections, 2);
        EXPECT_EQ(server.sessions_resumed, 1);
      },
      fibers::test_server_context());
}

TEST(CurlConnectionsTest, ToOneHostAreLimitedIfWanted) {
  with_server([](TestServer& server) {
    set_multi_options({.max_host_connections = 3});
    get_at_once(server, 20, {});
    EXPECT_EQ(server.connections, 3);
    EXPECT_EQ(server.requests, 20);
  });
}

TEST(CurlConnectionsTest, InAllAreLimitedIfWanted) {
  with_server([](TestServer& server) {
    set_multi_options({.max_total_connections = 2});
    get_at_once(server, 20, {});
    EXPECT_EQ(server.connections, 2);
    EXPECT_EQ(server.requests, 20);
  });
}

TEST(CurlConnectionsTest, AreClosedWhenThereAreMoreThanAreToBeKept) {
  with_server([](TestServer& server) {
    set_multi_options({.max_connections = 1});
    get_at_once(server, 2, {});
    get_at_once(server, 2, {});
    EXPECT_EQ(server.connections, 3) << "one was kept";
    set_multi_options({});
    get_at_once(server, 2, {});
    get_at_once(server, 2, {});
    EXPECT_EQ(server.connections, 4) << "both were kept";
  });
}

TEST(CurlConnectionsTest, TheHookReachesTheMultiHandleAndCannotBreakIt) {
  with_server([](TestServer& server) {
    int calls = 0;
    set_multi_options({.configure = [&](CURLM* multi) {
      ++calls;
      curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, 1L);
      curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, nullptr);
      curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, nullptr);
    }});
    EXPECT_EQ(calls, 1);
    get_at_once(server, 5, {});
    EXPECT_EQ(server.connections, 1);
    const auto waiting =
        error_of([] { set_multi_options({.configure = [](CURLM*) { fibers::checkpoint(); }}); });
    EXPECT_TRUE(holds<fibers::UsageError>(waiting));
    EXPECT_EQ(get(server.url("/hello")).status, 200);
  });
}

TEST(CurlConnectionsTest, WithoutALoopTheOptionsAreAUsageError) {
  fibers::run([] { EXPECT_THROW(set_multi_options({}), fibers::UsageError); });
}

}  // namespace
}  // namespace weft::curl
