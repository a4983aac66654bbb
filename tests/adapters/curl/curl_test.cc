// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/curl/curl.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "tests/adapters/curl/curl_test_support.h"
#include "tests/adapters/curl/hanging_resolver.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/testing/cancel_sweep.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/to_thread.h"

namespace weft::curl {
namespace {

TEST(CurlTest, GetReturnsTheResponse) {
  with_server([](TestServer& server) {
    const std::string url = server.url("/hello");
    const Response response = get(url);
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "hello");
    EXPECT_EQ(response.effective_url, url);
    EXPECT_EQ(response.redirects, 0);
    EXPECT_EQ(response.content_type, "text/plain");
    EXPECT_EQ(response.header("x-greeting"), "good morning");
    EXPECT_EQ(response.header("X-Missing"), std::nullopt);
  });
}

TEST(CurlTest, RedirectsAreFollowedIfWanted) {
  with_server([](TestServer& server) {
    const Response followed = get(server.url("/redirect/2"));
    EXPECT_EQ(followed.status, 200);
    EXPECT_EQ(followed.redirects, 3);
    EXPECT_EQ(followed.effective_url, server.url("/hello"));
    EXPECT_EQ(followed.body, "hello");
    EXPECT_EQ(followed.header("Location"), std::nullopt) << "headers of the last response only";
    const Response not_followed = get(server.url("/redirect/2"), {.follow_location = false});
    EXPECT_EQ(not_followed.status, 302);
    EXPECT_EQ(not_followed.header("Location"), "/redirect/1");
    EXPECT_EQ(code_of([&] { get(server.url("/loop"), {.max_redirects = 5}); }),
              CURLE_TOO_MANY_REDIRECTS);
  });
}

TEST(CurlTest, AStatusIsNoError) {
  with_server([](TestServer& server) {
    const Response response = get(server.url("/missing"));
    EXPECT_EQ(response.status, 404);
    EXPECT_EQ(response.body, "not here");
  });
}

TEST(CurlTest, OtherMethods) {
  with_server([](TestServer& server) {
    EXPECT_EQ(head(server.url("/hello")).status, 200);
    EXPECT_EQ(post(server.url("/echo"), "a=b").body, "POST a=b");
    EXPECT_EQ(post(server.url("/echo"), "").body, "POST ");
    EXPECT_EQ(request(server.url("/echo"), {.method = "PUT", .body = "x"}).body, "PUT x");
    EXPECT_EQ(request(server.url("/echo"), {.method = "DELETE"}).body, "DELETE ");
    EXPECT_EQ(get(server.url("/echo")).body, "GET ") << "no handle remembers";
  });
}

TEST(CurlTest, ErrorsSayWhatAndWhere) {
  with_server([](TestServer& server) {
    const ClosedPort closed;
    const std::string& url = closed.url();
    try {
      get(url);
      ADD_FAILURE() << "connected";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), CURLE_COULDNT_CONNECT);
      EXPECT_EQ(error.url(), url);
      EXPECT_NE(error.text().find("connect"), std::string::npos) << error.text();
      EXPECT_NE(std::string(error.what()).find(url), std::string::npos);
    }
    EXPECT_EQ(code_of([] { get("file:///etc/passwd"); }), CURLE_UNSUPPORTED_PROTOCOL);
    EXPECT_EQ(code_of([] { get("http://[/"); }), CURLE_URL_MALFORMAT);
    EXPECT_EQ(code_of([&] { get(server.url("/short")); }), CURLE_PARTIAL_FILE);
    EXPECT_EQ(code_of([&] { get(server.url("/endless"), {.max_body_size = 100'000}); }),
              CURLE_FILESIZE_EXCEEDED);
    EXPECT_EQ(get(server.url("/hello")).status, 200);
  });
}

TEST(CurlTest, ADeadlineTakesTheTransferOff) {
  with_server([](TestServer& server) {
    CancelScope scope;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        // Before that there might be nothing to take off.
        server.hanging.wait();
        scope.set_deadline(fibers::current_time());
      });
      scope.run([&] { get(server.url("/hang")); });
    });
    EXPECT_TRUE(scope.cancelled_caught());
    server.client_gone.wait();
    EXPECT_EQ(get(server.url("/hello")).status, 200);
  });
}

TEST(CurlTest, CancellingInTheMiddleOfABodyTakesTheTransferOff) {
  with_server([](TestServer& server) {
    CancelScope scope;
    std::size_t received = 0;
    scope.run([&] {
      get(server.url("/endless"), {.on_body = [&](std::string_view piece) {
            received += piece.size();
            if (received > 50'000) scope.cancel();  // From inside libcurl.
          }});
    });
    EXPECT_TRUE(scope.cancelled_caught());
    server.client_gone.wait();
    EXPECT_EQ(get(server.url("/hello")).status, 200);
  });
}

TEST(CurlTest, CancellingDuringANameLookUpDoesNotBlockTheLoop) {
  with_server([](TestServer& server) {
    const fibers::Instant start = fibers::current_time();
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([] { get("http://" + std::string(kHangingHost) + "/"); });
      fibers::to_thread::run_sync([] { wait_for_look_up(); });
      nursery.cancel_scope().cancel();
    });
    // The look-up is still going on.
    EXPECT_EQ(get(server.url("/hello")).status, 200);
    EXPECT_LT(fibers::current_time() - start, 10s);
    let_look_up_fail();
  });
}

TEST(CurlTest, AnErrorInTheWriteCallbackArrivesInTheWaitingTask) {
  with_server([](TestServer& server) {
    const auto original = std::make_exception_ptr(std::out_of_range("no room"));
    const auto error = error_of([&] {
      get(server.url("/hello"),
          {.on_body = [&](std::string_view) { std::rethrow_exception(original); }});
    });
    EXPECT_EQ(error, original);
    EXPECT_EQ(get(server.url("/hello")).body, "hello") << "the multi handle goes on";
  });
}

TEST(CurlTest, TheWriteCallbackMustNotWaitNorTransfer) {
  with_server([](TestServer& server) {
    const auto waiting = error_of([&] {
      get(server.url("/hello"), {.on_body = [](std::string_view) { fibers::sleep(1ms); }});
    });
    EXPECT_TRUE(holds<fibers::UsageError>(waiting));
    const auto transferring = error_of([&] {
      get(server.url("/hello"), {.on_body = [&](std::string_view) { get(server.url("/echo")); }});
    });
    EXPECT_TRUE(holds<fibers::UsageError>(transferring));
    EXPECT_EQ(get(server.url("/hello")).body, "hello");
  });
}

TEST(CurlTest, OnBodyGetsTheBodyInstead) {
  with_server([](TestServer& server) {
    std::size_t received = 0;
    const Response response =
        get(server.url("/bytes/300000"),
            {.on_body = [&](std::string_view piece) { received += piece.size(); }});
    EXPECT_EQ(received, 300'000U);
    EXPECT_TRUE(response.body.empty());
  });
}

TEST(CurlTest, ASinkThatWaitsHoldsTheServerUp) {
  constexpr std::size_t kSize = 32 << 20;
  with_server([&](TestServer& server) {
    fibers::Event go_on;
    std::size_t received = 0;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        const Response response =
            stream(server.url("/bytes/" + std::to_string(kSize)), {}, [&](std::string_view piece) {
              received += piece.size();
              go_on.wait();
            });
        EXPECT_EQ(response.status, 200);
        EXPECT_TRUE(response.body.empty());
      });
      fibers::testing::wait_all_tasks_blocked(20ms);
      EXPECT_GT(received, 0U);
      EXPECT_LE(received, 2 * kStreamBuffer);
      EXPECT_LT(server.bytes_sent, kSize);
      EXPECT_EQ(get(server.url("/hello")).status, 200) << "others go on meanwhile";
      go_on.set();
    });
    EXPECT_EQ(received, kSize);
    EXPECT_EQ(server.bytes_sent, kSize);
  });
}

TEST(CurlTest, WhatTheSinkThrowsEndsTheTransfer) {
  with_server([](TestServer& server) {
    const auto error = error_of([&] {
      stream(server.url("/endless"), {}, [](std::string_view) { throw std::out_of_range("full"); });
    });
    EXPECT_TRUE(holds<std::out_of_range>(error));
    server.client_gone.wait();
  });
}

TEST(CurlTest, TheSinkGetsWhatCameBeforeAnError) {
  with_server([](TestServer& server) {
    std::string received;
    EXPECT_EQ(code_of([&] {
                stream(server.url("/short"), {},
                       [&](std::string_view piece) { received += piece; });
              }),
              CURLE_PARTIAL_FILE);
    EXPECT_EQ(received, "0123456789");
  });
}

TEST(CurlTest, FiftyAtATime) {
  with_server([](TestServer& server) {
    int done = 0;
    open_nursery([&](Nursery& nursery) {
      for (int i = 0; i < 50; ++i) {
        nursery.start_soon([&] {
          if (get(server.url("/bytes/100000")).body.size() == 100'000) ++done;
        });
      }
    });
    EXPECT_EQ(done, 50);
    EXPECT_GT(server.most_at_once, 1);
  });
}

TEST(CurlTest, ConnectionsAreReused) {
  with_server([](TestServer& server) {
    for (int i = 0; i < 10; ++i) get(server.url("/hello"));
    EXPECT_EQ(server.requests, 10);
    EXPECT_EQ(server.connections, 1);
  });
}

TEST(CurlTest, WorksInACallback) {
  with_server([](TestServer& server) {
    long status = 0;
    EventLoop& loop = shim::require_loop();
    loop.call_soon([&] { status = get(server.url("/hello")).status; });
    loop.synchronize();
    loop.wait_blocked();
    EXPECT_EQ(status, 200);
  });
}

TEST(CurlTest, PerformRunsAHandleOfYourOwn) {
  with_server([](TestServer& server) {
    const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> easy(curl_easy_init(),
                                                                   &curl_easy_cleanup);
    std::string body;
    curl_easy_setopt(easy.get(), CURLOPT_URL, server.url("/hello").c_str());
    curl_easy_setopt(easy.get(), CURLOPT_WRITEDATA, &body);
    curl_easy_setopt(
        easy.get(), CURLOPT_WRITEFUNCTION,
        +[](char* data, std::size_t size, std::size_t count, void* to) {
          static_cast<std::string*>(to)->append(data, size * count);
          return size * count;
        });
    const Response response = perform(easy.get());
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.header("X-Greeting"), "good morning");
    EXPECT_EQ(body, "hello");

    curl_easy_setopt(easy.get(), CURLOPT_URL, server.url("/hang").c_str());
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { perform(easy.get()); });
      fibers::testing::wait_all_tasks_blocked(5ms);
      EXPECT_THROW(perform(easy.get()), fibers::UsageError) << "in use";
      nursery.cancel_scope().cancel();
    });
    const ClosedPort closed;
    curl_easy_setopt(easy.get(), CURLOPT_URL, closed.url().c_str());
    EXPECT_EQ(code_of([&] { perform(easy.get()); }), CURLE_COULDNT_CONNECT);
  });
}

TEST(CurlTest, TheLoopMayCloseWithTransfersUnderWay) {
  with_server([](TestServer& server) {
    std::exception_ptr outside;
    std::exception_ptr late;
    open_nursery([&](Nursery& outer) {
      open_loop([&](EventLoop&) {
        // A task of the loop is cancelled with it; one from outside is told.
        run_trio_task([&] { get(server.url("/hang")); });
        outer.start_soon([&] {
          outside = error_of([&] { get(server.url("/hang")); });
          late = error_of([&] { get(server.url("/hello")); });
        });
        fibers::testing::wait_all_tasks_blocked(5ms);
      });
    });
    EXPECT_TRUE(holds<fibers::ClosedResourceError>(outside));
    EXPECT_TRUE(late != nullptr);
  });
}

// Wherever it is cut short, nothing is left over and everything comes to an end.
TEST(CurlTest, MayBeCancelledAnywhere) {
  const auto transfer = [](TestServer& server) {
    std::string body;
    get(server.url("/redirect/1"));
    stream(server.url("/hello"), {}, [&](std::string_view piece) {
      fibers::checkpoint();
      body += piece;
    });
    if (body != "hello") throw std::logic_error("the body is another one");
  };
  const auto swept = fibers::testing::cancel_sweep(
      [&] { shim::open_loop([&](loop::EventLoop&) { serve(transfer); }); },
      {.most = 30, .real_time = true});
  EXPECT_GT(swept.runs, 30U);
}

TEST(CurlTest, WithoutALoopThatIsAUsageError) {
  fibers::run([] { EXPECT_THROW(get("http://127.0.0.1/"), fibers::UsageError); });
}

}  // namespace
}  // namespace weft::curl
