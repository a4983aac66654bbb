// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/uv/request.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <array>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "tests/flavours/uv/uv_testing.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/thread_event.h"
#include "weft/fibers/timeouts.h"

namespace weft::uv {
namespace {

using namespace std::chrono_literals;
using fibers::CancelScope;
using fibers::Nursery;
using fibers::open_nursery;

UV_TEST(ATaskReadsAFile) {
  uv_fs_t request{};
  const auto opened = await(request, [](uv_fs_t* r, uv_fs_cb done) {
    return uv_fs_open(current_loop(), r, "/proc/self/comm", O_RDONLY, 0, done);
  });
  uv_fs_req_cleanup(&request);
  const absl::Cleanup close = [&] {
    uv_fs_t closing{};
    uv_fs_close(nullptr, &closing, static_cast<int>(opened), nullptr);
    uv_fs_req_cleanup(&closing);
  };
  std::array<char, 64> bytes{};
  const uv_buf_t buffer = uv_buf_init(bytes.data(), bytes.size());
  const auto count = await(request, [&](uv_fs_t* r, uv_fs_cb done) {
    return uv_fs_read(current_loop(), r, static_cast<int>(opened), &buffer, 1, 0, done);
  });
  uv_fs_req_cleanup(&request);
  EXPECT_EQ(std::string(bytes.data(), static_cast<std::size_t>(count)), "uv_test\n");
}

UV_TEST(AnErrorOfTheSystemIsOneInCxx) {
  uv_fs_t request{};
  const absl::Cleanup clean = [&] { uv_fs_req_cleanup(&request); };
  try {
    await(request, [](uv_fs_t* r, uv_fs_cb done) {
      return uv_fs_open(current_loop(), r, "/no/such/file", O_RDONLY, 0, done);
    });
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code().value(), UV_ENOENT);
    EXPECT_EQ(error.code(), std::errc::no_such_file_or_directory);
    EXPECT_EQ(std::string(error.what()), "fs /no/such/file: no such file or directory");
  }
}

UV_TEST(ARequestThatIsRefusedThrowsAtOnce) {
  uv_random_t request{};
  try {
    await(request, [](uv_random_t* r, uv_random_cb done) {
      return uv_random(current_loop(), r, nullptr, 0, 12345, done);
    });
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()), "random: invalid argument");
  }
}

UV_TEST(WorkRunsInAThreadOfLibuvs) {
  const auto here = std::this_thread::get_id();
  EXPECT_NE(queue_work([] { return std::this_thread::get_id(); }), here);
  EXPECT_THROW(queue_work([] { throw std::out_of_range("far"); }), std::out_of_range);
  const std::string text = "as a value";
  EXPECT_EQ(queue_work([&]() -> const std::string& { return text; }), text);
  int done = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 10; ++i) {
      nursery.start_soon([&] {
        queue_work([] {});
        ++done;
      });
    }
  });
  EXPECT_EQ(done, 10);
}

UV_TEST(WhatAThreadHasBegunIsWaitedFor) {
  std::atomic<bool> begun = false;
  std::atomic<bool> go_on = false;
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      const absl::Cleanup let_go = [&] { go_on = true; };
      while (!begun) fibers::checkpoint();
      scope.cancel();
    });
    scope.run([&] {
      EXPECT_EQ(queue_work([&] {
                  begun = true;
                  while (!go_on) std::this_thread::yield();
                  return 5;
                }),
                5);
    });
  });
  EXPECT_FALSE(scope.cancelled_caught());
}

// All of libuv's four threads are busy.
UV_TEST(WhatNoThreadHasBegunIsCancelled) {
  std::atomic<int> busy = 0;
  std::atomic<bool> go_on = false;
  open_nursery([&](Nursery& nursery) {
    const absl::Cleanup release = [&] { go_on = true; };
    for (int i = 0; i < 4; ++i) {
      nursery.start_soon([&] {
        queue_work([&] {
          ++busy;
          while (!go_on) std::this_thread::yield();
        });
      });
    }
    while (busy < 4) fibers::checkpoint();
    CancelScope scope;
    scope.run([&] {
      uv_work_t request{};
      await(request, [&](uv_work_t* r, uv_after_work_cb done) {
        scope.cancel();
        return uv_queue_work(
            current_loop(), r, [](uv_work_t*) { ADD_FAILURE(); }, done);
      });
    });
    EXPECT_TRUE(scope.cancelled_caught());
  });
}

UV_TEST(NamesAreLookedUp) {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST;
  const Addresses found = getaddrinfo("127.0.0.1", "", &hints);
  ASSERT_NE(found, nullptr);
  sockaddr_in address{};
  std::memcpy(&address, found->ai_addr, sizeof address);
  EXPECT_EQ(ntohl(address.sin_addr.s_addr), INADDR_LOOPBACK);
  EXPECT_THROW(getaddrinfo("not a number", "", &hints), Error);
}

TEST(UvErrorTest, WhatIsNotOfTheSystemIsLibuvsOwn) {
  EXPECT_EQ(Error(UV_EOF, "x").code().default_error_condition().category(), uv_category());
  EXPECT_EQ(Error(UV_EAI_NONAME, "x").code().default_error_condition().category(), uv_category());
  EXPECT_EQ(Error(UV_ECONNREFUSED, "x").code(), std::errc::connection_refused);
  EXPECT_STREQ(uv_category().name(), "libuv");
}

}  // namespace
}  // namespace weft::uv
