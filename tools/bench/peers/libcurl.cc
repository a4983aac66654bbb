// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Subject "libcurl": curl_get by libcurl's multi_socket interface on a bare epoll loop, as
// libcurl's own example does it. Easy handles are set up once and used again; only the URL changes.

#include <curl/curl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "tools/bench/common/http_server.h"
#include "tools/bench/common/meter.h"

namespace {

using bench::HttpServer;
using bench::Meter;

constexpr std::size_t kAtOnce = 64;

double milliseconds_now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

struct Transfer {
  CURL* easy = curl_easy_init();
  std::string body;
};

class Loop {
 public:
  explicit Loop(const HttpServer& server) : server_(server), transfers_(kAtOnce) {
    curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &Loop::on_socket);
    curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &Loop::on_timer);
    curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, 2 * static_cast<long>(kAtOnce));
    for (Transfer& transfer : transfers_) {
      curl_easy_setopt(transfer.easy, CURLOPT_NOSIGNAL, 1L);
      curl_easy_setopt(transfer.easy, CURLOPT_FOLLOWLOCATION, 1L);
      curl_easy_setopt(transfer.easy, CURLOPT_PRIVATE, &transfer);
      curl_easy_setopt(transfer.easy, CURLOPT_WRITEDATA, &transfer.body);
      curl_easy_setopt(transfer.easy, CURLOPT_WRITEFUNCTION, &Loop::on_write);
    }
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void get(std::uint64_t count) {
    next_ = 0;
    end_ = count;
    for (Transfer& transfer : transfers_) start(transfer);
    while (under_way_ > 0) turn();
  }

 private:
  static std::size_t on_write(char* data, std::size_t size, std::size_t count, void* body) {
    static_cast<std::string*>(body)->append(data, size * count);
    return size * count;
  }
  static int on_timer(CURLM*, long milliseconds, void* self) {
    static_cast<Loop*>(self)->due_ =
        milliseconds < 0 ? -1 : milliseconds_now() + static_cast<double>(milliseconds);
    return 0;
  }
  static int on_socket(CURL*, curl_socket_t fd, int what, void* self, void* known) {
    auto& loop = *static_cast<Loop*>(self);
    epoll_event event{};
    event.data.fd = fd;
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
    if (what == CURL_POLL_REMOVE) {
      ::epoll_ctl(loop.epoll_, EPOLL_CTL_DEL, fd, &event);
    } else if (known != nullptr) {
      ::epoll_ctl(loop.epoll_, EPOLL_CTL_MOD, fd, &event);
    } else {
      ::epoll_ctl(loop.epoll_, EPOLL_CTL_ADD, fd, &event);
      curl_multi_assign(loop.multi_, fd, self);
    }
    return 0;
  }

  void start(Transfer& transfer) {
    if (next_ >= end_) return;
    transfer.body = std::string();
    curl_easy_setopt(transfer.easy, CURLOPT_URL, server_.url(next_++).c_str());
    curl_multi_add_handle(multi_, transfer.easy);
    ++under_way_;
  }

  void turn() {
    int wait = -1;
    if (due_ >= 0) wait = static_cast<int>(std::max(0.0, due_ - milliseconds_now() + 0.999));
    std::array<epoll_event, 64> events;
    const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), wait);
    int running = 0;
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events.at(static_cast<std::size_t>(i));
      const int what = (event.events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                       (event.events & EPOLLOUT ? CURL_CSELECT_OUT : 0);
      curl_multi_socket_action(multi_, event.data.fd, what, &running);
    }
    if (due_ >= 0 && milliseconds_now() >= due_) {
      due_ = -1;
      curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    collect();
  }

  void collect() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      CURL* easy = message->easy_handle;
      const CURLcode result = message->data.result;
      Transfer* transfer = nullptr;
      long status = 0;
      curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
      curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
      if (result != CURLE_OK || status != 200 || transfer->body.size() != HttpServer::kBody) {
        std::abort();
      }
      curl_multi_remove_handle(multi_, easy);
      --under_way_;
      start(*transfer);
    }
  }

  const HttpServer& server_;
  CURLM* multi_ = curl_multi_init();
  int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<Transfer> transfers_;
  std::uint64_t next_ = 0;
  std::uint64_t end_ = 0;
  std::size_t under_way_ = 0;
  double due_ = -1;  // Milliseconds; below zero: no timer.
};

void curl_get_64(Meter& meter) {
  const HttpServer server;
  Loop loop(server);
  meter.run([&](std::uint64_t count) { loop.get(count); });
  meter.finish();
}

}  // namespace

int main(int argc, char** argv) {
  return bench::subject_main("libcurl", {{"curl_get/64", &curl_get_64}}, argc, argv);
}
