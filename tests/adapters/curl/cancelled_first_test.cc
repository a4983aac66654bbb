// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Cancelled first: transfers.

#include "tests/support/cancelled_first.h"

#include <gtest/gtest.h>

#include <string_view>

#include "tests/adapters/curl/curl_test_support.h"

namespace weft::curl {
namespace {

using test::cancelled_first;

TEST(CancelledFirstTest, TransfersThatFail) {
  weft::run([] {
    const ClosedPort closed;
    const auto row = [](const char* name, auto&& call) { cancelled_first(name, call); };
    row("curl/curl.h get", [&] { get(closed.url()); });
    row("curl/curl.h head", [&] { head(closed.url()); });
    row("curl/curl.h post", [&] { post(closed.url(), "x"); });
    row("curl/curl.h request", [&] { request(closed.url(), {}); });
    row("curl/curl.h stream", [&] { stream(closed.url(), {}, [](std::string_view) {}); });
    row("curl/curl.h perform", [] { perform(nullptr); });
  });
}

TEST(CancelledFirstTest, TransfersWithoutALoop) {
  fibers::run([] { cancelled_first("curl/curl.h get", [] { get("http://127.0.0.1:1/"); }); });
}

}  // namespace
}  // namespace weft::curl
