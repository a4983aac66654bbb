// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Request bodies that come piece by piece.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "tests/adapters/curl/curl_test_support.h"
#include "weft/fibers/event.h"
#include "weft/fibers/testing/cancel_sweep.h"
#include "weft/fibers/testing/memory_stream.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"

namespace weft::curl {
namespace {

using Source = std::function<std::size_t(std::span<std::byte>)>;

// `count` times `piece`; waits before each.
Source pieces(std::string piece, int count) {
  return [piece = std::move(piece), count](std::span<std::byte> buffer) mutable -> std::size_t {
    fibers::checkpoint();
    if (count-- == 0) return 0;
    std::ranges::copy(std::as_bytes(std::span(piece)), buffer.begin());
    return piece.size();
  };
}

// Nothing, for ever.
std::size_t hang(std::span<std::byte>) {
  fibers::sleep_forever();
}

// libcurl otherwise waits for the server's 100, and a second if none comes.
const std::vector<std::string> kAtOnce = {"Expect:"};

TEST(CurlUploadTest, IsSentInPiecesWithAndWithoutASize) {
  with_server([](TestServer& server) {
    const std::string url = server.url("/upload");
    EXPECT_EQ(request(url, {.upload = pieces("0123456789", 5)}).body, "POST 50 bytes");
    EXPECT_EQ(request(url, {.method = "PUT", .upload = pieces("ab", 3)}).body, "PUT 6 bytes");
    EXPECT_EQ(server.last_upload(), "ababab");
    EXPECT_EQ(request(url, {.method = "PATCH", .upload = pieces("ab", 3), .upload_size = 6}).body,
              "PATCH 6 bytes");
    EXPECT_EQ(request(url, {.upload = pieces("xyz", 1), .upload_size = 3}).body, "POST 3 bytes");
    EXPECT_EQ(request(url, {.upload = pieces("", 0)}).body, "POST 0 bytes");
    EXPECT_EQ(get(server.url("/echo")).body, "GET ") << "no handle remembers";
    EXPECT_EQ(server.connections, 1);
  });
}

TEST(CurlUploadTest, ComesFromAStream) {
  with_server([](TestServer& server) {
    auto [near, far] = fibers::testing::memory_stream_one_way_pair();
    open_nursery([&, &near = near, &far = far](Nursery& nursery) {
      nursery.start_soon([&sender = near] {
        for (int i = 0; i < 10; ++i) sender.send_all(std::string(10'000, 'x'));
        sender.aclose();
      });
      const Options options = {.upload = [&stream = far](std::span<std::byte> buffer) {
        return stream.receive_some(buffer);
      }};
      EXPECT_EQ(request(server.url("/upload"), options).body, "POST 100000 bytes");
    });
  });
}

TEST(CurlUploadTest, AServerThatDoesNotReadHoldsTheSourceUp) {
  constexpr int kPieces = 2'000;
  with_server([&](TestServer& server) {
    int asked = 0;
    Source source = pieces(std::string(16'384, 'x'), kPieces);
    const Options options = {.headers = kAtOnce, .upload = [&](std::span<std::byte> buffer) {
                               ++asked;
                               return source(buffer);
                             }};
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        EXPECT_EQ(request(server.url("/late-upload"), options).body, "POST 32768000 bytes");
      });
      server.hanging.wait();
      fibers::testing::wait_all_tasks_blocked(20ms);
      EXPECT_GT(asked, 0);
      EXPECT_LT(asked, kPieces);
      EXPECT_EQ(get(server.url("/hello")).status, 200) << "others go on meanwhile";
      server.go_on.set();
    });
    EXPECT_EQ(asked, kPieces + 1);
  });
}

TEST(CurlUploadTest, GoesOnWhileTheAnswerIsStreamed) {
  with_server([](TestServer& server) {
    std::string answer;
    stream(server.url("/upload"), {.upload = pieces("0123456789", 3)}, [&](std::string_view piece) {
      fibers::checkpoint();
      answer += piece;
    });
    EXPECT_EQ(answer, "POST 30 bytes");
  });
}

TEST(CurlUploadTest, ARefusalThatComesEarlyCancelsTheSource) {
  with_server([](TestServer& server) {
    bool cancelled = false;
    const Options options = {.headers = kAtOnce,
                             .upload = [&](std::span<std::byte> buffer) -> std::size_t {
                               try {
                                 return hang(buffer);
                               } catch (const fibers::Cancelled&) {
                                 cancelled = true;
                                 throw;
                               }
                             }};
    for (const char* path : {"/refuse", "/refuse/stay"}) {
      cancelled = false;
      EXPECT_EQ(request(server.url(path), options).body, "too much");
      EXPECT_TRUE(cancelled);
    }
    EXPECT_EQ(get(server.url("/hello")).status, 200);
    EXPECT_EQ(server.connections, 3) << "none of which the body was cut off is used again";
  });
}

TEST(CurlUploadTest, WhatTheSourceThrowsEndsTheTransferAndComesOutAsItIs) {
  with_server([](TestServer& server) {
    int calls = 0;
    const Options options = {.headers = kAtOnce,
                             .upload = [&](std::span<std::byte> buffer) -> std::size_t {
                               if (++calls == 3) throw std::out_of_range("no more");
                               std::memset(buffer.data(), 'x', 10);
                               return 10;
                             }};
    EXPECT_THROW(request(server.url("/upload"), options), std::out_of_range);
    EXPECT_EQ(get(server.url("/hello")).status, 200);
  });
}

TEST(CurlUploadTest, IsCancelledWithItsTransfer) {
  with_server([](TestServer& server) {
    bool cancelled = false;
    CancelScope scope;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        server.hanging.wait();
        scope.cancel();
      });
      scope.run(
          [&] { request(server.url("/late-upload"), {.headers = kAtOnce, .upload = &hang}); });
      cancelled = scope.cancelled_caught();
      server.go_on.set();
    });
    EXPECT_TRUE(cancelled);
    EXPECT_EQ(get(server.url("/hello")).status, 200);
  });
}

TEST(CurlUploadTest, ASourceThatClaimsTooMuchIsAUsageError) {
  with_server([](TestServer& server) {
    const Options options = {.headers = kAtOnce, .upload = [](std::span<std::byte> buffer) {
                               return buffer.size() + 1;
                             }};
    EXPECT_THROW(request(server.url("/upload"), options), fibers::UsageError);
    EXPECT_THROW(request(server.url("/upload"), {.body = "a", .upload = pieces("b", 1)}),
                 fibers::UsageError);
  });
}

TEST(CurlUploadTest, MayBeCancelledAnywhere) {
  const auto transfer = [](TestServer& server) {
    const Options options = {.headers = kAtOnce, .upload = pieces("0123456789", 3)};
    stream(server.url("/upload"), options, [](std::string_view) { fibers::checkpoint(); });
  };
  const auto swept = fibers::testing::cancel_sweep(
      [&] { shim::open_loop([&](loop::EventLoop&) { serve(transfer); }); },
      {.most = 30, .real_time = true});
  EXPECT_GT(swept.runs, 10U);
}

}  // namespace
}  // namespace weft::curl
