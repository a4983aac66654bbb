// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Easy handles are used again, and nobody notices.

#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <set>

#include "tests/adapters/curl/curl_test_support.h"

namespace weft::curl {
namespace {

Options with_cookies(const char* jar = nullptr) {
  return {.configure = [jar](CURL* easy) {
    curl_easy_setopt(easy, CURLOPT_COOKIEFILE, "");
    if (jar != nullptr) curl_easy_setopt(easy, CURLOPT_COOKIEJAR, jar);
  }};
}

TEST(CurlHandlesTest, ConfiguringOneCostsNoFreshHandle) {
  with_server([](TestServer& server) {
    std::set<CURL*> handles;
    for (int i = 0; i < 10; ++i) {
      get(server.url("/hello"), {.configure = [&](CURL* easy) { handles.insert(easy); }});
    }
    EXPECT_EQ(handles.size(), 1U);
    EXPECT_EQ(server.connections, 1);
  });
}

TEST(CurlHandlesTest, CookiesAreForgotten) {
  with_server([](TestServer& server) {
    EXPECT_EQ(get(server.url("/cookie"), with_cookies()).body, "none");
    EXPECT_EQ(get(server.url("/cookie")).body, "none");
    EXPECT_EQ(get(server.url("/cookie"), with_cookies()).body, "none");
  });
}

TEST(CurlHandlesTest, TheCookieJarIsWritten) {
  char path[] = "/tmp/weft-cookies-XXXXXX";
  ::close(::mkstemp(path));
  with_server([&](TestServer& server) {
    get(server.url("/cookie"), with_cookies(path));
    std::ifstream file(path);
    const std::string jar{std::istreambuf_iterator<char>(file), {}};
    EXPECT_NE(jar.find("taste\tsweet"), std::string::npos) << jar;
  });
  std::remove(path);
}

TEST(CurlHandlesTest, AShareStaysTheUsersAlone) {
  CURLSH* share = curl_share_init();
  curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE);
  with_server([&](TestServer& server) {
    const Options sharing = {.configure = [&](CURL* easy) {
      curl_easy_setopt(easy, CURLOPT_SHARE, share);
      curl_easy_setopt(easy, CURLOPT_COOKIEFILE, "");
    }};
    EXPECT_EQ(get(server.url("/cookie"), sharing).body, "none");
    EXPECT_EQ(get(server.url("/cookie")).body, "none");
    EXPECT_EQ(get(server.url("/cookie"), sharing).body, "taste=sweet") << "they are in the share";
    EXPECT_EQ(curl_share_cleanup(share), CURLSHE_OK) << "no handle holds on to it";
  });
}

TEST(CurlHandlesTest, NoOptionOfOneRequestIsLeftForTheNext) {
  with_server([](TestServer& server) {
    const std::string echo = server.url("/echo");
    EXPECT_EQ(
        get(echo, {.configure =
                       [](CURL* easy) { curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "BREW"); }})
            .body,
        "BREW ");
    EXPECT_EQ(get(echo).body, "GET ");
    EXPECT_EQ(post(echo, "x", {.headers = {"X-One: 1"}, .user_agent = ""}).body, "POST x");
    EXPECT_EQ(get(echo).body, "GET ");
    EXPECT_EQ(request(echo, {.method = "BREW"}).body, "BREW ");
    EXPECT_EQ(get(echo).body, "GET ");
    EXPECT_EQ(get(server.url("/redirect/0"), {.follow_location = false}).status, 302);
    EXPECT_EQ(get(server.url("/redirect/0")).status, 200);
    EXPECT_EQ(head(server.url("/hello")).body, "");
    EXPECT_EQ(get(server.url("/hello")).body, "hello");
    EXPECT_EQ(code_of([&] { get(server.url("/redirect/1"), {.max_redirects = 1}); }),
              CURLE_TOO_MANY_REDIRECTS);
    EXPECT_EQ(get(server.url("/redirect/1")).status, 200);
  });
}

// Descriptors and stacks are looked at by with_server(), memory here.
TEST(CurlHandlesTest, TenThousandRequestsLeaveNothingBehind) {
  with_server([](TestServer& server) {
    const auto some_requests = [&](int count) {
      open_nursery([&](Nursery& nursery) {
        for (int task = 0; task < 20; ++task) {
          nursery.start_soon([&] {
            for (int i = 0; i < count / 20; ++i) {
              const bool configured = i % 5 == 0;
              get(server.url("/hello"), configured ? with_cookies() : Options());
            }
          });
        }
      });
    };
    some_requests(1'000);
    const std::size_t before = ::mallinfo2().uordblks;
    some_requests(9'000);
    const std::size_t after = ::mallinfo2().uordblks;
    EXPECT_EQ(server.requests, 10'000);
    EXPECT_LE(server.connections, 20);
    EXPECT_LT(after, before + 64 * 1024);
  });
}

}  // namespace
}  // namespace weft::curl
