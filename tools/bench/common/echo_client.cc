// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The load of tcp_echo: one thread, a bare epoll loop, N connections with one message of 64 bytes
// under way on each. What counts is the processor's time that the server takes for a message, which
// other things on this machine disturb least; how many there were a second is noted beside it.
//
//   weft_bench_echo_client PORT SERVER_PID CONNECTIONS SECONDS [tls | udp | websocket | http]
//
// With "websocket" a message is a frame of RFC 6455 with 64 bytes, and with "http" it is a GET; the
// answer is as long as the first one.
//
// With "udp" a connection is a socket of datagrams, and a message a datagram. With "tls" each
// message is a record of TLS 1.3, AES-128-GCM; the certificate is not checked.

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#ifdef WEFT_BENCH_TLS
#include <openssl/ssl.h>
#endif

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

// How a connection of the client reads and writes, and what; its sockets block.
class Plain {
 public:
  static constexpr int kType = SOCK_STREAM;

  std::string message() const { return std::string(kMessage, 0); }
  std::size_t answer_size() const { return kMessage; }
  void begin(int /*fd*/, std::size_t /*index*/) {}
  ssize_t write(int fd, std::size_t /*index*/, const char* data, std::size_t size) {
    return ::write(fd, data, size);
  }
  ssize_t read(int fd, std::size_t /*index*/, char* data, std::size_t size) {
    return ::read(fd, data, size);
  }
};

class Datagrams : public Plain {
 public:
  static constexpr int kType = SOCK_DGRAM;
};

// Sends a request, and returns what comes until a header has ended.
std::string ask(int fd, std::string_view request) {
  if (::write(fd, request.data(), request.size()) != static_cast<ssize_t>(request.size())) {
    fail("write");
  }
  std::string answer;
  std::array<char, 1024> buffer;
  while (answer.find("\r\n\r\n") == std::string::npos) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n <= 0) fail("read");
    answer.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return answer;
}

class WebSocket : public Plain {
 public:
  // From a client frames are masked.
  std::string message() const {
    std::string frame = {'\x82', static_cast<char>(0x80 | kMessage), 1, 2, 3, 4};
    return frame + std::string(kMessage, 0);
  }
  std::size_t answer_size() const { return 2 + kMessage; }
  void begin(int fd, std::size_t /*index*/) {
    ask(fd,
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n");
  }
};

// The server sends an answer in one piece.
class Http : public Plain {
 public:
  std::string message() const { return "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"; }
  std::size_t answer_size() const { return answer_size_; }
  void begin(int fd, std::size_t /*index*/) { answer_size_ = ask(fd, message()).size(); }

 private:
  std::size_t answer_size_ = 0;
};

#ifdef WEFT_BENCH_TLS
// They live as long as the program.
class Tls : public Plain {
 public:
  Tls() : context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_min_proto_version(context_, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(context_, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set_verify(context_, SSL_VERIFY_NONE, nullptr);
  }
  void begin(int fd, std::size_t index) {
    if (index >= connections_.size()) connections_.resize(index + 1);
    SSL* const ssl = connections_[index] = SSL_new(context_);
    if (SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1) fail("the handshake of TLS");
  }
  ssize_t write(int /*fd*/, std::size_t index, const char* data, std::size_t size) {
    return SSL_write(connections_[index], data, static_cast<int>(size));
  }
  ssize_t read(int /*fd*/, std::size_t index, char* data, std::size_t size) {
    return SSL_read(connections_[index], data, static_cast<int>(size));
  }

 private:
  SSL_CTX* context_;
  std::vector<SSL*> connections_;
};
#endif

template <class Wire>
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
    const int fd = ::socket(AF_INET, Wire::kType | SOCK_CLOEXEC, 0);
    const sockaddr_in address = bench::loopback(port);
    if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      fail("connect");
    }
    if (Wire::kType == SOCK_STREAM) bench::no_delay(fd);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = std::uint64_t{static_cast<std::uint32_t>(fd)} << 32 | index;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    wire_.begin(fd, index);
    send(fd, index);
  }
  void send(int fd, std::size_t index) {
    const ssize_t n = wire_.write(fd, index, message_.data(), message_.size());
    if (n != static_cast<ssize_t>(message_.size())) fail("write");
  }
  // 1 if a message is complete.
  std::uint64_t receive(const epoll_event& event) {
    const int fd = static_cast<int>(event.data.u64 >> 32);
    const std::size_t index = static_cast<std::uint32_t>(event.data.u64);
    std::size_t& received = received_[index];
    const std::size_t whole = wire_.answer_size();
    std::array<char, 1024> buffer;
    if (whole > buffer.size()) fail("an answer is too long");
    const ssize_t n = wire_.read(fd, index, buffer.data(), whole - received);
    if (n <= 0) fail("read");
    received += static_cast<std::size_t>(n);
    if (received < whole) return 0;
    received = 0;
    send(fd, index);
    return 1;
  }

  Wire wire_;
  const std::string message_ = wire_.message();
  int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<std::size_t> received_;  // Of the message under way, by connection.
};

template <class Wire>
void measure(char** argv) {
  clockid_t server = 0;
  if (::clock_getcpuclockid(std::atoi(argv[2]), &server) != 0) fail("no such server");
  const double budget = std::atof(argv[4]) * 1e9;
  Client<Wire> client(static_cast<std::uint16_t>(std::atoi(argv[1])),
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

}  // namespace

int main(int argc, char** argv) {
  const std::string_view kind = argc == 5 ? "plain" : argc == 6 ? argv[5] : "";
  if (kind == "plain") {
    measure<Plain>(argv);
  } else if (kind == "udp") {
    measure<Datagrams>(argv);
  } else if (kind == "websocket") {
    measure<WebSocket>(argv);
  } else if (kind == "http") {
    measure<Http>(argv);
#ifdef WEFT_BENCH_TLS
  } else if (kind == "tls") {
    measure<Tls>(argv);
#endif
  } else {
    std::fprintf(stderr,
                 "usage: %s PORT SERVER_PID CONNECTIONS SECONDS [tls | udp | websocket | http]\n",
                 argv[0]);
    return 2;
  }
  return 0;
}
