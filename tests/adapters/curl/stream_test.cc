// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The head of a response comes before its body.

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

#include "tests/adapters/curl/curl_test_support.h"
#include "weft/fibers/event.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"

namespace weft::curl {
namespace {

TEST(CurlOnHeadTest, StreamShowsStatusAndHeadersBeforeTheBodyHasCome) {
  with_server([](TestServer& server) {
    std::vector<std::string> seen;
    const Options options = {.on_head = [&](const Response& head) {
      EXPECT_EQ(head.status, 200);
      EXPECT_EQ(head.header("X-Greeting"), "early");
      EXPECT_EQ(head.effective_url, server.url("/late-body"));
      fibers::checkpoint();  // In the calling task, where it may wait.
      seen.emplace_back("head");
      server.go_on.set();
    }};
    const Response response = stream(server.url("/late-body"), options,
                                     [&](std::string_view piece) { seen.emplace_back(piece); });
    EXPECT_EQ(seen, (std::vector<std::string>{"head", "late"}));
    EXPECT_EQ(response.header("X-Greeting"), "early");
  });
}

TEST(CurlOnHeadTest, GetShowsThemToo) {
  with_server([](TestServer& server) {
    const Options options = {.on_head = [&](const Response&) { server.go_on.set(); }};
    EXPECT_EQ(get(server.url("/late-body"), options).body, "late");
  });
}

// Each with the statuses that on_head is to see.
TEST(CurlOnHeadTest, ItSeesTheLastResponseOnceWhateverItIs) {
  with_server([](TestServer& server) {
    std::vector<long> statuses;
    const auto note = [&](const Response& head) { statuses.push_back(head.status); };
    const auto seen = [&](const auto& transfer) {
      statuses.clear();
      transfer();
      return statuses;
    };
    const std::string redirect = server.url("/redirect/2");
    const std::vector<long> once = {200};
    EXPECT_EQ(seen([&] { get(redirect, {.on_head = note}); }), once);
    EXPECT_EQ(seen([&] { stream(redirect, {.on_head = note}, [](std::string_view) {}); }), once);
    EXPECT_EQ(seen([&] { head(server.url("/hello"), {.on_head = note}); }), once);
    EXPECT_EQ(seen([&] { get(server.url("/missing"), {.on_head = note}); }),
              std::vector<long>{404});
    EXPECT_EQ(seen([&] { get(redirect, {.follow_location = false, .on_head = note}); }),
              std::vector<long>{302});
    EXPECT_EQ(seen([&] {
                const Options two = {.max_redirects = 1, .on_head = note};
                EXPECT_EQ(code_of([&] { get(redirect, two); }), CURLE_TOO_MANY_REDIRECTS);
              }),
              std::vector<long>{});
  });
}

TEST(CurlOnHeadTest, WhatItThrowsEndsTheTransfer) {
  with_server([](TestServer& server) {
    const Options options = {.on_head = [](const Response&) { throw std::out_of_range("no"); }};
    EXPECT_TRUE(holds<std::out_of_range>(error_of([&] { get(server.url("/endless"), options); })));
    server.client_gone.wait();
    EXPECT_TRUE(holds<std::out_of_range>(
        error_of([&] { stream(server.url("/endless"), options, [](std::string_view) {}); })));
    EXPECT_EQ(get(server.url("/hello")).status, 200);
  });
}

TEST(CurlOnHeadTest, OnlyWithStreamMayItWait) {
  with_server([](TestServer& server) {
    const Options options = {.on_head = [](const Response&) { fibers::checkpoint(); }};
    EXPECT_TRUE(holds<fibers::UsageError>(error_of([&] { get(server.url("/hello"), options); })));
  });
}

TEST(CurlOnHeadTest, WhileItWaitsTheServerIsHeldUp) {
  constexpr std::size_t kSize = 32 << 20;
  with_server([&](TestServer& server) {
    fibers::Event go_on;
    std::size_t received = 0;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        stream(server.url("/bytes/" + std::to_string(kSize)),
               {.on_head = [&](const Response&) { go_on.wait(); }},
               [&](std::string_view piece) { received += piece.size(); });
      });
      fibers::testing::wait_all_tasks_blocked(20ms);
      EXPECT_EQ(received, 0U);
      EXPECT_LT(server.bytes_sent, kSize);
      go_on.set();
    });
    EXPECT_EQ(received, kSize);
  });
}

}  // namespace
}  // namespace weft::curl
