// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// curl_get: what a user of weft::curl would write.

#include "weft/curl/curl.h"

#include <cstdint>
#include <cstdlib>

#include "tools/bench/common/http_server.h"
#include "tools/bench/weft/works.h"
#include "weft/fibers/nursery.h"
#include "weft/shim/open_loop.h"

namespace bench {
namespace {

constexpr std::uint64_t kAtOnce = 64;

void get_until_done(const HttpServer& server, std::uint64_t& next, std::uint64_t end) {
  while (next < end) {
    const weft::curl::Response response = weft::curl::get(server.url(next++));
    if (response.status != 200 || response.body.size() != HttpServer::kBody) std::abort();
  }
}

}  // namespace

void curl_get_64(Meter& meter) {
  const HttpServer server;
  weft::run([&](weft::EventLoop&) {
    meter.run([&](std::uint64_t count) {
      std::uint64_t next = 0;
      weft::fibers::open_nursery([&](weft::fibers::Nursery& nursery) {
        for (std::uint64_t i = 0; i < kAtOnce; ++i) {
          nursery.start_soon([&] { get_until_done(server, next, count); });
        }
      });
    });
    meter.finish();
  });
}

}  // namespace bench
