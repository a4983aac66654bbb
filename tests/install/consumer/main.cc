// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Uses each component that it was given; exit status 0 when all of them work.
#include <cstdio>
#include <string>
#include <utility>

#include "loop/future.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#ifdef CONSUMER_HAS_tls
#include <stdexcept>

#include "weft/fibers/testing/memory_stream.h"
#include "weft/tls/ssl_stream.h"
#endif
#ifdef CONSUMER_HAS_shim
#include "weft/loop/future.h"
#include "weft/shim/open_loop.h"
#endif
#ifdef CONSUMER_HAS_curl
#include "weft/curl/curl.h"
#endif
#ifdef CONSUMER_HAS_uv
#include "weft/uv/uv.h"
#endif
#ifdef CONSUMER_HAS_cpp20
#include "weft/cpp20/cpp20.h"
#endif
#ifdef CONSUMER_HAS_asio
#include <boost/asio/post.hpp>

#include "weft/asio/asio.h"
#endif
#ifdef CONSUMER_HAS_boost_fiber
#include "weft/boost_fiber/boost_fiber.h"
#endif

namespace {

int two_tasks() {
  int sum = 0;
  weft::fibers::run([&] {
    weft::fibers::open_nursery([&](weft::fibers::Nursery& nursery) {
      nursery.start_soon([&] { sum += consumer::the_future(); });
      nursery.start_soon([&] { sum += 1; });
    });
  });
  return sum;
}

#ifdef CONSUMER_HAS_shim
int a_callback() {
  int called = 0;
  weft::run([&](weft::EventLoop& loop) { loop.call_soon([&] { called = 42; }); });
  return called;
}
#endif

#ifdef CONSUMER_HAS_tls
// A client says hello, and nobody answers.
bool said_hello() {
  bool said = false;
  weft::fibers::run([&] {
    auto [ours, theirs] = weft::fibers::testing::memory_stream_pair();
    ours.send_stream.send_all_hook = [&] { throw std::runtime_error("said"); };
    weft::fibers::SSLStream stream(std::move(ours), weft::fibers::SSLContext::client(),
                                   {.server_hostname = "example.org"});
    try {
      stream.do_handshake();
    } catch (const std::runtime_error& error) {
      said = error.what() == std::string("said");
    }
  });
  return said;
}
#endif

#ifdef CONSUMER_HAS_uv
// By a thread of libuv's.
int some_work() {
  return weft::uv::run(uv_default_loop(), [] { return weft::uv::queue_work([] { return 42; }); });
}
#endif

#ifdef CONSUMER_HAS_cpp20
int a_coroutine() {
  return weft::fibers::run(
      [] { return weft::awaitable_as_trio(weft::trio_as_awaitable([] { return 42; })); });
}
#endif

#ifdef CONSUMER_HAS_asio
// A task waits for a handler's turn.
int a_handler() {
  boost::asio::io_context context;
  return weft::asio::run(context, [&] {
    boost::asio::post(context, weft::asio::use_fiber);
    return 42;
  });
}
#endif

#ifdef CONSUMER_HAS_boost_fiber
// A task waits for a fiber, which waits for a task.
int a_boost_fiber() {
  boost::fibers::use_scheduling_algorithm<weft::boost_fiber::Shared<>>();
  return weft::fibers::run([] {
    return weft::boost_fiber::share_thread([] {
      return weft::boost_fiber_as_trio([] { return weft::trio_as_boost_fiber([] { return 42; }); });
    });
  });
}
#endif

#ifdef CONSUMER_HAS_curl
// The program's own source, by libcurl and without a network.
bool fetched_itself() {
  weft::curl::Options options;
  options.configure = [](CURL* easy) { curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "file"); };
  const auto page = weft::run([&] { return weft::curl::get("file://" CONSUMER_SOURCE, options); });
  return page.body.find("needle in this very file") != std::string::npos;
}
#endif

}  // namespace

int main() {
  bool good = two_tasks() == 42;
  std::printf("consumer: two tasks%s", good ? "" : " (wrong)");
#ifdef CONSUMER_HAS_shim
  const bool called = a_callback() == 42;
  std::printf(", a callback%s", called ? "" : " (wrong)");
  good = good && called;
#endif
#ifdef CONSUMER_HAS_tls
  const bool said = said_hello();
  std::printf(", a handshake%s", said ? "" : " (wrong)");
  good = good && said;
#endif
#ifdef CONSUMER_HAS_uv
  const bool worked = some_work() == 42;
  std::printf(", libuv's work%s", worked ? "" : " (wrong)");
  good = good && worked;
#endif
#ifdef CONSUMER_HAS_cpp20
  const bool awaited = a_coroutine() == 42;
  std::printf(", an awaitable%s", awaited ? "" : " (wrong)");
  good = good && awaited;
#endif
#ifdef CONSUMER_HAS_asio
  const bool handled = a_handler() == 42;
  std::printf(", a handler of Asio's%s", handled ? "" : " (wrong)");
  good = good && handled;
#endif
#ifdef CONSUMER_HAS_boost_fiber
  const bool waited = a_boost_fiber() == 42;
  std::printf(", a fiber of Boost's%s", waited ? "" : " (wrong)");
  good = good && waited;
#endif
#ifdef CONSUMER_HAS_curl
  const bool fetched = fetched_itself();
  std::printf(", a transfer%s", fetched ? "" : " (wrong)");
  good = good && fetched;
#endif
  std::printf("\n");
  return good ? 0 : 1;
}
