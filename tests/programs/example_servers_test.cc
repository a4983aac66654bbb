// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Each server among the examples survives whatever a client does: resets at every moment,
// connections that say nothing, half a request, garbage. Afterwards it serves a client that
// behaves, and Ctrl-C ends it.

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weft/fibers/buffered_receive_stream.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/process.h"
#include "weft/fibers/run.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/timeouts.h"
#include "weft/tls/ssl_error.h"
#include "weft/tls/ssl_over_tcp.h"

namespace weft::fibers {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct ExampleServer {
  const char* name;
  const char* path;
  const char* host;
  // The beginning of what a client may well say.
  std::string request;
  std::function<void(std::uint16_t)> behave;
};

std::string ask(SocketStream stream, const std::string& request) {
  stream.send_all(request);
  stream.send_eof();
  std::string all;
  for (std::string data; !(data = stream.receive_some()).empty();) all += data;
  return all;
}

void behave_with_tls(std::uint16_t port) {
  SSLContext trusting = SSLContext::client({.system_trust_store = false});
  trusting.set_check_hostname(false);
  trusting.set_verify_mode(VerifyMode::kNone);
  SSLStream stream = open_ssl_over_tcp_stream("localhost", port, {.ssl_context = trusting});
  stream.send_all("hello");
  EXPECT_EQ(stream.receive_some(), "echo: hello");
  stream.aclose();
}

const std::vector<ExampleServer> kServers{
    {"echo", WEFT_EXAMPLE_FIBERS_ECHO, "127.0.0.1", std::string(100'000, 'e'),
     [](std::uint16_t port) {
       EXPECT_EQ(ask(open_tcp_stream("127.0.0.1", port), "hello"), "hello");
     }},
    {"lines", WEFT_EXAMPLE_FIBERS_LINES, "127.0.0.1", "put greeting 100000\nhello\n",
     [](std::uint16_t port) {
       EXPECT_EQ(ask(open_tcp_stream("127.0.0.1", port),
                     "put a 2\nhi"
                     "get a\n"),
                 "ok\n2 hi\n");
     }},
    {"tls_echo", WEFT_EXAMPLE_TLS_TLS_ECHO, "localhost",
     // The beginning of a ClientHello of 512 bytes.
     std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + std::string(40, 'r'),
     behave_with_tls},
};

// Ends the connection by a reset instead of the end of the stream.
void reset(SocketStream& stream) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  stream.setsockopt(SOL_SOCKET, SO_LINGER,
                    std::string_view(reinterpret_cast<const char*>(&at_once), sizeof at_once));
  stream.close();
}

class ExampleServersTest : public ::testing::TestWithParam<std::size_t> {
 protected:
  const ExampleServer& server() const { return kServers.at(GetParam()); }

  // Starts the program, runs `attack(port)`, lets a client behave, and presses Ctrl-C.
  void survive(const std::function<void(std::uint16_t)>& attack) {
    run([&] {
      fail_after(seconds(30), [&] {
        const auto process =
            open_process({server().path, "0"}, {.stdout = kPipe, .parent_death_signal = SIGKILL});
        BufferedReceiveStream out(*process->stdout);
        const std::string line = out.receive_line().value_or("");
        ASSERT_TRUE(line.starts_with("serving on port ")) << line;
        const auto port = static_cast<std::uint16_t>(std::stoi(line.substr(16)));
        attack(port);
        EXPECT_EQ(process->poll(), std::nullopt) << "it has died of a client";
        if (!process->poll()) server().behave(port);
        process->send_signal(SIGINT);
        EXPECT_EQ(process->wait(), -SIGINT);
      });
    });
  }

  SocketStream connect(std::uint16_t port) { return open_tcp_stream(server().host, port); }
};

TEST_P(ExampleServersTest, SurvivesResets) {
  survive([&](std::uint16_t port) {
    for (int i = 0; i < 8; ++i) {
      SocketStream silent = connect(port);
      reset(silent);
      SocketStream in_the_middle = connect(port);
      in_the_middle.send_all(server().request.substr(0, server().request.size() / 2));
      if (i % 2 == 0) sleep(milliseconds(2));
      reset(in_the_middle);
      SocketStream with_an_answer_unread = connect(port);
      with_an_answer_unread.send_all(server().request);
      sleep(milliseconds(2));
      reset(with_an_answer_unread);
    }
  });
}

TEST_P(ExampleServersTest, SurvivesConnectionsThatSayNothingMore) {
  std::vector<SocketStream> kept;
  survive([&](std::uint16_t port) {
    for (int i = 0; i < 8; ++i) {
      kept.push_back(connect(port));
      if (i % 2 == 0) kept.back().send_all(server().request.substr(0, 5));
      if (i % 3 == 0) kept.back().send_eof();
    }
    connect(port).close();
  });
}

TEST_P(ExampleServersTest, SurvivesGarbage) {
  std::string noise(50'000, '\0');
  std::uint32_t state = 1;
  for (char& c : noise) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24U);
  survive([&](std::uint16_t port) {
    for (const std::string& garbage :
         {noise, std::string("put a -1\n"), std::string("put a 99999999999999999999\n"),
          std::string("put a 1000000000000\nx"), std::string(300, '\n'),
          std::string("GET / HTTP/1.1\r\n\r\n"), server().request + noise}) {
      try {
        ask(connect(port), garbage);
      } catch (const BrokenResourceError&) {
        // It may refuse to listen to this.
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(All, ExampleServersTest, ::testing::Range<std::size_t>(0, kServers.size()),
                         [](const auto& instance) { return kServers.at(instance.param).name; });

}  // namespace
}  // namespace weft::fibers
