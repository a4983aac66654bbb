// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The server of curl_get: a child process that answers every request with the same page, as nginx
// would send it. Its processor time is its own and does not count. It runs on another core than its
// parent, if there is one, and dies with it.

#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include "tools/bench/common/echo.h"

namespace bench {

class HttpServer {
 public:
  static constexpr std::size_t kBody = 1024;

  HttpServer() {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    if (listener < 0 || ::bind(listener, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
        ::listen(listener, SOMAXCONN) != 0 ||
        ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("cannot listen on loopback");
    }
    port_ = ntohs(address.sin_port);
    child_ = ::fork();
    if (child_ < 0) throw std::runtime_error("cannot fork");
    if (child_ == 0) serve(listener);
    ::close(listener);
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }

  // A page: they all are the same.
  std::string url(std::uint64_t number) const {
    return "http://127.0.0.1:" + std::to_string(port_) + "/page/" + std::to_string(number % 100) +
           ".html";
  }

 private:
  static void leave_the_parents_core() {
    cpu_set_t parents;
    CPU_ZERO(&parents);
    if (::sched_getaffinity(0, sizeof parents, &parents) != 0) return;
    cpu_set_t others;
    CPU_ZERO(&others);
    const auto cores = static_cast<std::size_t>(::sysconf(_SC_NPROCESSORS_ONLN));
    for (std::size_t core = 0; core < cores; ++core) {
      if (!CPU_ISSET(core, &parents)) CPU_SET(core, &others);
    }
    if (CPU_COUNT(&others) > 0) ::sched_setaffinity(0, sizeof others, &others);
  }

  static std::string answer() {
    return "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 28 Nov 2026 05:00:00 GMT\r\n"
           "Content-Type: text/html; charset=utf-8\r\nContent-Length: " +
           std::to_string(kBody) +
           "\r\nLast-Modified: Sat, 28 Nov 2026 04:00:00 GMT\r\nConnection: keep-alive\r\n"
           "ETag: \"656565-400\"\r\nAccept-Ranges: bytes\r\n\r\n" +
           std::string(kBody, 'x');
  }

  [[noreturn]] static void serve(int listener) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::signal(SIGPIPE, SIG_IGN);
    leave_the_parents_core();
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    watch(epoll, listener);
    const std::string page = answer();
    std::array<epoll_event, 64> events;
    for (;;) {
      const int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) {
        const int fd = events.at(static_cast<std::size_t>(i)).data.fd;
        if (fd == listener) {
          const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
          no_delay(client);
          watch(epoll, client);
        } else {
          answer_requests(fd, page);
        }
      }
    }
  }

  static void watch(int epoll, int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }

  // Each request of these clients comes in one piece.
  static void answer_requests(int fd, const std::string& page) {
    std::array<char, 4096> buffer;
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n <= 0) {
      ::close(fd);
      return;
    }
    const std::string_view got(buffer.data(), static_cast<std::size_t>(n));
    if (!got.ends_with("\r\n\r\n")) std::abort();
    if (::write(fd, page.data(), page.size()) != static_cast<ssize_t>(page.size())) std::abort();
  }

  std::uint16_t port_ = 0;
  pid_t child_ = -1;
};

}  // namespace bench
