// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The load of tcp_echo: one thread, a bare epoll loop, N connections with one message of 64 bytes
// under way on each. What counts is the processor's time that the server takes for a message, which
// other things on this machine disturb least; how many there were a second is noted beside it.
//
//   weft_bench_echo_client PORT SERVER_PID CONNECTIONS SECONDS

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "tools/bench/common/echo.h"

namespace {

constexpr std::size_t kMessage = 64;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

double read_clock(clockid_t clock) {
  timespec time{};
  if (::clock_gettime(clock, &time) != 0) fail("the clock of the server");
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

class Client {
 public:
  Client(std::uint16_t port, std::size_t connections) : received_(connections) {
    for (std::size_t i = 0; i < connections; ++i) connect(port, i);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Keeps every connection busy for so long; returns how many messages have come back.
  std::uint64_t run(double nanoseconds) {
    const double end = read_clock(CLOCK_MONOTONIC) + nanoseconds;
    std::uint64_t messages = 0;
    std::array<epoll_event, 256> events;
    while (read_clock(CLOCK_MONOTONIC) < end) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 1000);
      if (count <= 0) fail("no answer within a second");
      for (int i = 0; i < count; ++i) messages += receive(events.at(static_cast<std::size_t>(i)));
    }
    return messages;
  }

 private:
  void connect(std::uint16_t port, std::size_t index) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = bench::loopback(port);
    if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      fail("connect");
    }
    bench::no_delay(fd);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = std::uint64_t{static_cast<std::uint32_t>(fd)} << 32 | index;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    send(fd);
  }
  static void send(int fd) {
    static const std::array<char, kMessage> message{};
    if (::write(fd, message.data(), message.size()) != kMessage) fail("write");
  }
  // 1 if a message is complete.
  std::uint64_t receive(const epoll_event& event) {
    const int fd = static_cast<int>(event.data.u64 >> 32);
    std::size_t& received = received_[static_cast<std::uint32_t>(event.data.u64)];
    std::array<char, kMessage> buffer;
    const ssize_t n = ::read(fd, buffer.data(), kMessage - received);
    if (n <= 0) fail("read");
    received += static_cast<std::size_t>(n);
    if (received < kMessage) return 0;
    received = 0;
    send(fd);
    return 1;
  }

  int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<std::size_t> received_;  // Of the message under way, by connection.
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: %s PORT SERVER_PID CONNECTIONS SECONDS\n", argv[0]);
    return 2;
  }
  clockid_t server = 0;
  if (::clock_getcpuclockid(std::atoi(argv[2]), &server) != 0) fail("no such server");
  const double budget = std::atof(argv[4]) * 1e9;
  Client client(static_cast<std::uint16_t>(std::atoi(argv[1])),
                static_cast<std::size_t>(std::atoi(argv[3])));
  client.run(budget / 5);  // Warm-up.
  const double processor = read_clock(server);
  const double wall = read_clock(CLOCK_MONOTONIC);
  const auto messages = static_cast<double>(client.run(budget));
  const double seconds = (read_clock(CLOCK_MONOTONIC) - wall) / 1e9;
  std::printf(R"({"value": %.6g, "unit": "ns", "messages_per_second": %.6g})"
              "\n",
              (read_clock(server) - processor) / messages, messages / seconds);
}
